//! The decrypted session: its JSON, key by key (the reference's order, plus `issuer`, which is ours).
//!
//! Errors name the key and never the value: most values are secret.

use super::{Session, SessionError, Team, UnknownKeys};
use crate::secret::Secret;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

type Raw<'a> = BTreeMap<String, &'a RawValue>;

/// Parses the plaintext of a session.
pub(super) fn parse(plaintext: &[u8]) -> Result<Session, SessionError> {
    let mut map: Raw<'_> =
        serde_json::from_slice(plaintext).map_err(|_| content("", "is not a JSON object"))?;
    // Written for the reference, which requires it; it carries no information.
    map.remove("storage_backend");
    Ok(Session {
        user_id: required(&mut map, "user_id")?,
        email: required(&mut map, "email")?,
        name: required(&mut map, "name")?,
        teams: teams(&mut map)?,
        default_team_id: required(&mut map, "default_team_id")?,
        access_token: Secret::new(required::<String>(&mut map, "access_token")?),
        refresh_token: Secret::new(required::<String>(&mut map, "refresh_token")?),
        session_id: required(&mut map, "session_id")?,
        issued_at: required_time(&mut map, "issued_at")?,
        access_token_expires_at: required_time(&mut map, "access_token_expires_at")?,
        refresh_token_expires_at: time(&mut map, "refresh_token_expires_at")?,
        scope: required(&mut map, "scope")?,
        last_used_at: required_time(&mut map, "last_used_at")?,
        auth_method: required(&mut map, "auth_method")?,
        generation: optional(&mut map, "generation", "is not a whole number or null")?,
        issuer: optional(&mut map, "issuer", "is not a string or null")?,
        unknown: UnknownKeys(map.into_iter().map(|(key, raw)| (key, Secret::new(raw.get()))).collect()),
    })
}

/// The plaintext of a session.
pub(super) fn render(session: &Session) -> Zeroizing<String> {
    // Reserved at once: growing would leave copies of the tokens behind.
    let tokens = session.access_token.expose().len() + session.refresh_token.expose().len();
    let mut out = Zeroizing::new(String::with_capacity(16 * 1024 + 2 * tokens + 512 * session.teams.len()));
    let mut pair = |key: &str, value: &str| {
        let first = out.is_empty();
        out.push_str(if first { "{" } else { ", " });
        out.push_str(&json(key));
        out.push_str(": ");
        out.push_str(value);
    };
    let teams: Vec<TeamJson<'_>> = session.teams.iter().map(TeamJson::of).collect();
    pair("user_id", &json(&session.user_id));
    pair("email", &json(&session.email));
    pair("name", &json(&session.name));
    pair("teams", &json(&teams));
    pair("default_team_id", &json(&session.default_team_id));
    pair("access_token", &json(session.access_token.expose()));
    pair("refresh_token", &json(session.refresh_token.expose()));
    pair("session_id", &json(&session.session_id));
    pair("issued_at", &json(&isoformat(session.issued_at)));
    pair("access_token_expires_at", &json(&isoformat(session.access_token_expires_at)));
    pair("refresh_token_expires_at", &json(&session.refresh_token_expires_at.map(isoformat)));
    pair("scope", &json(&session.scope));
    pair("storage_backend", &json("file"));
    pair("last_used_at", &json(&isoformat(session.last_used_at)));
    pair("auth_method", &json(&session.auth_method));
    pair("generation", &json(&session.generation));
    if let Some(issuer) = &session.issuer {
        pair("issuer", &json(issuer));
    }
    for (key, raw) in &session.unknown.0 {
        pair(key, raw.expose());
    }
    out.push('}');
    out
}

/// The reference's form of a time: UTC with `+00:00`, microseconds only when there are any.
pub(crate) fn isoformat(time: Timestamp) -> String {
    let format = if time.subsec_nanosecond() / 1000 == 0 {
        "%Y-%m-%dT%H:%M:%S+00:00"
    } else {
        "%Y-%m-%dT%H:%M:%S%.6f+00:00"
    };
    time.strftime(format).to_string()
}

/// JSON of a value that always has one: text, numbers, times.
fn json<T: Serialize + ?Sized>(value: &T) -> Zeroizing<String> {
    Zeroizing::new(serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()))
}

#[derive(Serialize)]
struct TeamJson<'a> {
    id: &'a str,
    name: &'a str,
    role: &'a str,
    is_private_teamspace: bool,
}

impl<'a> TeamJson<'a> {
    fn of(team: &'a Team) -> Self {
        Self { id: &team.id, name: &team.name, role: &team.role, is_private_teamspace: team.private }
    }
}

fn content(key: impl Into<String>, problem: &'static str) -> SessionError {
    SessionError::Content { key: key.into(), problem }
}

fn required<T: DeserializeOwned>(map: &mut Raw<'_>, key: &'static str) -> Result<T, SessionError> {
    let raw = map.remove(key).ok_or_else(|| content(key, "is missing"))?;
    serde_json::from_str(raw.get()).map_err(|_| content(key, "is not a string"))
}

