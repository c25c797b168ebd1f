//! Durable state of the server, and the guarantees of every store.
//!
//! A store is durable: when the future of a change resolves to `Ok`, the change survives a kill of the
//! process. Operations are atomic. Idempotency is by (team, canonical event id) and by (team, namespace,
//! path, content hash).
//!
//! No caller needs a transaction: changes that belong together are one operation (redeeming a code
//! creates the session).

mod account;
mod event;
mod session;
pub(crate) mod sqlite;

pub use account::{Account, CiTokenRecord, Membership};
pub(crate) use account::{NewAccount, NewCiToken, Principal, TeamKey, is_same_team};
pub(crate) use event::{
    ArtifactKey, BodyOutcome, EventOutcome, EventQuery, HeldQuery, HeldStates, NewBlock, NewBody, NewEvent,
    Totals,
};
pub(crate) use session::{
    CodeRedemption, DeviceDecision, DeviceDecisionOutcome, DeviceLookup, DevicePoll, DeviceRequest,
    DeviceRoom, DeviceStart, Guess, GuessCounter, NewCode, NewDevice, NewTokens, Refresh, SessionGrant,
};

use crate::secret::TokenHash;
use crate::time::UnixMillis;
use contract::wire::inspect::{HeldBody, HeldEvent, Page};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// Failure of a store operation.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite failed: disk full, damaged file, lock of another program.
    #[error("the server's database failed: {0}")]
    Database(String),
    /// The store is shutting down.
    #[error("the server's database is closed")]
    Closed,
    /// The e-mail address belongs to an account already.
    #[error("an account with this e-mail address exists")]
    AccountExists,
    /// No such account.
    #[error("no account has this e-mail address")]
    NoAccount,
    /// The account is not a member of that team.
    #[error("the account is not a member of this team")]
    NoMembership,
}

pub(crate) type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Accounts, teams and machine tokens.
pub(crate) trait AccountStore {
    /// Creates an account and, unless it exists, its private teamspace.
    fn create_account(&self, account: NewAccount) -> StoreFuture<'_, Account>;
    /// Replaces the hash of an account's approval secret.
    fn replace_secret(&self, email: String, secret_hash: String) -> StoreFuture<'_, ()>;
    /// All accounts, oldest first.
    fn accounts(&self) -> StoreFuture<'_, Vec<Account>>;
    /// The account of an e-mail address (compared without case) and its secret's hash.
    fn account_secret(&self, email: String) -> StoreFuture<'_, Option<(Account, String)>>;
    /// Records a machine token. The account must be a member of the team.
    fn add_ci_token(&self, token: NewCiToken) -> StoreFuture<'_, CiTokenRecord>;
    /// All machine tokens, without secrets.
    fn ci_tokens(&self) -> StoreFuture<'_, Vec<CiTokenRecord>>;
    /// Revokes a machine token. False if there is none.
    fn revoke_ci_token(&self, id: String) -> StoreFuture<'_, bool>;
    /// The account behind a bearer token, if the token and the account are valid at `now`.
    fn principal(&self, token: TokenHash, now: UnixMillis) -> StoreFuture<'_, Option<Principal>>;
}

/// Logins: device requests, authorization codes, sessions.
pub(crate) trait LoginStore {
    /// Records a device request. At a limit, the oldest waiting request that was never opened is ended:
    /// of this address at the limit of the address, of the address with most requests at the total.
    fn start_device(&self, device: NewDevice, room: DeviceRoom) -> StoreFuture<'_, DeviceStart>;
    /// Finds the valid request of a user code and records that a person opened it. An unknown code counts
    /// as a guess.
    fn open_device(&self, user_code: String, guess: Guess) -> StoreFuture<'_, DeviceLookup>;
    /// Counts a guess before it is checked, or returns the time it must wait.
    fn begin_guess(&self, guess: Guess) -> StoreFuture<'_, Option<Duration>>;
    /// Uncounts a guess that was right.
    fn take_back_guess(&self, guess: Guess) -> StoreFuture<'_, ()>;
    /// Approves or denies a request.
    fn decide_device(
        &self,
        user_code: String,
        decision: DeviceDecision,
        now: UnixMillis,
    ) -> StoreFuture<'_, DeviceDecisionOutcome>;
    /// Polls a device request. An approved request is consumed and becomes a session.
    fn poll_device(&self, device_code: TokenHash, tokens: NewTokens) -> StoreFuture<'_, DevicePoll>;
    /// Records an authorization code.
    fn add_code(&self, code: NewCode) -> StoreFuture<'_, ()>;
    /// Exchanges a code for a session, once. A use that fails ends the code; a second use revokes the
    /// session of the first.
    fn redeem_code(
        &self,
        redemption: CodeRedemption,
        tokens: NewTokens,
    ) -> StoreFuture<'_, Option<SessionGrant>>;
    /// Rotates a refresh token.
    fn refresh(&self, refresh_token: TokenHash, tokens: NewTokens) -> StoreFuture<'_, Refresh>;
    /// Ends the session of a refresh or access token. False if there is none.
    fn revoke(&self, token: TokenHash, now: UnixMillis) -> StoreFuture<'_, bool>;
    /// Records the use of an access token, which proves that its refresh token has arrived too.
    fn mark_seen(&self, access_token: TokenHash, now: UnixMillis) -> StoreFuture<'_, ()>;
}

/// Events and bodies.
pub(crate) trait EventStore {
    /// Stores new events. Returns one outcome per event, in the order of the blocks.
    fn ingest(
        &self,
        team: TeamKey,
        blocks: Vec<NewBlock>,
        now: UnixMillis,
    ) -> StoreFuture<'_, Vec<EventOutcome>>;
    /// Stores a body for the first of `teams` that has the index event of its path.
    fn push_body(&self, teams: Vec<TeamKey>, body: NewBody, now: UnixMillis) -> StoreFuture<'_, BodyOutcome>;
    /// Events of the given teams, oldest first.
    fn events(&self, query: EventQuery) -> StoreFuture<'_, Page<HeldEvent>>;
    /// Bodies of the given teams, oldest first.
    fn bodies(&self, query: EventQuery) -> StoreFuture<'_, Page<HeldBody>>;
    /// Whether the store still has each of the rows.
    fn held(&self, query: HeldQuery) -> StoreFuture<'_, HeldStates>;
    fn totals(&self) -> StoreFuture<'_, Totals>;
    /// Checks that the store commits.
    fn ping(&self) -> StoreFuture<'_, ()>;
}

pub(crate) trait ServerStore: AccountStore + LoginStore + EventStore + Send + Sync + 'static {}

impl<S: AccountStore + LoginStore + EventStore + Send + Sync + 'static> ServerStore for S {}
