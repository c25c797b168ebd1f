//! The verbs of the Python CLI that this program lacks: a closed list, each with its class. The list is that of
//! release 3.2.7, without the groups `sync` and `auth`: delivery and login are this program's own.

use crate::verb::Class;
use contract::remedy::shell_line;

/// Verbs that change nothing, unless they are given one of [`WRITING_OPTIONS`].
const READING: &[&str] = &[
    "agent check-prerequisites",
    "agent config list",
    "agent config status",
    "agent profile get",
    "agent profile list",
    "agent profile show",
    "agent retrospect summary",
    "agent status doctor",
    "agent status lifecycle",
    "agent tasks check-terminability",
    "agent tasks validate-workflow",
    "agent tests stale-check",
    "archive list",
    "charter bundle validate",
    "charter context",
    "charter lint",
    "charter list",
    "charter mission-type list",
    "charter org validate",
    "charter pack consistency-check",
    "charter pack list",
    "charter pack path",
    "charter preflight",
    "charter status",
    "charter validate",
    "context",
    "context info",
    "context list",
    "context mission-show",
    "cutover-guard",
    "dashboard",
    "docs query",
    "doctor channel",
    "doctor command-files",
    "doctor contracts",
    "doctor coordination",
    "doctor cutover",
    "doctor doctrine",
    "doctor env-file",
    "doctor identity",
    "doctor invocation-pairing",
    "doctor mission-state",
    "doctor mission-type",
    "doctor ops",
    "doctor provenance",
    "doctor review-cycle-reconcile",
    "doctor shim-registry",
    "doctor skills",
    "doctor sparse-checkout",
    "doctor state-roots",
    "doctor tool-surfaces",
    "doctor topology",
    "doctor workspaces",
    "doctrine asset list",
    "doctrine asset path",
    "doctrine mission-type list",
    "doctrine org validate",
    "doctrine pack validate",
    "doctrine validate",
    "glossary conflicts",
    "glossary list",
    "glossary show",
    "glossary validate",
    "invocations list",
    "lint",
    "mission current",
    "mission info",
    "mission list",
    "mission show",
    "mission-type current",
    "mission-type info",
    "mission-type list",
    "mission-type show",
    "ops log",
    "orchestrator-api check-prerequisites",
    "orchestrator-api contract-version",
    "orchestrator-api design-status",
    "orchestrator-api list-ready",
    "orchestrator-api mission-state",
    "orchestrator-api resolve-workspace",
    "profiles get",
    "profiles list",
    "profiles show",
    "reconcile",
    "retrospect summary",
    "session-start",
    "session-stop",
    "validate-encoding",
    "validate-tasks",
    "verify-setup",
    "workflow list",
];

/// Options with which a reading verb writes.
const WRITING_OPTIONS: &[&str] = &["--apply", "--close-stale", "--fix", "--repair", "--write"];

/// Verbs that may write rows of a mission, or files from which such rows are made.
const PRODUCING: &[&str] = &[
    "accept",
    "agent action implement",
    "agent action review",
    "agent config add",
    "agent config remove",
    "agent config set",
    "agent config sync",
    "agent issue-verdict",
    "agent mission accept",
    "agent mission acceptance-verdict",
    "agent mission merge",
    "agent mission record-analysis",
    "agent mission repair",
    "agent release prep",
    "agent retrospect synthesize",
    "agent tasks finalize-tasks",
    "agent tracer-append",
    "archive create",
    "charter activate",
    "charter deactivate",
    "charter fetch",
    "charter generate",
    "charter interview",
    "charter new",
    "charter org init",
    "charter pack apply",
    "charter resynthesize",
    "charter sync",
    "charter synthesize",
    "context cleanup",
    "context mission-resolve",
    "dispatch",
    "doctrine fetch",
    "doctrine new",
    "doctrine org init",
    "doctrine pack assemble",
    "doctrine regenerate-graph",
    "glossary resolve",
    "implement",
    "intake",
    "issue-matrix migrate",
    "materialize",
    "merge",
    "migrate",
    "migrate backfill-identity",
    "migrate backfill-mission-type",
    "migrate backfill-provenance",
    "migrate backfill-runtime-state",
    "migrate backfill-topology",
    "migrate charter-encoding",
    "migrate normalize-lifecycle",
    "migrate rebaseline-dossier-hashes",
    "migrate rewrite-opposed-by",
    "mission close",
    "mission create",
    "mission follow-up",
    "mission reopen",
    "mission run",
    "mission-type close",
    "mission-type create",
    "mission-type follow-up",
    "mission-type reopen",
    "mission-type run",
    "next",
    "orchestrator-api accept-mission",
    "orchestrator-api answer-decision",
    "orchestrator-api append-history",
    "orchestrator-api cancel-decision",
    "orchestrator-api defer-decision",
    "orchestrator-api merge-mission",
    "orchestrator-api open-decision",
    "orchestrator-api plan",
    "orchestrator-api record-analysis",
    "orchestrator-api resolve-decision",
    "orchestrator-api specify",
    "orchestrator-api start-implementation",
    "orchestrator-api start-review",
    "orchestrator-api tasks",
    "orchestrator-api transition",
    "plugin build",
    "profile-invocation complete",
    "regen",
    "research",
    "retrospect backfill",
    "retrospect create",
    "review",
    "safe-commit",
    "spec-commit",
    "upgrade",
    "workflow export",
    "workflow import",
];

