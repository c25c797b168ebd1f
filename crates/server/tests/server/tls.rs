//! A server that terminates TLS itself, and the renewal of its certificate.
#![allow(clippy::unwrap_used, reason = "a test")]

use super::client::{Answer, exchange_on, raw, request};
use super::world::EMAIL;
use contract::wire::{endpoint, oauth};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, version};
use server::{Admin, Handle, ServerConfig, ServerError, ServerLimits, TlsFiles};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Longest wait for what happens soon.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory with a certificate, its key, and room for a store.
struct Certificates(TempDir);

impl Certificates {
    fn new() -> Self {
        let certificates = Self(tempfile::tempdir().unwrap());
        certificates.renew(1);
        certificates
    }

    fn files(&self) -> TlsFiles {
        TlsFiles { certificate: self.0.path().join("cert.pem"), key: self.0.path().join("key.pem") }
    }

    /// A new certificate, with this serial number, and a new key.
    fn renew(&self, serial: u64) {
        let (certificate, key) = pair(serial);
        write_private(&self.files().key, &key);
        std::fs::write(self.files().certificate, certificate).unwrap();
    }

    fn start(&self, change: impl FnOnce(&mut ServerConfig)) -> Result<Handle, ServerError> {
        let mut config = ServerConfig::new(self.0.path().join("data"));
        config.tls = Some(self.files());
        change(&mut config);
        Handle::start(config)
    }

