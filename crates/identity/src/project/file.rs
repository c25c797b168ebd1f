//! `.kittify/config.yaml`: reading the `project` mapping, and adding to it what is missing.
//!
//! People edit the file: comments, order, quoting and unknown keys are kept byte for byte. So the text is
//! edited by lines and the result is read back; a layout in which that fails is refused with the lines to add
//! by hand.

use super::{GeneratedIdentity, ProjectError, canonical_uuid};
use serde::Deserialize;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use system::bounded_read::read_bounded;
use system::private_file::WriteError;

/// The largest project configuration that is read.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The identity in the file; each part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedIdentity {
    /// The uuid, canonical.
    pub uuid: Option<String>,
    /// The project slug.
    pub slug: Option<String>,
    /// The machine that first wrote the file.
    pub node_id: Option<String>,
    /// The build id.
    pub build_id: Option<String>,
    /// The repository slug that overrides git's, as written.
    pub repo_slug: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ProjectFile {
    project: Option<ProjectSection>,
}

/// Always read as text: a node id of digits stays as it is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ProjectSection {
    uuid: Option<String>,
    slug: Option<String>,
    node_id: Option<String>,
    build_id: Option<String>,
    repo_slug: Option<String>,
}

/// The text of the file, or nothing when there is none.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, ProjectError> {
    let file = read_bounded(path, MAX_BYTES)
        .map_err(|error| ProjectError::File { path: path.to_path_buf(), error })?;
    let text = file.map(|file| String::from_utf8(file.bytes)).transpose();
    text.map_err(|error| ProjectError::Malformed {
        path: path.to_path_buf(),
        problem: format!("is not UTF-8 at byte {}", error.utf8_error().valid_up_to()),
    })
}

/// Parses the file; the error names the fault and its place.
pub(super) fn parse(text: &str) -> Result<RecordedIdentity, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    let document: ProjectFile = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| format!("is not a project configuration: {}", one_line(&error.to_string())))?;
    let ProjectSection { uuid, slug, node_id, build_id, repo_slug } = document.project.unwrap_or_default();
    let set = |value: Option<String>| value.filter(|value| !value.is_empty());
    let uuid = set(uuid)
        .map(|uuid| {
            let problem = || format!("has an invalid `project.uuid`: `{}`", contract::text::printable(&uuid));
            canonical_uuid(&uuid).ok_or_else(problem)
        })
        .transpose()?;
    Ok(RecordedIdentity {
        uuid,
        slug: set(slug),
        node_id: set(node_id),
        build_id: set(build_id),
        repo_slug: set(repo_slug),
    })
}

fn one_line(text: &str) -> String {
    contract::text::printable(text.lines().next().unwrap_or_default()).into_owned()
}

/// Adds the missing parts of `derived` to the file at `path`.
pub(super) fn fill_in(path: &Path, derived: &GeneratedIdentity) -> Result<(), ProjectError> {
    let before = read_text(path)?;
    let text = before.as_deref().unwrap_or_default();
    let malformed = |problem| ProjectError::Malformed { path: path.to_path_buf(), problem };
    let recorded = parse(text).map_err(malformed)?;
    let missing: Vec<(&str, &str)> = [
        ("uuid", &derived.uuid, recorded.uuid.is_none()),
        ("slug", &derived.slug, recorded.slug.is_none()),
        ("node_id", &derived.node_id, recorded.node_id.is_none()),
        ("build_id", &derived.build_id, recorded.build_id.is_none()),
    ]
    .into_iter()
    .filter_map(|(key, value, missing)| missing.then_some((key, value.as_str())))
    .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let after = plan_addition(text, &missing).ok_or_else(|| ProjectError::ByHand {
        path: path.to_path_buf(),
        missing: missing
            .iter()
            .map(|(key, value)| format!("`{key}: {}`", scalar(value)))
            .collect::<Vec<_>>()
            .join(", "),
    })?;
    replace(path, before.as_deref(), &after)?;
    Ok(())
}

/// `text` with `missing` under `project`; none when the result would not read back as exactly that.
fn plan_addition(text: &str, missing: &[(&str, &str)]) -> Option<String> {
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let after = match lines.iter().position(|line| key_of(line) == Some(("", "project"))) {
        None => {
            lines.push("project:".to_owned());
            lines.extend(missing.iter().map(|(key, value)| format!("  {key}: {}", scalar(value))));
            lines
        }
        Some(header) => extend_block(lines, header, missing)?,
    };
    let after = after.join(newline) + newline;
    reads_back(text, &after, missing).then_some(after)
}

