//! Administration on the server's machine, also while a server runs on the same data.
//!
//! Write access to the data directory or the database makes an administrator; there is no network route for these
//! commands. Secrets are returned once and stored only as hashes.

use crate::error::ServerError;
use crate::secret::{self, SecretText, TokenHash};
use crate::serve;
use crate::store::{
    self, Account, CiTokenRecord, CopiedTable, DatabaseUrl, EndedLogins, EndedMembership, Forgotten,
    NewAccount, NewCiToken, NewTeam, ProjectRecord, PrunePlan, Retention, SessionRecord, Store, StoreError,
    StoreLocation, StoredRows, TeamRecord, own_team_name,
};
use crate::time::UnixMillis;
use contract::wire::CiToken;
use std::path::Path;
use ulid::Ulid;

/// The accounts of one store.
pub struct Admin {
    store: Store,
    runtime: tokio::runtime::Runtime,
}

/// A created account, with the secret that its owner types on the approval page.
#[derive(Debug)]
pub struct CreatedAccount {
    /// The account, as it is stored.
    pub account: Account,
    /// Shown once.
    pub approval_secret: SecretText,
    /// Whether its private teamspace is new.
    pub is_new_team: bool,
}

/// A new approval secret of an account, and what it ended.
#[derive(Debug)]
pub struct ReplacedSecret {
    /// Shown once.
    pub approval_secret: SecretText,
    /// Logins that the old one had allowed.
    pub ended: EndedLogins,
}

/// An issued machine token.
#[derive(Debug)]
pub struct IssuedCiToken {
    /// The stored part.
    pub record: CiTokenRecord,
    /// The bearer value. Shown once.
    pub token: SecretText,
}

/// Fate of private teamspaces whose only member is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SoleTeams {
    /// The account is not removed.
    Refuse,
    /// They are deleted with their events and bodies.
    Delete,
    /// The members of this team become their members.
    HandOver(String),
}

/// A removed account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedAccount {
    /// As it was.
    pub account: Account,
    /// Ids of the deleted teamspaces.
    pub deleted_teams: Vec<String>,
    /// Ids of the teamspaces that other members took over.
    pub handed_over_teams: Vec<String>,
    /// Rows of the deleted teamspaces.
    pub forgotten: Forgotten,
}

impl Admin {
    /// Opens the accounts of an existing store. A misspelt directory is an error, not an empty server.
    pub fn open_existing(location: impl Into<StoreLocation>) -> Result<Self, ServerError> {
        let location = location.into();
        location.check_exists()?;
        Self::open(location)
    }