/// Verbs of this program that serve the purpose of a verb of the list.
const COUNTERPARTS: &[(&str, &str)] = &[
    ("accept", "agent evidence verify --mission MISSION"),
    ("agent action implement", "agent tasks move-task WP --to in_progress --mission MISSION"),
    ("agent action review", "agent tasks move-task WP --to in_review --mission MISSION"),
    ("agent check-prerequisites", "agent mission check-prerequisites --mission MISSION"),
    ("agent mission accept", "agent evidence verify --mission MISSION"),
    ("agent mission merge", "agent tasks move-task WP --to done --mission MISSION"),
    ("agent status lifecycle", "agent status show --mission MISSION"),
    ("agent tasks finalize-tasks", "agent mission finalize-tasks --mission MISSION"),
    ("dashboard", "agent status show"),
    ("doctor mission-state", "doctor repair --mission MISSION"),
    ("implement", "agent tasks move-task WP --to in_progress --mission MISSION"),
    ("materialize", "agent status materialize --mission MISSION"),
    ("merge", "agent tasks move-task WP --to done --mission MISSION"),
    ("mission info", "agent status show --mission MISSION"),
    ("next", "agent status show --mission MISSION"),
    ("orchestrator-api append-history", "agent tasks add-history WP --note NOTE --mission MISSION"),
    ("orchestrator-api cancel-decision", "agent decision cancel ID --rationale WHY --mission MISSION"),
    ("orchestrator-api check-prerequisites", "agent mission check-prerequisites --mission MISSION"),
    ("orchestrator-api defer-decision", "agent decision defer ID --rationale WHY --mission MISSION"),
    ("orchestrator-api list-ready", "agent tasks list --mission MISSION"),
    ("orchestrator-api mission-state", "agent status show --mission MISSION"),
    ("orchestrator-api plan", "agent mission setup-plan --mission MISSION"),
    (
        "orchestrator-api resolve-decision",
        "agent decision resolve ID --final-answer ANSWER --mission MISSION",
    ),
    ("orchestrator-api specify", "agent mission create NAME"),
    ("orchestrator-api start-implementation", "agent tasks move-task WP --to in_progress --mission MISSION"),
    ("orchestrator-api start-review", "agent tasks move-task WP --to in_review --mission MISSION"),
    ("orchestrator-api tasks", "agent mission finalize-tasks --mission MISSION"),
    ("orchestrator-api transition", "agent status emit WP --to LANE --actor WHO --mission MISSION"),
    ("review", "agent evidence verify --mission MISSION"),
];

/// One verb of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HandedVerb {
    /// The words after `spec-kitty`.
    pub words: &'static str,
    /// Its class without options.
    pub class: Class,
}

impl HandedVerb {
    /// Verb of this program for the same purpose, as words after `spec-kitty`.
    pub(crate) fn counterpart(self) -> Option<&'static str> {
        COUNTERPARTS.iter().find(|(words, _)| *words == self.words).map(|(_, counterpart)| *counterpart)
    }
}

/// The command of this program for the purpose of `line`, a command that runs in the Python CLI, with `work_package`
/// and `mission` in the places of its placeholders. Nothing for a command of this program; empty where it has none.
pub(crate) fn counterpart_of(line: &str, work_package: Option<&str>, mission: &str) -> Option<String> {
    let words = line.strip_prefix("spec-kitty ")?.split(' ');
    let Some(AskedVerb::Verb(verb, _)) = find(words) else { return None };
    let Some(counterpart) = verb.counterpart() else { return Some(String::new()) };
    let filled = counterpart.split(' ').map(|word| match word {
        "WP" => work_package.unwrap_or(word),
        "MISSION" => mission,
        word => word,
    });
    Some(shell_line(std::iter::once("spec-kitty").chain(filled)))
}