/// Fills empty values in the block under `lines[header]` and adds the other keys at its end.
fn extend_block(mut lines: Vec<String>, header: usize, missing: &[(&str, &str)]) -> Option<Vec<String>> {
    if !value_of(lines.get(header)?)?.is_empty() {
        return None;
    }
    let significant = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let inside = |line: &&String| !significant(line) || line.starts_with([' ', '\t']);
    let end = header + 1 + lines.iter().skip(header + 1).take_while(inside).count();
    let block = header + 1..end;
    let children: Vec<usize> =
        block.clone().filter(|index| lines.get(*index).is_some_and(|line| significant(line))).collect();
    let indent = children
        .first()
        .and_then(|first| lines.get(*first))
        .map_or_else(|| "  ".to_owned(), |line| line.chars().take_while(|c| c.is_whitespace()).collect());
    let mut insertion = children.last().map_or(header + 1, |last| last + 1);
    for (key, value) in missing {
        let present = children
            .iter()
            .copied()
            .find(|index| lines.get(*index).and_then(|line| key_of(line)) == Some((indent.as_str(), *key)));
        match present {
            Some(index) => {
                let line = lines.get_mut(index)?;
                *line = with_value(line, &scalar(value))?;
            }
            None => {
                lines.insert(insertion, format!("{indent}{key}: {}", scalar(value)));
                insertion += 1;
            }
        }
    }
    Some(lines)
}

/// Indentation and key of a line `key: ...`, quotes removed.
fn key_of(line: &str) -> Option<(&str, &str)> {
    let rest = line.trim_start();
    let indent = line.get(..line.len() - rest.len())?;
    let (key, after) = rest.split_once(':')?;
    let key = key.trim_end();
    let key = [('"', '"'), ('\'', '\'')]
        .iter()
        .find_map(|(open, close)| key.strip_prefix(*open)?.strip_suffix(*close))
        .unwrap_or(key);
    (after.is_empty() || after.starts_with([' ', '\t'])).then_some((indent, key))
}

/// Text after the colon, without a comment.
fn value_of(line: &str) -> Option<&str> {
    let (_, after) = line.split_once(':')?;
    let end = after.find(" #").unwrap_or(after.len());
    after.get(..end).map(str::trim)
}

/// `line` with `value` in place of an empty one, its comment kept.
fn with_value(line: &str, value: &str) -> Option<String> {
    let old = value_of(line)?;
    if !matches!(old, "" | "~" | "null" | "Null" | "NULL" | "''" | "\"\"") {
        return None;
    }
    let (key, after) = line.split_once(':')?;
    // With the blanks before it, which may be alignment.
    let comment = after.find(" #").map(|hash| after.get(..hash).unwrap_or_default().trim_end().len());
    let comment = comment.and_then(|start| after.get(start..)).unwrap_or_default();
    Some(format!("{key}: {value}{comment}"))
}

/// Whether `after` equals `before` plus `missing`.
fn reads_back(before: &str, after: &str, missing: &[(&str, &str)]) -> bool {
    let (Ok(mut expected), Ok(found)) = (parse(before), parse(after)) else { return false };
    for (key, value) in missing {
        let field = match *key {
            "uuid" => &mut expected.uuid,
            "slug" => &mut expected.slug,
            "node_id" => &mut expected.node_id,
            _ => &mut expected.build_id,
        };
        *field = Some((*value).to_owned());
    }
    expected == found && rest_of(before, missing) == rest_of(after, missing)
}

/// The document without the keys that were missing; none for documents that JSON cannot represent, which are
/// compared by their identity alone.
fn rest_of(text: &str, missing: &[(&str, &str)]) -> Option<serde_json::Value> {
    let mut document: serde_json::Value = serde_saphyr::from_str(text).ok()?;
    if document.is_null() {
        document = serde_json::json!({});
    }
    let map = document.as_object_mut()?;
    let project = map.remove("project").filter(|project| !project.is_null());
    let mut project = project.unwrap_or_else(|| serde_json::json!({}));
    for (key, _) in missing {
        project.as_object_mut()?.remove(*key);
    }
    Some(serde_json::json!([document, project]))
}

/// A value as a YAML scalar that reads back as this text in every schema.
fn scalar(value: &str) -> String {
    let plain = value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c));
    let word = matches!(
        value.to_ascii_lowercase().as_str(),
        "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    // Also octal and hexadecimal forms and dates, which other readers take for numbers.
    let number = value.parse::<f64>().is_ok()
        || value.starts_with(|c: char| c.is_ascii_digit())
            && !value.chars().any(|c: char| c.is_ascii_lowercase())
        || value.starts_with("0x")
        || value.starts_with("0o");
    if plain && !word && !number {
        value.to_owned()
    } else if value.chars().any(|c| c == '\'' || c.is_control()) {
        // A JSON string is a double-quoted YAML scalar.
        serde_json::Value::from(value).to_string()
    } else {
        format!("'{value}'")
    }
}

