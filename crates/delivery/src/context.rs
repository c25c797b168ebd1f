//! Facts about this machine that every request needs; one value per command.

use crate::http::{Client, ClientError, ClientSettings};
use identity::{Environment, Home, Login, SessionStore, read_any_login};
use system::Machine;

/// Home, environment, machine and HTTP client of one process.
#[derive(Clone, Debug)]
pub struct DeliveryContext {
    /// The state directory.
    pub home: Home,
    /// The environment, as it was at start.
    pub environment: Environment,
    /// Facts about the machine from which the session key is derived.
    pub machine: Machine,
    /// The HTTP client.
    pub client: Client,
    /// This release, as `User-Agent` and lock records name it.
    pub version: String,
}

impl DeliveryContext {
    /// Builds the context of this process.
    ///
    /// # Errors
    /// When `SSL_CERT_FILE`, `SSL_CERT_DIR` or the proxy of the environment cannot be used.
    pub fn new(home: &Home, environment: &Environment, version: &str) -> Result<Self, ClientError> {
        let settings = ClientSettings::of(environment, version)?;
        Ok(Self {
            home: home.clone(),
            environment: environment.clone(),
            machine: Machine::observe(),
            client: Client::new(&settings)?,
            version: version.to_owned(),
        })
    }

    /// The login of this machine, as far as it can be read.
    pub fn login(&self) -> Login {
        read_any_login(&self.home, &self.environment)
    }

    /// The session file.
    pub fn sessions(&self) -> SessionStore {
        SessionStore::new(&self.home, self.machine.clone())
    }
}