    /// Opens the accounts of a store, and creates the store if it does not exist.
    pub fn open(location: impl Into<StoreLocation>) -> Result<Self, ServerError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(ServerError::Thread)?;
        let store = runtime.block_on(Store::open(&location.into()))?;
        Ok(Self { store, runtime })
    }

    /// Creates an account. `team` is the id of its private teamspace: `None` for a new one, an existing
    /// one to share it.
    pub fn create_account(
        &self,
        email: &str,
        name: Option<&str>,
        team: Option<&str>,
    ) -> Result<CreatedAccount, ServerError> {
        let email = checked_email(email)?;
        let name = checked_text("--name", name.unwrap_or(email), 200)?;
        let user = Ulid::generate();
        let own_team = format!("pt-{}", user.to_string().to_lowercase());
        let team_id = checked_team(team.unwrap_or(&own_team))?;
        let approval_secret = secret::draw_approval_secret()?;
        let account = NewAccount {
            user_id: format!("usr_{user}"),
            email: email.to_owned(),
            name: name.to_owned(),
            secret_hash: secret::hash_approval_secret(&approval_secret)?,
            team_id: team_id.to_owned(),
            // A teamspace with a chosen id belongs to no one person.
            team_name: team.map_or_else(|| own_team_name(name), |_| team_id.to_owned()),
            now: UnixMillis::now(),
        };
        let account = self.wait(self.store.create_account(account))?;
        // Its first account owns a teamspace; those that join are members.
        let is_new_team = account.teams.iter().any(|team| team.role == "owner");
        Ok(CreatedAccount { account, approval_secret, is_new_team })
    }

    /// All accounts, oldest first.
    pub fn accounts(&self) -> Result<Vec<Account>, ServerError> {
        self.wait(self.store.accounts())
    }

    /// The account of an e-mail address.
    pub fn account(&self, email: &str) -> Result<Account, ServerError> {
        self.wait(self.store.account(checked_email(email)?.to_owned()))
    }

    /// Disables an account and ends its sessions and machine tokens.
    pub fn disable_account(&self, email: &str) -> Result<(Account, EndedLogins), ServerError> {
        self.wait(self.store.disable_account(checked_email(email)?.to_owned(), UnixMillis::now()))
    }

    /// Enables an account. Its owner has to log in again.
    pub fn enable_account(&self, email: &str) -> Result<Account, ServerError> {
        self.wait(self.store.enable_account(checked_email(email)?.to_owned()))
    }

    /// Erases an account. The events of its teams stay, except as `sole_teams` decides. Interrupted, it is
    /// finished by a second call.
    pub fn remove_account(&self, email: &str, sole_teams: &SoleTeams) -> Result<RemovedAccount, ServerError> {
        let email = checked_email(email)?;
        let (mut deleted_teams, mut handed_over_teams) = (Vec::new(), Vec::new());
        let mut forgotten = Forgotten::default();
        match sole_teams {
            SoleTeams::Refuse => {}
            SoleTeams::HandOver(team) => {
                let (email, team) = (email.to_owned(), checked_team(team)?.to_owned());
                let handed_over = self.store.hand_over_teams(email, team, UnixMillis::now());
                handed_over_teams = self.wait(handed_over)?;
            }
            SoleTeams::Delete => {
                for (key, team_id) in self.wait(self.store.sole_teams(email.to_owned()))? {
                    for project in self.wait(self.store.projects(Some(team_id.clone())))? {
                        let rows = self.wait(self.store.forget_project(key, &project.project_uuid))?;
                        forgotten.events += rows.events;
                        forgotten.builds += rows.builds;
                        forgotten.bodies += rows.bodies;
                    }
                    self.wait(self.store.delete_empty_team(key, email.to_owned()))?;
                    deleted_teams.push(team_id);
                }
            }
        }
        let account = self.wait(self.store.erase_account(email.to_owned()))?;
        Ok(RemovedAccount { account, deleted_teams, handed_over_teams, forgotten })
    }

    /// Creates a team without members. Events are sent to private teamspaces; projects are shared with
    /// the other teams.
    pub fn add_team(
        &self,
        team: &str,
        name: Option<&str>,
        is_private: bool,
    ) -> Result<TeamRecord, ServerError> {
        let team_id = checked_team(team)?.to_owned();
        let name = checked_text("--name", name.unwrap_or(team), 200)?.to_owned();
        self.wait(self.store.add_team(NewTeam { team_id, name, is_private, now: UnixMillis::now() }))
    }

    /// All teams, oldest first.
    pub fn teams(&self) -> Result<Vec<TeamRecord>, ServerError> {
        self.wait(self.store.teams())
    }

    /// Changes the name of a team that is shown; its id stays.
    pub fn rename_team(&self, team: &str, name: &str) -> Result<TeamRecord, ServerError> {
        let name = checked_text("NAME", name, 200)?.to_owned();
        self.wait(self.store.rename_team(checked_team(team)?.to_owned(), name))
    }

    /// Adds an account to a team, or changes its role there.
    pub fn add_member(&self, team: &str, email: &str, is_owner: bool) -> Result<TeamRecord, ServerError> {
        let (team, email) = (checked_team(team)?.to_owned(), checked_email(email)?.to_owned());
        let role = if is_owner { "owner" } else { "member" };
        self.wait(self.store.add_member(team, email, role.to_owned(), UnixMillis::now()))
    }

    /// Ends a membership, with its machine tokens and shares. The last member of a private teamspace stays.
    pub fn remove_member(&self, team: &str, email: &str) -> Result<EndedMembership, ServerError> {
        let (team, email) = (checked_team(team)?.to_owned(), checked_email(email)?.to_owned());
        self.wait(self.store.remove_member(team, email, UnixMillis::now()))
    }

    /// Sessions that run, oldest first; with `ended` also the others.
    pub fn sessions(&self, email: Option<&str>, ended: bool) -> Result<Vec<SessionRecord>, ServerError> {
        let email = email.map(checked_email).transpose()?.map(str::to_owned);
        self.wait(self.store.sessions(email, ended, UnixMillis::now()))
    }

    /// Ends a session by its id. False if no session that runs has the id.
    pub fn end_session(&self, session_id: &str) -> Result<bool, ServerError> {
        self.wait(self.store.end_session(session_id.to_owned(), None, UnixMillis::now()))
    }

    /// Ends every session of an account. Returns how many ran.
    pub fn end_sessions_of(&self, email: &str) -> Result<u64, ServerError> {
        self.wait(self.store.end_sessions_of(checked_email(email)?.to_owned(), UnixMillis::now()))
    }

    /// The projects of a team, or of all teams.
    pub fn projects(&self, team: Option<&str>) -> Result<Vec<ProjectRecord>, ServerError> {
        let team = team.map(checked_team).transpose()?.map(str::to_owned);
        self.wait(self.store.projects(team))
    }

    /// Forgets a project of a team: events, bodies and shares. `None` if the team has no such project.
    pub fn forget_project(&self, team: &str, project_uuid: &str) -> Result<Option<Forgotten>, ServerError> {
        let projects = self.projects(Some(team))?;
        let is_named = |project: &&ProjectRecord| project.project_uuid.eq_ignore_ascii_case(project_uuid);
        let Some(project) = projects.iter().find(is_named) else { return Ok(None) };
        self.wait(self.store.forget_project(project.key, &project.project_uuid)).map(Some)
    }

    /// Plans the deletion of the oldest events and bodies of a team, or of all teams.
    pub fn plan_pruning(&self, retention: Retention, team: Option<&str>) -> Result<PrunePlan, ServerError> {
        let team = team.map(checked_team).transpose()?.map(str::to_owned);
        self.wait(self.store.plan_pruning(retention, team, UnixMillis::now()))
    }

    /// Deletes what the plan names. Interrupted, it is continued by a second plan.
    pub fn prune(&self, plan: &PrunePlan) -> Result<StoredRows, ServerError> {
        self.wait(self.store.prune(*plan))
    }

    /// Replaces an account's approval secret, and ends its sessions and machine tokens.
    pub fn replace_secret(&self, email: &str) -> Result<ReplacedSecret, ServerError> {
        let email = checked_email(email)?;
        let approval_secret = secret::draw_approval_secret()?;
        let hash = secret::hash_approval_secret(&approval_secret)?;
        let ended = self.wait(self.store.replace_secret(email.to_owned(), hash, UnixMillis::now()))?;
        Ok(ReplacedSecret { approval_secret, ended })
    }

    /// Issues a machine token for an account and one of its private teamspaces (`None`: the first).
    pub fn issue_ci_token(
        &self,
        email: &str,
        team: Option<&str>,
        label: &str,
    ) -> Result<IssuedCiToken, ServerError> {
        let email = checked_email(email)?;
        let label = checked_text("--label", label, 200)?;
        let team_id = match team {
            Some(team) => checked_team(team)?.to_owned(),
            None => self.first_private_team(email)?,
        };
        let secret = secret::draw_token("")?;
        let token = SecretText::new(CiToken::new(email, &team_id, secret.expose()).expose());
        let record = NewCiToken {
            id: format!("cit_{}", Ulid::generate()),
            email: email.to_owned(),
            team_id,
            label: label.to_owned(),
            hash: TokenHash::of(token.expose()),
            now: UnixMillis::now(),
        };
        Ok(IssuedCiToken { record: self.wait(self.store.add_ci_token(record))?, token })
    }

    /// All machine tokens, without secrets.
    pub fn ci_tokens(&self) -> Result<Vec<CiTokenRecord>, ServerError> {
        self.wait(self.store.ci_tokens(None))
    }

    /// Revokes a machine token by its id. False if no valid token has the id.
    pub fn revoke_ci_token(&self, id: &str) -> Result<bool, ServerError> {
        self.wait(self.store.revoke_ci_token(id.to_owned(), None))
    }

    fn first_private_team(&self, email: &str) -> Result<String, ServerError> {
        let accounts = self.accounts()?;
        let account = accounts.iter().find(|account| account.email.eq_ignore_ascii_case(email));
        let account = account.ok_or(ServerError::Store(StoreError::NoAccount))?;
        let team = account.teams.iter().find(|team| team.is_private);
        team.map(|team| team.team_id.clone()).ok_or(ServerError::Store(StoreError::NoMembership))
    }

    fn wait<T>(&self, pending: impl Future<Output = Result<T, StoreError>>) -> Result<T, ServerError> {
        Ok(self.runtime.block_on(pending)?)
    }
}

