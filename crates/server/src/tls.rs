//! TLS of the server: its certificate and key, read again when the files change.
//!
//! The files are compared by their content, so a renewal is found however it is done: written in place, renamed, or by
//! a changed symbolic link. A pair that cannot be used is logged, and the one in use stays.

use crate::error::ServerError;
use crate::metrics::Metrics;
use crate::time::UnixMillis;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use system::bounded_read::read_bounded;
use tokio_rustls::TlsAcceptor;
use x509_cert::der::Decode as _;

/// Bytes of a chain of certificates, or of a key.
const MOST_BYTES: u64 = 256 * 1024;
/// Interval of looking at the files.
const POLL: Duration = Duration::from_secs(2);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Remaining validity below which a warning is logged every day.
const RENEWAL: Duration = DAY.saturating_mul(14);

/// The files of a server that terminates TLS itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM file of the certificate, then those of its issuers.
    pub certificate: PathBuf,
    /// PEM file of the private key, which other users may not read.
    pub key: PathBuf,
}

/// A certificate with its key, as it was read.
#[derive(Debug)]
struct Pair {
    key: Arc<CertifiedKey>,
    expiry: UnixMillis,
    digest: [u8; 32],
}

impl TlsFiles {
    fn read(&self) -> Result<Pair, ServerError> {
        let fault = |path: &Path, text: String| ServerError::Certificate(path.to_owned(), text);
        let read = |path: &Path| {
            let file = read_bounded(path, MOST_BYTES).map_err(|error| fault(path, error.to_string()))?;
            file.ok_or_else(|| fault(path, "no such file".to_owned()))
        };
        let (certificate, key) = (read(&self.certificate)?, read(&self.key)?);
        // A group may read it, as that of Debian's ssl-cert does.
        if key.mode & 0o027 != 0 {
            return Err(ServerError::VisibleKey(self.key.clone(), key.mode));
        }
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&certificate.bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| fault(&self.certificate, error.to_string()))?;
        let no_certificate = || fault(&self.certificate, "it has no certificate".to_owned());
        let leaf = chain.first().ok_or_else(no_certificate)?;
        let expiry = expiry(leaf).map_err(|error| fault(&self.certificate, error))?;
        let private = PrivateKeyDer::from_pem_slice(&key.bytes)
            .map_err(|_| fault(&self.key, "it has no private key in PEM without a passphrase".to_owned()))?;
        let key_of_pair = CertifiedKey::from_der(chain, private, &ring::default_provider())
            .map_err(|error| fault(&self.key, format!("not the key of the certificate: {error}")))?;
        let digest = Sha256::new().chain_update(&certificate.bytes).chain_update(&key.bytes).finalize();
        Ok(Pair { key: Arc::new(key_of_pair), expiry, digest: digest.into() })
    }
}

fn expiry(certificate: &CertificateDer<'_>) -> Result<UnixMillis, String> {
    let certificate = x509_cert::Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let end = certificate.tbs_certificate.validity.not_after.to_unix_duration();
    Ok(UnixMillis(i64::try_from(end.as_millis()).unwrap_or(i64::MAX)))
}

/// The certificate in use.
#[derive(Debug)]
struct CurrentCertificate(RwLock<Pair>);

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).key))
    }
}

/// TLS of a server: its files, the certificate in use, and the acceptor.
#[derive(Clone)]
pub(crate) struct Tls {
    files: TlsFiles,
    current: Arc<CurrentCertificate>,
    acceptor: TlsAcceptor,
}

impl Tls {
    /// Reads the files.
    pub(crate) fn load(files: TlsFiles) -> Result<Self, ServerError> {
        let pair = files.read()?;
        let current = Arc::new(CurrentCertificate(RwLock::new(pair)));
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| ServerError::Certificate(files.certificate.clone(), error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { files, current, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Looks at the files again and again, and uses what has changed.
    pub(crate) async fn follow(self, metrics: Arc<Metrics>) {
        self.announce(&metrics);
        let mut last_fault = String::new();
        let mut announced_at = UnixMillis::now();
        loop {
            tokio::time::sleep(POLL).await;
            if warning_is_due(self.expiry(), announced_at, UnixMillis::now()) {
                self.announce(&metrics);
                announced_at = UnixMillis::now();
            }
            let files = self.files.clone();
            let Ok(read) = tokio::task::spawn_blocking(move || files.read()).await else { return };
            match read {
                Ok(pair) => {
                    last_fault.clear();
                    if self.replace(pair) {
                        self.announce(&metrics);
                        announced_at = UnixMillis::now();
                    }
                }
                Err(error) => {
                    let fault = error.to_string();
                    if fault != last_fault {
                        tracing::error!(
                            error = fault,
                            "the changed certificate cannot be used; the one in use stays"
                        );
                        last_fault = fault;
                    }
                }
            }
        }
    }

    /// Whether the pair is another than the one in use, which it replaces then.
    fn replace(&self, pair: Pair) -> bool {
        let mut current = self.current.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = current.digest != pair.digest;
        if is_new {
            *current = pair;
        }
        is_new
    }

    fn expiry(&self) -> UnixMillis {
        self.current.0.read().unwrap_or_else(PoisonError::into_inner).expiry
    }

    fn announce(&self, metrics: &Metrics) {
        let expiry = self.expiry();
        metrics.certificate_expiry.set(expiry.0 / 1000);
        let (valid_until, certificate) = (expiry.readable(), self.files.certificate.display());
        if expires_soon(expiry, UnixMillis::now()) {
            tracing::warn!(%certificate, valid_until, "the certificate expires soon, or has expired");
        } else {
            tracing::info!(%certificate, valid_until, "the certificate is in use");
        }
    }
}

fn expires_soon(expiry: UnixMillis, now: UnixMillis) -> bool {
    expiry < now.after(RENEWAL)
}

/// Whether a certificate that was announced before expires soon, and a day has passed, or it began to expire soon.
fn warning_is_due(expiry: UnixMillis, announced_at: UnixMillis, now: UnixMillis) -> bool {
    expires_soon(expiry, now) && (!expires_soon(expiry, announced_at) || now.since(announced_at) >= DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiring_certificate_is_announced_daily() {
        let start = UnixMillis(0);
        let expiry = start.after(DAY * 20);
        let mut announced_at = start;
        let mut days = Vec::new();
        for hour in 1..24 * 21 {
            let now = start.after(Duration::from_secs(3600) * hour);
            if warning_is_due(expiry, announced_at, now) {
                announced_at = now;
                days.push(hour / 24);
            }
        }
        assert_eq!(days, (6..=20).collect::<Vec<u32>>());
    }
}