fn optional<T: DeserializeOwned>(
    map: &mut Raw<'_>,
    key: &'static str,
    problem: &'static str,
) -> Result<Option<T>, SessionError> {
    let value = map.remove(key).map(|raw| serde_json::from_str::<Option<T>>(raw.get())).transpose();
    value.map(Option::flatten).map_err(|_| content(key, problem))
}

/// A time with an offset; absent, null and the empty string mean unknown.
fn time(map: &mut Raw<'_>, key: &'static str) -> Result<Option<Timestamp>, SessionError> {
    let text: Option<String> = optional(map, key, "is not a string or null")?;
    let time = text.filter(|text| !text.is_empty()).map(|text| text.parse()).transpose();
    time.map_err(|_| content(key, "is not a time with an offset"))
}

fn required_time(map: &mut Raw<'_>, key: &'static str) -> Result<Timestamp, SessionError> {
    time(map, key)?.ok_or_else(|| content(key, "is missing"))
}

fn teams(map: &mut Raw<'_>) -> Result<Vec<Team>, SessionError> {
    let raw = map.remove("teams").ok_or_else(|| content("teams", "is missing"))?;
    let teams: Vec<Raw<'_>> =
        serde_json::from_str(raw.get()).map_err(|_| content("teams", "is not a list of objects"))?;
    let team = |(index, mut team): (usize, Raw<'_>)| {
        let mut text = |key: &'static str| {
            let raw = team.remove(key).and_then(|raw| serde_json::from_str(raw.get()).ok());
            raw.ok_or_else(|| content(format!("teams[{index}].{key}"), "is missing or not a string"))
        };
        let (id, name, role) = (text("id")?, text("name")?, text("role")?);
        let private = team.get("is_private_teamspace").is_some_and(|raw| truthy(raw.get()));
        Ok(Team { id, name, role, private })
    };
    teams.into_iter().enumerate().map(team).collect()
}

/// Whether Python would take a JSON value for true: the reference does not ask for a boolean, and its
/// files may hold anything. The string "false" is true.
fn truthy(raw: &str) -> bool {
    match serde_json::from_str::<serde_json::Value>(raw) {
        Ok(serde_json::Value::Bool(value)) => value,
        Ok(serde_json::Value::Number(number)) => number.as_f64() != Some(0.0),
        Ok(serde_json::Value::String(text)) => !text.is_empty(),
        Ok(serde_json::Value::Array(items)) => !items.is_empty(),
        Ok(serde_json::Value::Object(map)) => !map.is_empty(),
        Ok(serde_json::Value::Null) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::session;
    use super::*;

    #[test]
    fn written_session_reads_back_with_unknown_keys() {
        let mut session = session();
        session.unknown = UnknownKeys(vec![("future".to_owned(), Secret::new("{\"a\": [1, 2]}"))]);
        session.issuer = Some("https://issuer.invalid".to_owned());
        assert_eq!(parse(render(&session).as_bytes()).expect("a session"), session);
    }

    #[test]
    fn times_have_the_references_form() {
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        assert_eq!(isoformat(time("2026-05-18T12:00:00Z")), "2026-05-18T12:00:00+00:00");
        assert_eq!(isoformat(time("2026-05-18T14:00:00.25+02:00")), "2026-05-18T12:00:00.250000+00:00");
    }

    #[test]
    fn private_follows_pythons_idea_of_truth() {
        for yes in ["true", "1", "-0.5", "\"false\"", "[0]", "{\"a\":0}"] {
            assert!(truthy(yes), "{yes}");
        }
        for no in ["false", "0", "0.0", "-0.0", "\"\"", "[]", "{}", "null"] {
            assert!(!truthy(no), "{no}");
        }
    }

    #[test]
    fn each_malformed_key_is_named_and_no_value_is_repeated() {
        let good = render(&session()).to_string();
        let cases = [
            (good.replace("\"email\": \"dev@example.com\"", "\"email\": 71"), "email"),
            (good.replace("\"session_id\"", "\"was_session_id\""), "session_id"),
            (
                good.replace("\"access_token\": \"access-secret\"", "\"access_token\": [\"access-secret\"]"),
                "access_token",
            ),
            (good.replace("2026-05-18T12:00:00+00:00", "2026-05-18T12:00:00"), "issued_at"),
            (good.replace("\"generation\": null", "\"generation\": \"x\""), "generation"),
            (good.replace("\"role\":\"owner\"", "\"role\":null"), "teams[1].role"),
            (good.replace("\"teams\": [", "\"teams\": [7, "), "teams"),
        ];
        for (text, key) in cases {
            assert_ne!(text, good, "the case for {key} changes nothing");
            let message = parse(text.as_bytes()).expect_err(key).to_string();
            assert!(message.contains(&format!("`{key}`")), "{key}: {message}");
            assert!(!message.contains("secret") && !message.contains("71"), "{message}");
        }
    }

    #[test]
    fn unknown_refresh_expiry_is_none_in_all_its_forms() {
        let good = render(&session()).to_string();
        for form in ["null", "\"\""] {
            let text = good.replace("\"2099-06-01T00:00:00+00:00\"", form);
            assert_eq!(parse(text.as_bytes()).expect("a session").refresh_token_expires_at, None);
        }
    }
}