/// Copies the store of a directory into an empty PostgreSQL database, verified by counts and digests. The
/// directory stays as it is; a server that uses it must be stopped.
pub fn copy_store(from: &Path, to: &DatabaseUrl) -> Result<Vec<CopiedTable>, ServerError> {
    StoreLocation::from(from).check_exists()?;
    let _lock = serve::lock(from)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(ServerError::Thread)?.block_on(store::copy(from, to))
}

/// Accepts `local@domain`. The address becomes part of scopes, so separators and white space are refused.
fn checked_email(email: &str) -> Result<&str, ServerError> {
    let email = contract::scope::trim(email);
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"|<>()[],;:\\\"".contains(c);
    let whole = email.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@') && email.chars().all(plain)
    });
    if whole && email.len() <= 254 {
        Ok(email)
    } else {
        Err(ServerError::Argument("--email", "must be an e-mail address"))
    }
}

/// A team id is part of a header and of scopes: letters, digits, `-`, `_` and `.`.
fn checked_team(team: &str) -> Result<&str, ServerError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !team.is_empty() && team.len() <= 64 && team.chars().all(plain) {
        Ok(team)
    } else {
        let problem = "must be 1 to 64 letters, digits, `-`, `_` or `.`";
        Err(ServerError::Argument("--team", problem))
    }
}