/// Every verb of the list.
pub(crate) fn all() -> impl Iterator<Item = HandedVerb> {
    let of =
        |words: &'static [&'static str], class| words.iter().map(move |words| HandedVerb { words, class });
    of(READING, Class::ReadOnly).chain(of(PRODUCING, Class::Producing))
}

/// Verb that a command line after `spec-kitty` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AskedVerb {
    /// A verb of the list, with the class that its options give it. Asking for help changes nothing.
    Verb(HandedVerb, Class),
    /// The help of a group whose verbs are all of the list.
    Group,
}

/// Looks a command line up; nothing when it names no verb of the list.
pub(crate) fn find<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Option<AskedVerb> {
    let arguments: Vec<&str> = arguments.into_iter().collect();
    let count = arguments.iter().take_while(|word| !word.starts_with('-')).count();
    let leading = &arguments[..count];
    let begins = |words: &str| words.split(' ').zip(leading).all(|(word, given)| word == *given);
    let length = |verb: &HandedVerb| verb.words.split(' ').count();
    let verb = all().filter(|verb| begins(verb.words) && length(verb) <= count).max_by_key(length);
    let asks_help =
        || arguments.iter().take_while(|word| **word != "--").any(|word| matches!(*word, "--help" | "-h"));
    let Some(verb) = verb else {
        let is_group = count > 0 && all().any(|verb| begins(verb.words) && length(&verb) > count);
        return (is_group && (arguments.len() == count || asks_help())).then_some(AskedVerb::Group);
    };
    // A verb that is a group as well takes no other word.
    let below = format!("{} ", verb.words);
    if count > length(&verb) && all().any(|other| other.words.starts_with(&below)) {
        return None;
    }
    let writes = arguments[count..]
        .iter()
        .any(|option| WRITING_OPTIONS.iter().any(|writing| option.split('=').next() == Some(writing)));
    let class = match verb.class {
        _ if asks_help() => Class::ReadOnly,
        Class::ReadOnly if writes => Class::Producing,
        class => class,
    };
    Some(AskedVerb::Verb(verb, class))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;

    fn asked(line: &str) -> Option<AskedVerb> {
        find(line.split_whitespace())
    }

    fn class(line: &str) -> Option<Class> {
        match asked(line)? {
            AskedVerb::Verb(_, class) => Some(class),
            AskedVerb::Group => None,
        }
    }

    #[test]
    fn verbs_of_the_list_are_found_with_their_class() {
        for (line, expected) in [
            ("next --agent a --mission m", Class::Producing),
            ("agent action implement WP01 --agent a", Class::Producing),
            ("charter context --action specify --json", Class::ReadOnly),
            ("dashboard", Class::ReadOnly),
            ("merge --help", Class::ReadOnly),
            ("merge -- --help", Class::Producing),
            ("doctor workspaces", Class::ReadOnly),
            ("doctor workspaces --fix", Class::Producing),
            ("migrate --dry-run", Class::Producing),
            ("migrate backfill-topology", Class::Producing),
            ("context list", Class::ReadOnly),
        ] {
            assert_eq!(class(line), Some(expected), "{line}");
        }
    }

    #[test]
    fn words_outside_of_the_list_are_never_handed_on() {
        for line in [
            "",
            "nxt",
            "charter frob",
            "charter --frob context",
            "migrate frob",
            "sync share t",
            "auth login",
            "agent",
            "--help",
            "agent action frob",
        ] {
            assert!(!matches!(asked(line), Some(AskedVerb::Verb(..))), "{line}");
        }
        assert_eq!(
            (asked("charter"), asked("charter --help"), asked("charter frob")),
            (Some(AskedVerb::Group), Some(AskedVerb::Group), None)
        );
    }

    #[test]
    fn verb_of_this_program_is_not_in_the_list() {
        for verb in all() {
            let words: Vec<_> = verb.words.split(' ').map(Into::into).collect();
            assert!(!crate::python_cli::is_ours(&words), "{}", verb.words);
        }
    }

    #[test]
    fn list_is_sorted_and_every_counterpart_exists() {
        for list in [READING, PRODUCING] {
            assert!(list.is_sorted());
        }
        for (words, counterpart) in COUNTERPARTS {
            assert!(all().any(|verb| verb.words == *words), "{words}");
            let argv = ["spec-kitty"].into_iter().chain(counterpart.split(' ')).map(Into::into);
            if let Err(error) = Cli::parse_words(&argv.collect::<Vec<_>>()) {
                // A lane is its own counterpart; everything else has to parse.
                assert_eq!(error.kind(), clap::error::ErrorKind::InvalidValue, "{counterpart}: {error}");
            }
        }
    }
}
