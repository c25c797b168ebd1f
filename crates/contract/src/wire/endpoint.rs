//! Paths and headers. Trailing slashes are exact: present on the ingest routes, absent on `/oauth`,
//! `me`, `session-status` and `ws-token`.

/// POST: events, gzip or plain. Without the team header the server derives the team.
pub const EVENTS_BATCH: &str = "/api/v1/events/batch/";
/// POST: events as in a batch, plain JSON; judged and not stored. Releases up to 3.2.7 ask before they import history.
pub const EVENTS_PREFLIGHT: &str = "/api/v1/events/preflight/";
/// POST: one artifact body, plain JSON, no team header.
pub const PUSH_CONTENT: &str = "/api/dossier/push-content/";
/// GET: limits.
pub const SYNC_HEALTH: &str = "/api/v1/sync/health/";
/// POST: whether the server still has rows that it acknowledged. Needs the team header. Ours.
pub const RECEIPTS: &str = "/api/v1/sync/receipts/";
/// GET: the shares of a project. POST: share it with another team.
pub const REPOSITORY_SHARES: &str = "/api/v1/sync/repository-shares/";
/// POST: stop sharing a project with another team.
pub const LEAVE_SHARE: &str = "/api/v1/sync/repository-shares/leave/";
/// POST of `{}`: delete a project from the account's private teamspaces. `{project_uuid}` is the project.
pub const FORGET_PROJECT: &str = "/api/v1/sync/projects/{project_uuid}/forget-private/";
/// GET: who the token belongs to.
pub const ME: &str = "/api/v1/me";
/// GET: whether the session is still known.
pub const SESSION_STATUS: &str = "/api/v1/session-status";
/// POST: a WebSocket token. This server has no live channel and answers 403.
pub const WS_TOKEN: &str = "/api/v1/ws-token";
/// GET in a browser, POST of its form.
pub const OAUTH_AUTHORIZE: &str = "/oauth/authorize";
/// POST: start a device flow.
pub const OAUTH_DEVICE: &str = "/oauth/device";
/// POST: code, device code or refresh token for tokens.
pub const OAUTH_TOKEN: &str = "/oauth/token";
/// POST: revoke a refresh token.
pub const OAUTH_REVOKE: &str = "/oauth/revoke";
/// GET in a browser, POST of its form: approve a device.
pub const DEVICE_APPROVAL: &str = "/device";
/// GET: events that the server stores, newest last. Ours, not the reference's.
pub const INSPECT_EVENTS: &str = "/api/v1/inspect/events";
/// GET: bodies that the server stores. Ours.
pub const INSPECT_BODIES: &str = "/api/v1/inspect/bodies";
/// GET: the process runs.
pub const HEALTHZ: &str = "/healthz";
/// GET: the store answers.
pub const READYZ: &str = "/readyz";
/// GET: counters in the Prometheus text format.
pub const METRICS: &str = "/metrics";
/// GET: the description of all routes, OpenAPI 3.1.
pub const OPENAPI: &str = "/openapi.json";

/// The header that names the team. Its value is the private teamspace's **id**, despite its name.
pub const TEAM_HEADER: &str = "X-Team-Slug";
/// The header of a health request that names the newest receipts; see [`super::receipts`].
pub const RECEIPTS_HEADER: &str = "X-Spec-Kitty-Receipts";
/// The header by which releases up to 3.2.7 are recognised, on batches, preflights and bodies. They keep a
/// refused request only after certain answers, which a server must therefore choose.
pub const SYNC_PROTOCOL_HEADER: &str = "X-Spec-Kitty-Sync-Protocol";
/// The value of [`SYNC_PROTOCOL_HEADER`].
pub const SYNC_PROTOCOL_VERSION: &str = "2.0";
/// The header that carries [`CONTRACT_VERSION`] on every request of this client.
pub const CONTRACT_HEADER: &str = "X-Spec-Kitty-Contract";
/// `<major>.<minor>` of the published event contract a client implements. A server that no longer
/// reads that major answers 426.
pub const CONTRACT_VERSION: &str = "5.2";

/// The `User-Agent` of this client.
pub fn user_agent(version: &str) -> String {
    format!("spec-kitty/{version}")
}