/// Replaces the file, unless it changed since `before` was read. The mode of an existing file stays; a
/// new one gets what the user's umask gives, because it is meant to be committed.
fn replace(path: &Path, before: Option<&str>, after: &str) -> Result<(), WriteError> {
    let fail = || WriteError::new("write", path);
    let target = resolve_link(path);
    let directory = target.parent().unwrap_or(&target);
    fs::create_dir_all(directory).map_err(fail())?;
    let mut file = system::shared_file::temporary_in(directory).map_err(fail())?;
    file.write_all(after.as_bytes()).map_err(fail())?;
    if let Ok(metadata) = fs::metadata(&target) {
        system::file::copy_mode(file.as_file(), &metadata).map_err(fail())?;
    }
    file.as_file().sync_all().map_err(fail())?;
    match before {
        None => file.persist_noclobber(&target).map_err(|error| fail()(error.error))?,
        Some(before) => {
            if system::regular::read(&target, before.len() as u64 + 1).map_err(fail())? != before.as_bytes() {
                return Err(fail()(io::Error::other("it changed meanwhile; run the command again")));
            }
            file.persist(&target).map_err(|error| fail()(error.error))?
        }
    };
    system::file::sync_directory(directory).map_err(fail())
}

fn resolve_link(path: &Path) -> PathBuf {
    let linked = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
    if linked { path.canonicalize().unwrap_or_else(|_| path.to_path_buf()) } else { path.to_path_buf() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UUID: &str = "8a4a7da6-a97c-4bb4-893a-b31664abfee4";

    fn add(text: &str, missing: &[(&str, &str)]) -> Option<String> {
        plan_addition(text, missing)
    }

    #[test]
    fn missing_block_is_appended_and_nothing_else_changes() {
        let before = "# keep me\nvcs:\n    type: 'git'\nlist: [a,   b]";
        let after = add(before, &[("uuid", UUID), ("slug", "x")]).expect("a plan");
        assert_eq!(after, format!("{before}\nproject:\n  uuid: {UUID}\n  slug: x\n"));
    }

    #[test]
    fn missing_keys_join_their_block_with_its_indentation() {
        let before = "project:\n    slug: x   # mine\n    # last\n\n# about merge\nmerge:\n  a: 1\n";
        let after = add(before, &[("node_id", "036097135000")]).expect("a plan");
        assert_eq!(
            after,
            "project:\n    slug: x   # mine\n    node_id: '036097135000'\n    # last\n\n# about merge\nmerge:\n  a: 1\n"
        );
    }

    #[test]
    fn empty_values_are_filled_in_place() {
        let before = "project:\n  slug: ''  # none\n  build_id:\n  custom: [1, 2]\n";
        let after = add(before, &[("slug", "x"), ("build_id", "b")]).expect("a plan");
        assert_eq!(after, "project:\n  slug: x  # none\n  build_id: b\n  custom: [1, 2]\n");
    }

    #[test]
    fn empty_block_is_filled() {
        assert_eq!(
            add("project:\nvcs: git\n", &[("slug", "x")]).expect("a plan"),
            "project:\n  slug: x\nvcs: git\n"
        );
        assert_eq!(add("", &[("slug", "x")]).expect("a plan"), "project:\n  slug: x\n");
    }

    #[test]
    fn line_endings_stay_what_they_are() {
        let after = add("vcs: git\r\nproject:\r\n  uuid: a\r\n", &[("slug", "x")]);
        // The uuid is no uuid, so the file does not parse and nothing is planned.
        assert_eq!(after, None);
        let after = add("vcs: git\r\n", &[("slug", "x")]).expect("a plan");
        assert_eq!(after, "vcs: git\r\nproject:\r\n  slug: x\r\n");
    }

    #[test]
    fn layouts_without_a_safe_place_are_refused() {
        for text in [
            "project: {slug: x}\n",
            "{a: 1}\n",
            "project: &anchor\n  slug: x\n",
            "a: 1\n...\n",
            "project:\n  note: |\n    # looks like a comment\n",
        ] {
            assert_eq!(add(text, &[("build_id", "b")]), None, "{text}");
        }
    }

    #[test]
    fn scalars_that_could_be_something_else_are_quoted() {
        for (value, written) in [
            ("widget-shop", "widget-shop"),
            ("036097135000", "'036097135000'"),
            ("12345678e901", "'12345678e901'"),
            ("a68cb90bc34b", "a68cb90bc34b"),
            ("true", "'true'"),
            ("a: b", "'a: b'"),
            ("it's", "\"it's\""),
            ("2026-11-22", "'2026-11-22'"),
            ("", "''"),
        ] {
            assert_eq!(scalar(value), written);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn every_slug_reads_back(slug in "[a-z0-9 :#'\"{}&*é\\[\\]._/!|>%@`\\\\-]{1,20}") {
            let after = add("a: 1\n", &[("slug", &slug)]);
            prop_assert!(after.is_some(), "{slug}");
        }

        #[test]
        fn no_text_makes_planning_panic(text in "[a-z :#\\-{}\\[\\]'\"|\n]{0,60}") {
            let _ = add(&text, &[("slug", "x"), ("uuid", UUID)]);
        }
    }
}
