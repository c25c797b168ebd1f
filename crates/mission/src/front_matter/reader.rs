//! Splitting, parsing with budgets, and the typed view of a work package file.

use super::edit::block;
use crate::conflict;
use crate::document::{MAX_TEXT, read_text};
use crate::error::{MissionError, Result};
use crate::lane::Lane;
use crate::work_package::is_wp_id;
use serde_json::{Map, Value};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The largest front matter, in bytes.
const MAX_FRONT_MATTER: usize = 256 * 1024;

/// A work package file.
#[derive(Clone, Debug)]
pub struct WorkPackage {
    /// The file.
    pub path: PathBuf,
    /// `WPnn`.
    pub id: String,
    /// `title`, else `work_package_title`, trimmed; else the id.
    pub title: String,
    /// `dependencies`, as written.
    pub dependencies: Vec<String>,
    /// `requirement_refs`, as written.
    pub requirement_refs: Vec<String>,
    /// `planning_base_branch`.
    pub planning_base_branch: Option<String>,
    /// `merge_target_branch`.
    pub merge_target_branch: Option<String>,
    /// `branch_strategy`.
    pub branch_strategy: Option<String>,
    /// `execution_mode`, as written.
    pub execution_mode: Option<String>,
    /// `owned_files`; none when the key is missing or empty.
    pub owned_files: Vec<String>,
    /// `authoritative_surface`, as written.
    pub authoritative_surface: Option<String>,
    /// Whether `owned_files` is there as an empty list: it owns nothing, and nothing is inferred.
    pub owns_nothing: bool,
    /// `create_intent`: paths that the work creates.
    pub create_intent: Vec<String>,
    /// `scope`, as written.
    pub scope: Option<String>,
    /// `agent`, when it is a text.
    pub agent: Option<String>,
    text: String,
    yaml: Range<usize>,
    body: Range<usize>,
    map: Map<String, Value>,
}

/// Reads a work package file; nothing when there is none.
pub fn read_work_package(path: &Path) -> Result<Option<WorkPackage>> {
    read_text(path, MAX_TEXT)?.map(|text| WorkPackage::parse(path, text)).transpose()
}

/// Fields of a work package file that a board shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// `WPnn`.
    pub id: String,
    /// Its title; its id without one.
    pub title: String,
    /// The lane that it names, which only releases before 3.0 keep up to date.
    pub lane: Option<Lane>,
    /// The first line of its text that a merge left.
    pub conflict: Option<usize>,
}

/// Reads the heading of a work package file; nothing when there is none.
///
/// A board shows hundreds of them, so only the lines of these keys are parsed; a front matter in which
/// they are not plain lines is parsed whole.
pub(crate) fn read_heading(path: &Path) -> Result<Option<Heading>> {
    let Some(text) = read_text(path, MAX_TEXT)? else { return Ok(None) };
    let conflict = conflict::marker_lines(&text).next();
    let heading = split(&text).ok().and_then(|(yaml, _)| {
        let yaml = &text[yaml];
        if conflict::marker_lines(yaml).next().is_some() {
            return None;
        }
        let lines =
            ["work_package_id", "title", "lane"].map(|key| block(yaml, key).map(|range| &yaml[range]));
        let [Some(id), Some(title), lane] = lines else { return None };
        let map = parse_yaml(&format!("{id}{title}{}", lane.unwrap_or_default())).ok()?;
        let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::trim).map(str::to_owned);
        let id = text("work_package_id").filter(|id| is_wp_id(id))?;
        let title = text("title").filter(|title| !title.is_empty())?;
        Some(Heading { id, title, lane: lane_of(&map), conflict })
    });
    match heading {
        Some(heading) => Ok(Some(heading)),
        None => WorkPackage::parse(path, text).map(|wp| {
            let lane = lane_of(&wp.map);
            Some(Heading { id: wp.id, title: wp.title, lane, conflict })
        }),
    }
}

/// Title and lane of a work package file whose id cannot be read, as far as they can.
pub(crate) fn read_title(path: &Path) -> (Option<String>, Option<Lane>) {
    let map = read_text(path, MAX_TEXT).ok().flatten().and_then(|text| {
        let yaml = &text[split(&text).ok()?.0];
        let line = || parse_yaml(&yaml[block(yaml, "title")?]).ok();
        parse_yaml(yaml).ok().or_else(line)
    });
    let Some(map) = map else { return (None, None) };
    let title = map.get("title").and_then(Value::as_str).map(str::trim).filter(|title| !title.is_empty());
    (title.map(str::to_owned), lane_of(&map))
}

