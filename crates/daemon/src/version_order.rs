//! Order of package versions. Used only where no person asked: an explicit restart or stop
//! replaces a daemon up or down.
//!
//! `major.minor.patch[-pre][+build]`. Builds of one version have no order, and neither have versions that
//! are not written this way (the reference's `3.2.0rc11`): without an order no daemon is replaced.

use std::cmp::Ordering;

/// The order of `ours` and `theirs`; none when they have no order.
pub(crate) fn compare(ours: &str, theirs: &str) -> Option<Ordering> {
    match parse(ours)?.cmp(&parse(theirs)?) {
        Ordering::Equal => None,
        order => Some(order),
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    core: [u64; 3],
    stage: PreReleaseOrder,
}

/// A release is newer than every pre-release of it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum PreReleaseOrder {
    Pre(Vec<Identifier>),
    Release,
}

/// Numbers sort before text.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Text(String),
}

fn parse(text: &str) -> Option<Version> {
    let text = text.split_once('+').map_or(text, |(version, _build)| version);
    let (core, pre) = match text.split_once('-') {
        Some((core, pre)) => (core, Some(pre)),
        None => (text, None),
    };
    let mut numbers = core.split('.').map(number);
    let core = [numbers.next()??, numbers.next()??, numbers.next()??];
    if numbers.next().is_some() {
        return None;
    }
    let stage = match pre {
        None => PreReleaseOrder::Release,
        Some(pre) => PreReleaseOrder::Pre(
            pre.split('.')
                .map(|word| {
                    number(word).map_or_else(|| Identifier::Text(word.to_owned()), Identifier::Number)
                })
                .collect(),
        ),
    };
    Some(Version { core, stage })
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::compare;
    use std::cmp::Ordering::{Greater, Less};

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        for (ours, theirs, expected) in [
            ("3.10.0", "3.9.9", Some(Greater)),
            ("3.3.0", "4.0.0", Some(Less)),
            ("3.3.0", "3.3.0-rc.2", Some(Greater)),
            ("3.3.0-rc.10", "3.3.0-rc.9", Some(Greater)),
            ("3.3.1+abc", "3.3.0+def", Some(Greater)),
        ] {
            assert_eq!(compare(ours, theirs), expected, "{ours} and {theirs}");
            assert_eq!(
                compare(theirs, ours),
                expected.map(std::cmp::Ordering::reverse),
                "{theirs} and {ours}"
            );
        }
    }

    #[test]
    fn builds_of_one_version_and_foreign_spellings_have_no_order() {
        for (ours, theirs) in [
            ("3.3.0+abc", "3.3.0+def"),
            ("3.3.0", "3.3.0"),
            ("3.3.0", "3.2.0rc11"),
            ("3.3", "3.2.0"),
            ("unknown", "3.3.0"),
            ("3.3.0", ""),
            ("3.3.0", "99999999999999999999999.0.0"),
        ] {
            assert_eq!(compare(ours, theirs), None, "{ours} and {theirs}");
        }
    }
}
