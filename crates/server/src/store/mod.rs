//! What a server remembers, and the promise every store gives.
//!
//! A store is durable: when a future of a changing operation resolves to `Ok`, the change survives
//! a kill of the process. Operations are atomic: each happens wholly or not at all. Idempotency is
//! by (team, canonical event id) and by (team, namespace, path, content hash).
//!
//! The operations are written so that no caller needs a transaction: what must not be torn is one
//! operation (redeeming a code creates the session).

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

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused: disk full, damaged, locked by another program.
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

/// The answer of a store, when it comes.
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
    /// Revokes a machine token; whether there was one.
    fn revoke_ci_token(&self, id: String) -> StoreFuture<'_, bool>;
    /// Who a bearer token stands for at `now`: a live access token or machine token of a live account.
    fn principal(&self, token: TokenHash, now: UnixMillis) -> StoreFuture<'_, Option<Principal>>;
}

/// Logins: device requests, authorization codes, sessions.
pub(crate) trait LoginStore {
    /// Records a device request. Where there is no room, the oldest one that waits and was never opened
    /// gives way: of this address when its share is full, of the address that holds most when all is.
    fn start_device(&self, device: NewDevice, room: DeviceRoom) -> StoreFuture<'_, DeviceStart>;
    /// The request a user code stands for, while it lives, and notes that a person opened it. An unknown
    /// code counts as a guess.
    fn open_device(&self, user_code: String, guess: Guess) -> StoreFuture<'_, DeviceLookup>;
    /// Counts a guess, before it is known whether it is right; or says how long it must wait.
    fn begin_guess(&self, guess: Guess) -> StoreFuture<'_, Option<Duration>>;
    /// Takes back a counted guess that was right.
    fn take_back_guess(&self, guess: Guess) -> StoreFuture<'_, ()>;
    /// Approves or denies a request.
    fn decide_device(
        &self,
        user_code: String,
        decision: DeviceDecision,
        now: UnixMillis,
    ) -> StoreFuture<'_, DeviceDecisionOutcome>;
    /// What a poll gets; an approved request is consumed and becomes a session.
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
    /// Ends the session a refresh or access token belongs to; whether there was one.
    fn revoke(&self, token: TokenHash, now: UnixMillis) -> StoreFuture<'_, bool>;
    /// Notes that an access token arrived, so that its refresh token is known to have arrived too.
    fn mark_seen(&self, access_token: TokenHash, now: UnixMillis) -> StoreFuture<'_, ()>;
}

/// Events and bodies.
pub(crate) trait EventStore {
    /// Stores events that are not held yet; one outcome each, in the order of the blocks.
    fn ingest(
        &self,
        team: TeamKey,
        blocks: Vec<NewBlock>,
        now: UnixMillis,
    ) -> StoreFuture<'_, Vec<EventOutcome>>;
    /// Stores a body for the first of `teams` that holds the index event of its path.
    fn push_body(&self, teams: Vec<TeamKey>, body: NewBody, now: UnixMillis) -> StoreFuture<'_, BodyOutcome>;
    /// Events of the given teams, oldest first.
    fn events(&self, query: EventQuery) -> StoreFuture<'_, Page<HeldEvent>>;
    /// Bodies of the given teams, oldest first.
    fn bodies(&self, query: EventQuery) -> StoreFuture<'_, Page<HeldBody>>;
    /// Which of the rows the store still has.
    fn held(&self, query: HeldQuery) -> StoreFuture<'_, HeldStates>;
    /// What the store holds in all.
    fn totals(&self) -> StoreFuture<'_, Totals>;
    /// Whether the store answers.
    fn ping(&self) -> StoreFuture<'_, ()>;
}

/// A whole store.
pub(crate) trait ServerStore: AccountStore + LoginStore + EventStore + Send + Sync + 'static {}

impl<S: AccountStore + LoginStore + EventStore + Send + Sync + 'static> ServerStore for S {}