    /// A connection that trusts the present certificate.
    fn connect(
        &self,
        server: &Handle,
        versions: &[&'static SupportedProtocolVersion],
    ) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.files().certificate).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
    }

    fn get(&self, server: &Handle, path: &str) -> Option<Answer> {
        let stream = self.connect(server, rustls::DEFAULT_VERSIONS);
        exchange_on(stream, &request(server.address(), "GET", path, &[], &[]))
    }

    /// Asks until an answer arrives on a connection that trusts the present certificate.
    fn wait_for_the_renewal(&self, server: &Handle) -> Answer {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            match self.get(server, endpoint::METRICS) {
                Some(answer) => return answer,
                None => assert!(std::time::Instant::now() < deadline, "the renewal was not found"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Certificate and key as PEM. The certificate ends in the year 2100 + `serial`.
fn pair(serial: u64) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.serial_number = Some(serial.into());
    params.not_after = rcgen::date_time_ymd(2100 + i32::try_from(serial).unwrap(), 1, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    set_mode(path, 0o600);
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn both_tls_versions_are_served_alone() {
    let certificates = Certificates::new();
    // Other machines may reach the address.
    let server = certificates.start(|config| config.listen = "0.0.0.0:0".parse().unwrap()).unwrap();
    for version in [&version::TLS12, &version::TLS13] {
        let mut stream = certificates.connect(&server, &[version]);
        let request = request(server.address(), "GET", endpoint::HEALTHZ, &[], &[]);
        let answer = exchange_on(&mut stream, &request).expect("an answer");
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok\n"));
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
    let plain = raw(server.address(), &request(server.address(), "GET", endpoint::HEALTHZ, &[], &[]));
    assert!(plain.is_none(), "{plain:?}");
}

#[test]
fn links_and_cookies_of_a_tls_server_are_secure() {
    let certificates = Certificates::new();
    let admin = Admin::open(certificates.0.path().join("data")).unwrap();
    admin.create_account(EMAIL, None, None).unwrap();
    let server = certificates.start(|_| {}).unwrap();
    assert!(server.url().starts_with("https://"));
    let fields = [("client_id", oauth::CLIENT_ID), ("scope", oauth::SCOPE)];
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = super::client::form(&fields);
    let ask = request(server.address(), "POST", endpoint::OAUTH_DEVICE, &headers, &body);
    let device = exchange_on(certificates.connect(&server, rustls::DEFAULT_VERSIONS), &ask).unwrap().json();
    let link = device["verification_uri_complete"].as_str().unwrap();
    assert!(link.starts_with("https://"), "{link}");
    let page = format!("/device?user_code={}", device["user_code"].as_str().unwrap());
    let page = certificates.get(&server, &page).unwrap();
    assert!(page.header("set-cookie").unwrap().contains("; Secure"), "{}", page.head);
}

#[test]
fn renewed_certificate_is_used_if_usable() {
    let certificates = Certificates::new();
    let server = certificates.start(|_| {}).unwrap();
    let expiry = |answer: &Answer| {
        let text = answer.text();
        let (_, rest) = text.split_once("\nspec_kitty_certificate_expiry_timestamp_seconds ").unwrap();
        rest.lines().next().unwrap().parse::<i64>().unwrap()
    };
    let first = expiry(&certificates.get(&server, endpoint::METRICS).unwrap());
    assert_eq!(first, 4_133_980_800, "2101-01-01");

    // A key that belongs to no certificate here, and a file that is no key.
    let present = std::fs::read_to_string(certificates.files().key).unwrap();
    for wrong in [pair(9).1, "no key".to_owned()] {
        write_private(&certificates.files().key, &wrong);
        std::thread::sleep(Duration::from_millis(2500));
        assert_eq!(expiry(&certificates.get(&server, endpoint::METRICS).unwrap()), first);
    }
    write_private(&certificates.files().key, &present);

    certificates.renew(2);
    let second = expiry(&certificates.wait_for_the_renewal(&server));
    assert_eq!(second, 4_165_516_800, "2102-01-01");
}

#[test]
fn unusable_certificate_refuses_the_start() {
    let certificates = Certificates::new();
    let files = certificates.files();
    let refused = |expected: &str| {
        let error = certificates.start(|_| {}).unwrap_err();
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        error
    };
    for mode in [0o644, 0o660] {
        set_mode(&files.key, mode);
        let error = refused(&format!("has mode {mode:04o}: at most its group may read it"));
        assert!(matches!(error, ServerError::VisibleKey(..)));
        assert_eq!(error.remedy().hint(), format!("chmod o-rwx,g-w {}", files.key.display()));
    }
    set_mode(&files.key, 0o640);
    drop(certificates.start(|_| {}).unwrap());

    write_private(&files.key, &pair(9).1);
    refused("key.pem cannot be used for TLS: not the key of the certificate");
    write_private(&files.key, &pair(9).0);
    refused("key.pem cannot be used for TLS: it has no private key");
    std::fs::write(&files.certificate, "").unwrap();
    refused("cert.pem cannot be used for TLS: it has no certificate");
    std::fs::remove_file(&files.certificate).unwrap();
    let error = refused("cert.pem cannot be used for TLS: no such file");
    assert!(error.remedy().hint().contains("--tls-cert"));
}

#[test]
fn half_open_handshakes_give_way_and_end() {
    let certificates = Certificates::new();
    let limits = ServerLimits {
        head_timeout: Duration::from_millis(800),
        connections: 4,
        // A handshake that the stop waited for would be noticed.
        stop_timeout: 10 * PATIENCE,
        ..ServerLimits::default()
    };
    let server = certificates.start(|config| config.limits = limits).unwrap();
    let silent: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    assert_eq!(certificates.get(&server, endpoint::HEALTHZ).unwrap().status, 200);
    let shed = certificates.get(&server, endpoint::METRICS).unwrap().text();
    let (_, rest) = shed.split_once("\nspec_kitty_connections_shed_total ").unwrap();
    assert!(rest.lines().next().unwrap().parse::<u32>().unwrap() >= 5, "{shed}");
    for mut stream in silent {
        // Closed for a newer one, or at the deadline of the head.
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(std::io::Read::read(&mut stream, &mut [0]).unwrap_or(0), 0);
    }
    let _half_open = TcpStream::connect(server.address()).unwrap();
    server.stop().unwrap();
}
