//! Account of a token, and the session made from it.

use super::login_error::LoginError;
use crate::http::{Bearer, Client, HttpRequest};
use crate::server_address::ServerAddress;
use contract::wire::endpoint::ME;
use contract::wire::oauth::{SCOPE, TokenGrant};
use contract::wire::{Me, me};
use identity::session::{Team, UnknownKeys};
use identity::{Secret, Session};
use jiff::{SignedDuration, Timestamp};
use zeroize::Zeroizing;

/// Longest life that a server's `expires_in` is believed to mean.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(24 * 366 * 10);

/// Requests the account of `bearer`.
///
/// # Errors
/// No answer, a refusal, or an answer without user and teams.
pub(crate) fn send_me(client: &Client, server: &ServerAddress, bearer: &Bearer) -> Result<Me, LoginError> {
    let answer = client.send(server, &HttpRequest { bearer: Some(bearer), ..HttpRequest::get(ME) })?;
    let host = || server.host().to_string();
    if answer.status != 200 {
        return Err(LoginError::Account { host: host(), why: format!("HTTP {}", answer.status) });
    }
    let me: Me =
        answer.document().map_err(|error| LoginError::Account { host: host(), why: error.to_string() })?;
    let missing =
        |what: &str| LoginError::Account { host: host(), why: format!("the account has no {what}") };
    if contract::scope::trim(&me.user_id).is_empty() {
        return Err(missing("user_id"));
    }
    if contract::scope::trim(&me.email).is_empty() {
        return Err(missing("email"));
    }
    if me.teams.is_empty() {
        return Err(missing("team"));
    }
    Ok(me)
}

/// The parts of a login.
pub(super) struct GrantedLogin<'a> {
    pub(super) grant: TokenGrant,
    pub(super) me: Me,
    pub(super) auth_method: &'static str,
    /// The base URL that issued the tokens.
    pub(super) issuer: &'a str,
    pub(super) now: Timestamp,
}

/// The session of a login. Pure.
pub(super) fn plan_session(facts: GrantedLogin<'_>) -> Result<Session, LoginError> {
    let GrantedLogin { grant, me, auth_method, issuer, now } = facts;
    let missing = |what: &str| LoginError::Grant { host: issuer.to_owned(), missing: what.to_owned() };
    let refresh_token_expires_at = plan_refresh_expiry(&grant, me.refresh_token_expires_at.as_deref(), now);
    let refresh_token =
        grant.refresh_token.filter(|token| !token.is_empty()).ok_or_else(|| missing("refresh_token"))?;
    let session_id = grant.session_id.filter(|id| !id.is_empty()).ok_or_else(|| missing("session_id"))?;
    if grant.access_token.is_empty() {
        return Err(missing("access_token"));
    }
    let teams = plan_teams(&me.teams);
    Ok(Session {
        user_id: me.user_id,
        name: me.name.filter(|name| !name.is_empty()).unwrap_or_else(|| me.email.clone()),
        email: me.email,
        default_team_id: default_team(&teams),
        teams,
        access_token: taken(grant.access_token),
        refresh_token: taken(refresh_token),
        session_id,
        issued_at: now,
        access_token_expires_at: plan_expiry(now, grant.expires_in),
        refresh_token_expires_at,
        scope: grant.scope.unwrap_or_else(|| SCOPE.to_owned()),
        last_used_at: now,
        auth_method: auth_method.to_owned(),
        generation: grant.generation.and_then(|generation| i64::try_from(generation).ok()),
        issuer: Some(issuer.to_owned()),
        unknown: UnknownKeys::default(),
    })
}

/// The session after a refresh: what the answer does not name stays. Pure.
pub(super) fn plan_refreshed(stored: &Session, grant: TokenGrant, now: Timestamp) -> Session {
    let refresh_token_expires_at = plan_refresh_expiry(&grant, None, now).or(stored.refresh_token_expires_at);
    let mut session = stored.clone();
    session.refresh_token_expires_at = refresh_token_expires_at;
    session.access_token_expires_at = plan_expiry(now, grant.expires_in);
    session.access_token = taken(grant.access_token);
    if let Some(token) = grant.refresh_token.filter(|token| !token.is_empty()) {
        session.refresh_token = taken(token);
    }
    if let Some(scope) = grant.scope {
        session.scope = scope;
    }
    if let Some(generation) = grant.generation.and_then(|generation| i64::try_from(generation).ok()) {
        session.generation = Some(generation);
    }
    session.last_used_at = now;
    session
}

/// The token itself, moved and not copied.
fn taken(mut token: Zeroizing<String>) -> Secret {
    Secret::new(std::mem::take(&mut *token))
}

