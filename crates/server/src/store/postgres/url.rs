//! Addresses of PostgreSQL databases: read, checked, and shown without their password.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// Longest wait for a connection to one host.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for the other host to confirm what was sent.
const UNCONFIRMED: Duration = Duration::from_secs(15);

/// The address of a PostgreSQL database: `postgres://user@host:5432/database`.
///
/// Several hosts are tried in order. `sslmode` is `disable` or `require`; without it a connection to another
/// machine uses TLS. TLS always verifies the certificate and the host name, against the certificates
/// of the system or those of `sslrootcert`.
#[derive(Clone)]
pub struct DatabaseUrl {
    pub(super) config: Config,
    /// PEM file of the trusted certificates; `None` for those of the system.
    pub(super) root_certificates: Option<PathBuf>,
}

/// Text that is not the address of a PostgreSQL database. Never contains the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a PostgreSQL address, as in postgres://user@host:5432/database: {0}")]
pub struct NotDatabaseUrl(String);

impl FromStr for DatabaseUrl {
    type Err = NotDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, NotDatabaseUrl> {
        let text = text.trim();
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(NotDatabaseUrl("it does not begin with postgres://".to_owned()));
        }
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut kept, mut ssl_mode, mut root_certificates) = (Vec::new(), None, None);
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", "disable")) => ssl_mode = Some(SslMode::Disable),
                Some(("sslmode", "require" | "verify-ca" | "verify-full")) => {
                    ssl_mode = Some(SslMode::Require);
                }
                Some(("sslmode", _)) => {
                    return Err(NotDatabaseUrl("sslmode must be `disable` or `require`".to_owned()));
                }
                Some(("sslrootcert", path)) => root_certificates = Some(decoded(path)),
                _ => kept.push(parameter),
            }
        }
        let text = format!("{address}?{}", kept.join("&"));
        // The cause names an option or a part of the address, never a value.
        let mut config: Config =
            text.parse().map_err(|error: tokio_postgres::Error| NotDatabaseUrl(cause(&error)))?;
        if config.get_hosts().is_empty() {
            return Err(NotDatabaseUrl("it names no host".to_owned()));
        }
        let is_here = config.get_hosts().iter().all(is_this_machine);
        config.ssl_mode(ssl_mode.unwrap_or(if is_here { SslMode::Disable } else { SslMode::Require }));
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(UNCONFIRMED);
        }
        if config.get_application_name().is_none() {
            config.application_name("spec-kitty");
        }
        Ok(Self { config, root_certificates: root_certificates.map(PathBuf::from) })
    }
}

impl DatabaseUrl {
    /// Whether the address contains a password.
    pub(crate) fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Sets the password that the text of a password file has for this address, if any.
    pub(in crate::store) fn add_password(&mut self, password_file: &str) {
        if let Some(password) = password_file.lines().find_map(|line| self.password_of(line)) {
            self.config.password(password);
        }
    }

    /// The password of a line `host:port:database:user:password`, if it is for this address.
    fn password_of(&self, line: &str) -> Option<String> {
        let fields = split_fields(line);
        let [host, port, database, user, password] = <[String; 5]>::try_from(fields).ok()?;
        let config = &self.config;
        let is = |field: &str, value: &str| field == "*" || field == value;
        let is_host = config.get_hosts().iter().enumerate().any(|(at, known)| {
            let ports = config.get_ports();
            let known_port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
            let known = match known {
                Host::Tcp(name) => name.clone(),
                #[cfg(unix)]
                Host::Unix(_) => "localhost".to_owned(),
            };
            is(&host, &known) && is(&port, &known_port.to_string())
        });
        let known_user = config.get_user().unwrap_or_default();
        let known_database = config.get_dbname().unwrap_or(known_user);
        (is_host && is(&database, known_database) && is(&user, known_user)).then_some(password)
    }
}

/// Without user and password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        write!(f, "{} on ", config.get_dbname().or(config.get_user()).unwrap_or("postgres"))?;
        for (at, host) in config.get_hosts().iter().enumerate() {
            let separator = if at == 0 { "" } else { "," };
            match host {
                Host::Tcp(name) => write!(f, "{separator}{name}")?,
                #[cfg(unix)]
                Host::Unix(path) => write!(f, "{separator}{}", path.display())?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// The innermost cause of an error.
pub(super) fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn decoded(text: &str) -> String {
    url::form_urlencoded::parse(format!("x={text}").as_bytes())
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

/// Fields separated by `:`; a backslash keeps the next character.
fn split_fields(line: &str) -> Vec<String> {
    let (mut fields, mut field) = (Vec::new(), String::new());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ':' if fields.len() < 4 => fields.push(std::mem::take(&mut field)),
            '\\' => field.extend(chars.next()),
            c => field.push(c),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn mode(text: &str) -> SslMode {
        text.parse::<DatabaseUrl>().unwrap().config.get_ssl_mode()
    }

    #[test]
    fn other_machines_are_reached_by_tls_by_default() {
        assert_eq!(mode("postgres://u@db.example.org/kitty"), SslMode::Require);
        assert_eq!(mode("postgres://u@localhost,db.example.org/kitty"), SslMode::Require);
        assert_eq!(mode("postgres://u@db.example.org/kitty?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgres://u@127.0.0.1:6000/kitty"), SslMode::Disable);
        assert_eq!(mode("postgresql://u@%2Frun%2Fpostgresql/kitty"), SslMode::Disable);
        assert_eq!(mode("postgres://u@127.0.0.1/kitty?sslmode=verify-full"), SslMode::Require);
        let url: DatabaseUrl = "postgres://u@h/k?sslrootcert=%2Fetc%2Fca.pem".parse().unwrap();
        assert_eq!(url.root_certificates.as_deref(), Some(Path::new("/etc/ca.pem")));
    }

    #[test]
    fn address_is_never_shown_with_its_password() {
        let url: DatabaseUrl = "postgres://ada:s3cret@a,b:6000/kitty".parse().unwrap();
        assert!(url.has_password());
        assert_eq!(url.to_string(), "kitty on a,b");
        assert!(!format!("{url:?} {url}").contains("s3cret"));
        for bad in [
            "s3cret",
            "postgres://ada:s3cret@a/k?sslmode=prefer",
            "postgres://ada:s3cret@a/k?x=s3cret",
            "postgres://ada:s3cret@a:s3cret/k",
            "postgres:///k",
        ] {
            let error = bad.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn password_file_is_read_by_its_first_match() {
        let file = "# text\nother:*:*:*:no\n*:6000:kitty:ada:a\\:b\\\\c:d\n*:*:*:*:last\n";
        let password = |text: &str| {
            let mut url = text.parse::<DatabaseUrl>().unwrap();
            url.add_password(file);
            String::from_utf8(url.config.get_password().unwrap().to_vec()).unwrap()
        };
        assert_eq!(password("postgres://ada@db:6000/kitty"), "a:b\\c:d");
        assert_eq!(password("postgres://ada@db/kitty"), "last");
    }
}
