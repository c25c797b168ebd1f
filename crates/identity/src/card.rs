//! stub
#![allow(missing_docs, unused_variables, clippy::todo)]
use crate::{home::Home, login::Login, private_file::WriteError};
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardUse {
    /// no session was read, so no card either
    NotNeeded,
    /// a valid card spared the key derivation
    Used,
    /// none, stale or ignored: the session was decrypted; a command that may write should call refresh_card
    Derived,
}
/// Writes the card for what `login` decrypted; true when something was written. Only for commands that may write.
pub fn refresh_card(home: &Home, login: &Login) -> Result<bool, WriteError> {
    todo!()
}