fn checked_text<'t>(argument: &'static str, text: &'t str, most: usize) -> Result<&'t str, ServerError> {
    let text = text.trim();
    if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
        Err(ServerError::Argument(argument, "must be one short line of text"))
    } else {
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_has_a_team_and_a_unique_address() {
        let directory = tempfile::tempdir().unwrap();
        let admin = Admin::open(directory.path()).unwrap();
        let created = admin.create_account("Dev@Example.com", Some("Dev"), None).unwrap();
        assert_eq!(created.account.teams.len(), 1);
        assert!(created.account.teams[0].is_private && created.account.teams[0].role == "owner");
        let again = admin.create_account(" dev@example.COM ", None, None).unwrap_err();
        assert!(matches!(again, ServerError::Store(StoreError::AccountExists)), "{again}");
        let second =
            admin.create_account("b@example.com", None, Some(&created.account.teams[0].team_id)).unwrap();
        assert_eq!((second.account.teams[0].role.as_str(), second.is_new_team), ("member", false));
        let named = admin.create_account("c@example.com", Some("Cy"), Some("Guild")).unwrap();
        assert_eq!((named.account.teams[0].name.as_str(), named.is_new_team), ("Guild", true));
        assert_eq!(admin.accounts().unwrap().len(), 3);
    }

    #[test]
    fn ci_token_names_its_scope_and_needs_membership() {
        let directory = tempfile::tempdir().unwrap();
        let admin = Admin::open(directory.path()).unwrap();
        admin.create_account("a@example.com", None, Some("Team-A")).unwrap();
        admin.create_account("b@example.com", None, Some("Team-B")).unwrap();
        let issued = admin.issue_ci_token("a@example.com", None, "build").unwrap();
        let token = CiToken::parse(issued.token.expose()).unwrap();
        assert_eq!((token.user.as_str(), token.team.as_str()), ("a@example.com", "Team-A"));
        assert!(!format!("{issued:?}").contains(issued.token.expose()));
        let other = admin.issue_ci_token("a@example.com", Some("Team-B"), "x").unwrap_err();
        assert!(matches!(other, ServerError::Store(StoreError::NoMembership)), "{other}");
        assert!(admin.revoke_ci_token(&issued.record.id).unwrap());
        assert!(!admin.revoke_ci_token(&issued.record.id).unwrap());
    }

    #[test]
    fn argument_that_breaks_a_header_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let admin = Admin::open(directory.path()).unwrap();
        for email in ["", "a", "a@", "@b", "a b@c", "a|b@c", "a@b@c", "a@b\n"] {
            let trimmed_ok = email == "a@b\n";
            assert_eq!(admin.create_account(email, None, None).is_ok(), trimmed_ok, "{email:?}");
        }
        for team in ["", "a b", "a|b", "ü", &"x".repeat(65)] {
            assert!(admin.create_account("t@example.com", None, Some(team)).is_err(), "{team:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn data_directory_and_database_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let admin = Admin::open(data.as_path()).unwrap();
        admin.create_account("a@example.com", None, None).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data), 0o700);
        for entry in std::fs::read_dir(&data).unwrap().flatten() {
            assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
        }
    }
}