fn plan_teams(teams: &[me::AccountTeam]) -> Vec<Team> {
    teams
        .iter()
        .map(|team| Team {
            id: team.id.clone(),
            name: team.name.clone(),
            role: team.role.clone(),
            private: team.is_private_teamspace,
        })
        .collect()
}

/// For display only: the first private teamspace, else the first team.
pub(super) fn default_team(teams: &[Team]) -> String {
    teams.iter().find(|team| team.private).or(teams.first()).map(|team| team.id.clone()).unwrap_or_default()
}

fn plan_expiry(now: Timestamp, seconds: u64) -> Timestamp {
    let life = i64::try_from(seconds).map_or(LONGEST_LIFE, SignedDuration::from_secs).min(LONGEST_LIFE);
    now.checked_add(life).unwrap_or(Timestamp::MAX)
}

/// Token date, account date, token seconds, unknown: the first that is there and is a date.
fn plan_refresh_expiry(grant: &TokenGrant, me: Option<&str>, now: Timestamp) -> Option<Timestamp> {
    let date = |text: Option<&str>| text.and_then(|text| text.trim().parse::<Timestamp>().ok());
    date(grant.refresh_token_expires_at.as_deref())
        .or_else(|| date(me))
        .or_else(|| grant.refresh_token_expires_in.map(|seconds| plan_expiry(now, seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: &str = "2026-05-18T12:00:00Z";

    fn facts(grant: Value, me: Value) -> GrantedLogin<'static> {
        GrantedLogin {
            grant: serde_json::from_value(grant).unwrap(),
            me: serde_json::from_value(me).unwrap(),
            auth_method: "device_code",
            issuer: "https://h.example",
            now: NOW.parse().unwrap(),
        }
    }

    fn grant() -> Value {
        json!({"access_token": "acc", "refresh_token": "ref", "expires_in": 60, "session_id": "s1"})
    }

    fn me() -> Value {
        json!({"user_id": "u1", "email": "dev@example.com",
            "teams": [{"id": "shared", "name": "S", "role": "member"},
                      {"id": "pt-1", "name": "P", "role": "owner", "is_private_teamspace": true}]})
    }

    #[test]
    fn session_names_its_issuer_and_the_first_private_team() {
        let session = plan_session(facts(grant(), me())).unwrap();
        assert_eq!(session.issuer.as_deref(), Some("https://h.example"));
        assert_eq!((session.default_team_id.as_str(), session.name.as_str()), ("pt-1", "dev@example.com"));
        assert_eq!(session.private_team().unwrap().id, "pt-1");
        assert_eq!(session.access_token_expires_at.to_string(), "2026-05-18T12:01:00Z");
        assert_eq!(session.refresh_token_expires_at, None);
    }

    #[test]
    fn grant_without_its_parts_is_named() {
        for key in ["refresh_token", "session_id"] {
            let mut grant = grant();
            grant.as_object_mut().unwrap().remove(key);
            let error = plan_session(facts(grant, me())).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn refresh_expiry_follows_its_precedence_and_skips_nonsense() {
        let expiry = |token: Value, me_date: Value| {
            let mut grant = grant();
            let mut account = me();
            grant["refresh_token_expires_in"] = json!(3600);
            grant["refresh_token_expires_at"] = token;
            account["refresh_token_expires_at"] = me_date;
            plan_session(facts(grant, account)).unwrap().refresh_token_expires_at.unwrap().to_string()
        };
        assert_eq!(
            expiry(json!("2027-01-01T00:00:00+00:00"), json!("2028-01-01T00:00:00Z")),
            "2027-01-01T00:00:00Z"
        );
        assert_eq!(expiry(json!(null), json!("2028-01-01T00:00:00Z")), "2028-01-01T00:00:00Z");
        assert_eq!(expiry(json!("tomorrow"), json!(null)), "2026-05-18T13:00:00Z");
    }

    #[test]
    fn absurd_lifetimes_neither_overflow_nor_last_for_ever() {
        let mut grant = grant();
        grant["expires_in"] = json!(u64::MAX);
        let session = plan_session(facts(grant, me())).unwrap();
        assert!(session.access_token_expires_at.to_string().starts_with("2036-"));
    }

    #[test]
    fn refresh_keeps_what_the_answer_does_not_name() {
        let mut before = plan_session(facts(grant(), me())).unwrap();
        before.generation = Some(3);
        let answer = serde_json::from_value(json!({"access_token": "acc-2"})).unwrap();
        let after = plan_refreshed(&before, answer, NOW.parse().unwrap());
        assert_eq!((after.access_token.expose(), after.refresh_token.expose()), ("acc-2", "ref"));
        assert_eq!((after.generation, &after.teams, &after.issuer), (Some(3), &before.teams, &before.issuer));
    }
}
