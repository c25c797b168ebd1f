//! The advices in the sources: the texts of `Remedy::Advice`, and of the functions that choose one.

use std::path::{Path, PathBuf};

/// Calls that create an advice.
const CALLS: [&str; 3] = ["Remedy::Advice(", " advice(", "remedy: format!("];

/// Functions whose sentences are advices.
const FUNCTIONS: [&str; 9] = [
    "cure",
    "remedy",
    "remedies",
    "advice",
    "unlink_advice",
    "make_writable",
    "correct_by_hand",
    "log_in_again",
    "end_holder",
];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The text of a file below `crates`, without comments and unit tests, with continued lines joined.
pub(crate) fn read(file: &str) -> String {
    let text = std::fs::read_to_string(crates().join(file)).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut joined = String::new();
    for line in code {
        match joined.strip_suffix("\\\n").map(str::len) {
            Some(length) => {
                joined.truncate(length);
                joined.push_str(line.trim_start());
            }
            None => joined.push_str(line),
        }
        joined.push('\n');
    }
    joined
}

/// Each advice with its file. One whose text is written elsewhere is `= ` and its expression.
pub(crate) fn advices() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for library in std::fs::read_dir(crates()).unwrap().flatten() {
        collect(&library.path().join("src"), &mut files);
    }
    files.sort();
    let mut all = Vec::new();
    for path in files {
        let file = path.strip_prefix(crates()).unwrap().to_str().unwrap().to_owned();
        let text = read(&file);
        for call in CALLS {
            for (at, _) in text.match_indices(call) {
                let inside = enclosed(&text[at + call.len() - 1..], '(', ')');
                let sentences = sentences(inside);
                let is_pattern = inside == "_" || text[at + call.len() + inside.len()..].starts_with(") =>");
                if sentences.is_empty() && call == CALLS[0] && !is_pattern {
                    let expression = inside.split_whitespace().collect::<Vec<_>>().join(" ");
                    all.push((file.clone(), format!("= {expression}")));
                }
                all.extend(sentences.into_iter().map(|sentence| (file.clone(), sentence)));
            }
        }
        for (at, mark) in text.match_indices("remedy: \"") {
            let literal = literals(&text[at + mark.len() - 1..]).next();
            all.extend(literal.map(|literal| (file.clone(), literal.to_owned())));
        }
        for name in FUNCTIONS {
            for (at, _) in text.match_indices(&format!("fn {name}(")) {
                let sentences = sentences(enclosed(&text[at..], '{', '}'));
                all.extend(sentences.into_iter().map(|sentence| (file.clone(), sentence)));
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The string literals of three words or more; shorter ones are parts of one.
fn sentences(code: &str) -> Vec<String> {
    let all =
        literals(code).filter(|literal| literal.matches(' ').count() > 2 || literal.starts_with("set {"));
    all.map(str::to_owned).collect()
}

/// The string literals of `code`.
fn literals(code: &str) -> impl Iterator<Item = &str> {
    let mut rest = code;
    std::iter::from_fn(move || {
        let start = rest.find('"')? + 1;
        let length = end_of_literal(&rest[start..]);
        let literal = &rest[start..start + length];
        rest = rest.get(start + length + 1..).unwrap_or_default();
        Some(literal)
    })
}

fn end_of_literal(text: &str) -> usize {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.unwrap_or(text.len())
}

/// Text between the first `open` of `code` and its `close`.
fn enclosed(code: &str, open: char, close: char) -> &str {
    let start = code.find(open).map_or(0, |at| at + 1);
    let (mut depth, mut in_text, mut escaped) = (1, false, false);
    for (at, c) in code[start..].char_indices() {
        match c {
            '"' if !escaped => in_text = !in_text,
            _ if in_text => {}
            c if c == open => depth += 1,
            c if c == close => depth -= 1,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        if depth == 0 {
            return &code[start..start + at];
        }
    }
    &code[start..]
}