fn lane_of(map: &Map<String, Value>) -> Option<Lane> {
    Lane::from_input(map.get("lane")?.as_str()?)
}

impl WorkPackage {
    /// Parses the text of the file at `path`.
    pub fn parse(path: &Path, text: String) -> Result<Self> {
        Self::parse_as(path, text, None)
    }

    /// The same, with an id for a file that has none that can be used.
    pub(crate) fn parse_as(path: &Path, text: String, named: Option<&str>) -> Result<Self> {
        let wrong = |problem: String| MissionError::malformed(path, problem);
        let (yaml, body) = split(&text).map_err(wrong)?;
        if let Some(line) = conflict::marker_lines(&text[..yaml.end]).next() {
            return Err(MissionError::malformed_line(path, line, conflict::PROBLEM));
        }
        // The line before the block is counted, so that an error names the line of the file.
        let map = parse_yaml(&format!("\n{}", &text[yaml.clone()])).map_err(wrong)?;
        let view = FrontMatterView { map: &map };
        let id = view.text("work_package_id").map_err(wrong)?.unwrap_or_default();
        let id = match named {
            Some(named) if !is_wp_id(&id) => named.to_owned(),
            _ => id,
        };
        if !is_wp_id(&id) {
            return Err(wrong(match id.as_str() {
                "" => "front matter has no `work_package_id`".into(),
                id => {
                    format!("`work_package_id` is `{}`, not WP and two digits", contract::text::printable(id))
                }
            }));
        }
        let title = view.text("title").map_err(wrong)?;
        let older = view.text("work_package_title").map_err(wrong)?;
        let title = title.or(older).map(|title| title.trim().to_owned()).filter(|title| !title.is_empty());
        Ok(Self {
            title: title.unwrap_or_else(|| id.clone()),
            dependencies: view.list("dependencies").map_err(wrong)?,
            requirement_refs: view.list("requirement_refs").map_err(wrong)?,
            planning_base_branch: view.text("planning_base_branch").map_err(wrong)?,
            merge_target_branch: view.text("merge_target_branch").map_err(wrong)?,
            branch_strategy: view.text("branch_strategy").map_err(wrong)?,
            execution_mode: view.text("execution_mode").map_err(wrong)?,
            owned_files: view.list("owned_files").map_err(wrong)?,
            authoritative_surface: view.text("authoritative_surface").map_err(wrong)?,
            owns_nothing: map.get("owned_files").and_then(Value::as_array).is_some_and(Vec::is_empty),
            create_intent: view.list("create_intent").map_err(wrong)?,
            scope: view.text("scope").map_err(wrong)?,
            agent: map.get("agent").and_then(Value::as_str).map(str::to_owned),
            path: path.to_owned(),
            id,
            map,
            yaml,
            body,
            text,
        })
    }

    /// Refuses a `lane` that a work package cannot have: no command writes it.
    pub(crate) fn check_lane(&self) -> Result<()> {
        match self.map.get("lane").and_then(Value::as_str) {
            Some(lane @ ("genesis" | "uninitialized")) => Err(MissionError::malformed(
                &self.path,
                format!("has the `lane` {lane}, which is not a lane of a work package: remove the line"),
            )),
            _ => Ok(()),
        }
    }

    /// Warning about text that is unusual and no reason to refuse it.
    pub(crate) fn warning(&self) -> Option<String> {
        conflict::marker_lines(&self.text).next().map(|line| conflict::warning(&self.path, line))
    }

    /// The whole file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Everything behind the closing `---` line.
    pub fn body(&self) -> &str {
        &self.text[self.body.clone()]
    }

    /// The YAML between the `---` lines.
    pub fn yaml(&self) -> &str {
        &self.text[self.yaml.clone()]
    }

    /// A key's value, known or not.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key)
    }

    /// `subtasks`, trimmed, each once; nothing without the key. An item may be an object with an `id`.
    pub fn subtasks(&self) -> Option<Vec<String>> {
        let mut ids: Vec<String> = Vec::new();
        for item in self.map.get("subtasks")?.as_array().into_iter().flatten() {
            let id = item.as_str().or_else(|| item.get("id")?.as_str()).unwrap_or_default().trim();
            if !id.is_empty() && !ids.iter().any(|known| known == id) {
                ids.push(id.to_owned());
            }
        }
        Some(ids)
    }

    /// The file with another YAML block.
    pub(crate) fn with_yaml(&self, yaml: &str) -> String {
        [&self.text[..self.yaml.start], yaml, &self.text[self.yaml.end..]].concat()
    }
}

