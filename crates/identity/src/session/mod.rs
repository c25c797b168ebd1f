//! stub
#![allow(missing_docs, unused_variables, clippy::todo)]
use crate::{home::Home, machine::Machine, secret::Secret};
use contract::Fault;
use jiff::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    pub id: String,
    pub name: String,
    pub role: String,
    pub private: bool,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub user_id: String,
    pub email: String,
    pub name: String,
    pub teams: Vec<Team>,
    pub default_team_id: String,
    pub access_token: Secret,
    pub refresh_token: Secret,
    pub session_id: String,
    pub issued_at: Timestamp,
    pub access_token_expires_at: Timestamp,
    pub refresh_token_expires_at: Option<Timestamp>,
    /// OAuth scope.
    pub scope: String,
    pub last_used_at: Timestamp,
    pub auth_method: String,
    pub generation: Option<i64>,
    /// Base URL of the server that issued the tokens (ours; sessions of the reference have none).
    pub issuer: Option<String>,
}
impl Session {
    pub fn private_team(&self) -> Option<&Team> {
        self.teams.iter().find(|t| t.private)
    }
}
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("todo")]
    Unreadable,
}
impl SessionError {
    pub fn into_fault(self, home: &Home) -> Fault {
        todo!()
    }
}
#[derive(Debug, thiserror::Error)]
pub enum SessionWriteError {
    #[error(transparent)]
    Lock(#[from] crate::lock::LockError),
    #[error(transparent)]
    Write(#[from] crate::private_file::WriteError),
    #[error(transparent)]
    Session(#[from] SessionError),
}
#[derive(Clone, Debug)]
pub struct SessionStore {}
impl SessionStore {
    pub fn new(home: &Home, machine: Machine) -> Self {
        todo!()
    }
    /// None = no session. Creates and locks nothing.
    pub fn read(&self) -> Result<Option<Session>, SessionError> {
        todo!()
    }
    /// Under session.lock; deletes the reference's hot-path file.
    pub fn write(&self, session: &Session) -> Result<(), SessionWriteError> {
        todo!()
    }
    /// Writes if the stored session (None = absent) satisfies `expected`; says whether it wrote.
    pub fn replace_if(
        &self,
        session: &Session,
        expected: impl FnOnce(Option<&Session>) -> bool,
    ) -> Result<bool, SessionWriteError> {
        todo!()
    }
    /// session, salt, hot path, card.
    pub fn delete(&self) -> Result<(), SessionWriteError> {
        todo!()
    }
    /// Deletes if the stored session satisfies `expected`; says whether it did.
    pub fn delete_if(&self, expected: impl FnOnce(&Session) -> bool) -> Result<bool, SessionWriteError> {
        todo!()
    }
}
