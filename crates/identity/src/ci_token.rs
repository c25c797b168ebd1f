//! The CI token: a login without a session, from the environment (contract section 11).
//!
//! `skp_<base64url(user|team)>.<secret>`: the scope is readable offline; only the server checks the secret. A
//! malformed token is a fault and never "no token": another login could be another account.

use crate::environment::{Environment, names};
use crate::secret::Secret;
use contract::{Fault, FaultCode, Remedy};
use data_encoding::BASE64URL_NOPAD;
use std::path::PathBuf;
use system::regular;

const PREFIX: &str = "skp_";

/// The largest token, in bytes.
const MAX_BYTES: u64 = 16 * 1024;

/// A CI token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentToken {
    /// The user it acts as.
    pub principal: String,
    /// The team it acts in.
    pub team: String,
    /// The whole token, for the `Authorization` header.
    pub secret: Secret,
    /// The variable that names it.
    pub variable: &'static str,
}

/// The CI token of `environment`; none when neither variable is set. An empty variable counts as unset: CI
/// systems leave secrets empty where a build may not see them. `SPEC_KITTY_TOKEN` wins over
/// `SPEC_KITTY_TOKEN_FILE`. The file's mode is not checked: CI systems mount secrets with any mode.
///
/// # Errors
/// The fault `session_unreadable`, naming the variable or the file and never the token.
pub fn read_ci_token(environment: &Environment) -> Result<Option<EnvironmentToken>, Fault> {
    if let Some(value) = environment.non_empty(names::SPEC_KITTY_TOKEN) {
        let variable = names::SPEC_KITTY_TOKEN;
        let token = value.to_str().ok_or("is not UTF-8").and_then(|text| parse(text, variable));
        return token.map(Some).map_err(|problem| fault(variable, None, problem));
    }
    let variable = names::SPEC_KITTY_TOKEN_FILE;
    let Some(path) = environment.non_empty(variable).map(PathBuf::from) else { return Ok(None) };
    let failed = |problem: &str| fault(variable, Some(path.clone()), problem);
    // Named by the user: it may be a pipe.
    let bytes = regular::read_named(&path, MAX_BYTES).map_err(|error| failed(&error.to_string()))?;
    let bytes = bytes.ok_or_else(|| failed("does not exist"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| failed("is not UTF-8"))?;
    parse(text, variable).map(Some).map_err(failed)
}

fn parse(text: &str, variable: &'static str) -> Result<EnvironmentToken, &'static str> {
    let token = contract::scope::trim(text);
    if token.len() as u64 > MAX_BYTES {
        return Err("is too long for a token");
    }
    let (identity, secret) = token
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('.'))
        .ok_or("is not of the form skp_<identity>.<secret>")?;
    if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has no secret, or one with characters that no token has");
    }
    let identity = BASE64URL_NOPAD
        .decode(identity.trim_end_matches('=').as_bytes())
        .ok()
        .and_then(|identity| String::from_utf8(identity).ok())
        .ok_or("has an identity that is not base64url of UTF-8 text")?;
    match identity.split('|').collect::<Vec<_>>()[..] {
        [principal, team] if !principal.is_empty() && !team.is_empty() => Ok(EnvironmentToken {
            principal: principal.to_owned(),
            team: team.to_owned(),
            secret: Secret::new(token),
            variable,
        }),
        _ => Err("does not name one user and one team"),
    }
}

fn fault(variable: &'static str, path: Option<PathBuf>, problem: &str) -> Fault {
    let detail = match path {
        Some(_) => format!("named by {variable}, {problem}"),
        None => format!("{variable} {problem}"),
    };
    let remedy = Remedy::Advice(format!("set {variable} to a valid token, or unset it"));
    Fault { code: FaultCode::SessionUnreadable, path, detail, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn token(identity: &str, secret: &str) -> String {
        format!("skp_{}.{secret}", BASE64URL_NOPAD.encode(identity.as_bytes()))
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Option<EnvironmentToken>, Fault> {
        read_ci_token(&Environment::from_pairs(pairs.iter().copied()))
    }

    #[test]
    fn identity_is_readable_and_the_secret_hidden() {
        let text = token("dev@example.com|team-PRIV-01", "hunter2");
        let found = read(&[("SPEC_KITTY_TOKEN", &format!(" {text}\n"))]).expect("a token").expect("set");
        assert_eq!((found.principal.as_str(), found.team.as_str()), ("dev@example.com", "team-PRIV-01"));
        assert_eq!(found.secret.expose(), text);
        assert!(!format!("{found:?}").contains("hunter2"));
    }

    #[test]
    fn nothing_set_or_set_empty_is_no_token() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("SPEC_KITTY_TOKEN", ""), ("SPEC_KITTY_TOKEN_FILE", "")]), Ok(None));
    }

    #[test]
    fn malformed_token_fault_names_the_variable_only() {
        let cases = [
            "hunter2".to_owned(),
            "skp_hunter2".to_owned(),
            "skp_!!!.hunter2".to_owned(),
            token("dev@example.com", "hunter2"),
            token("|team", "hunter2"),
            token("dev|", "hunter2"),
            token("a|b|c", "hunter2"),
            token("a|b", ""),
            token("a|b", "hunter2 hunter2"),
            token("a|b", "hunter2\u{7f}"),
            token("a|b", &"hunter2".repeat(10_000)),
        ];
        for case in cases {
            let fault = read(&[("SPEC_KITTY_TOKEN", &case)]).expect_err(&case);
            assert_eq!(fault.code, FaultCode::SessionUnreadable);
            let shown = format!("{fault:?} {}", fault.remedy.hint());
            assert!(shown.contains("SPEC_KITTY_TOKEN") && !shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn token_file_is_read_and_faults_name_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        let at = |path: &std::path::Path| {
            let pairs = [(OsString::from("SPEC_KITTY_TOKEN_FILE"), path.as_os_str().to_owned())];
            read_ci_token(&Environment::from_pairs(pairs))
        };
        std::fs::write(&path, token("a|b", "s") + "\n").expect("a file");
        assert_eq!(at(&path).expect("a token").expect("set").team, "b");

        let huge = directory.path().join("huge");
        std::fs::File::create(&huge).and_then(|file| file.set_len(100 << 20)).expect("a huge file");
        let garbage = directory.path().join("garbage");
        std::fs::write(&garbage, b"\xff\xfe").expect("a file");
        for path in [directory.path().join("absent"), directory.path().to_path_buf(), huge, garbage] {
            let fault = at(&path).expect_err("a fault");
            assert_eq!(fault.path.as_deref(), Some(path.as_path()));
            assert!(fault.detail.contains("SPEC_KITTY_TOKEN_FILE"), "{}", fault.detail);
        }
    }

    #[test]
    fn variable_wins_over_the_file() {
        let text = token("a|b", "s");
        let found = read(&[("SPEC_KITTY_TOKEN", &text), ("SPEC_KITTY_TOKEN_FILE", "/absent")]);
        assert_eq!(found.expect("a token").expect("set").variable, "SPEC_KITTY_TOKEN");
    }
}
