//! stub
#![allow(missing_docs, unused_variables, clippy::todo)]
use crate::{environment::Environment, secret::Secret};
use contract::Fault;
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiToken {
    pub principal: String,
    pub team: String,
    /// the whole text, for `Authorization: Bearer`
    pub secret: Secret,
    /// the variable it came from
    pub variable: &'static str,
}
pub fn read_ci_token(environment: &Environment) -> Result<Option<CiToken>, Fault> {
    todo!()
}