/// The ranges of the YAML and of the body.
fn split(text: &str) -> Result<(Range<usize>, Range<usize>), String> {
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut at = start;
    let mut lines = text[start..].split_inclusive('\n');
    match lines.next() {
        Some(first) if first.starts_with("---") && first.trim_end() == "---" => at += first.len(),
        _ => return Err("has no front matter: its first line is not `---`".into()),
    }
    let yaml = at;
    for line in lines {
        if line.trim() == "---" {
            return Ok((yaml..at, at + line.len()..text.len()));
        }
        at += line.len();
        if at - yaml > MAX_FRONT_MATTER {
            return Err(format!("has a front matter of more than {MAX_FRONT_MATTER} bytes"));
        }
    }
    Err("has a front matter that no `---` line ends".into())
}

/// Parses one YAML mapping. Nesting, events, anchors and aliases are bounded.
pub(crate) fn parse_yaml(yaml: &str) -> Result<Map<String, Value>, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_events: 50_000,
            max_aliases: 64,
            max_anchors: 64,
            max_documents: 1,
        },
        with_snippet: false,
    };
    let value: Option<Value> = serde_saphyr::from_str_with_options(yaml, options)
        .map_err(|error| format!("front matter is not YAML: {}", first_line(&error.to_string())))?;
    match value {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map),
        Some(_) => Err("front matter is not a mapping of keys to values".into()),
    }
}

fn first_line(text: &str) -> String {
    contract::text::printable(text.lines().next().unwrap_or_default()).into_owned()
}

/// Typed access to the mapping, with the tolerance that older files need.
struct FrontMatterView<'a> {
    map: &'a Map<String, Value>,
}

impl FrontMatterView<'_> {
    /// A scalar as text; blank counts as absent.
    fn text(&self, key: &str) -> Result<Option<String>, String> {
        let text = match self.map.get(key) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(flag)) => flag.to_string(),
            Some(_) => return Err(format!("`{key}` is not a text")),
        };
        Ok(Some(text).filter(|text| !text.trim().is_empty()))
    }

    /// A list of scalars. The text `[]` is an empty list, any other text is split at commas.
    fn list(&self, key: &str) -> Result<Vec<String>, String> {
        let split = |text: &str| -> Vec<String> {
            let inner = text.trim();
            let inner = if inner == "[]" { "" } else { inner };
            inner.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        };
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(split(text)),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| match item {
                    Value::String(text) => Ok(text.clone()),
                    Value::Number(number) => Ok(number.to_string()),
                    _ => Err(format!("`{key}` has an item that is not a text")),
                })
                .collect(),
            Some(_) => Err(format!("`{key}` is not a list")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<WorkPackage> {
        WorkPackage::parse(Path::new("wp"), text.to_owned())
    }

    #[test]
    fn typed_view_accepts_older_spellings() {
        let wp = parse("\u{feff}---\nwork_package_id: WP01\nwork_package_title: ' Old '\ndependencies: '[]'\nrequirement_refs: FR-001, FR-002\nnew_key: {a: [1]}\n---\nbody\n---\n").unwrap();
        assert_eq!((wp.id.as_str(), wp.title.as_str(), wp.body()), ("WP01", "Old", "body\n---\n"));
        assert!(wp.dependencies.is_empty());
        assert_eq!(wp.requirement_refs, ["FR-001", "FR-002"]);
        assert!(wp.get("new_key").is_some());
        assert_eq!(parse("---\nwork_package_id: WP02\n---").unwrap().title, "WP02");
    }

    #[test]
    fn faults_of_a_front_matter_are_named() {
        for (text, expected) in [
            ("", "first line is not `---`"),
            ("---\nwork_package_id: WP01\n", "no `---` line ends"),
            ("---\n---\n", "no `work_package_id`"),
            ("---\nwork_package_id: WP1\n---\n", "not WP and two digits"),
            ("---\n- a\n---\n", "not a mapping"),
            ("---\na: [\n---\n", "not YAML"),
            ("---\nwork_package_id: WP01\ndependencies: {a: b}\n---\n", "`dependencies` is not a list"),
            ("---\nwork_package_id: WP01\ntitle: [a]\n---\n", "`title` is not a text"),
            ("---\nwork_package_id: WP01\nwork_package_id: WP02\n---\n", "not YAML"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
    }

    #[test]
    fn bomb_is_refused() {
        let deep = format!("---\na: {}\n---\n", "[".repeat(50_000));
        assert!(parse(&deep).is_err());
        let mut laughs = String::from("---\na0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        laughs.push_str("---\n");
        assert!(parse(&laughs).is_err());
    }
}
