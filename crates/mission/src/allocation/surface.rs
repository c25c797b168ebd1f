//! Product surfaces that a text mentions: a guess from words, shared with earlier releases.

/// Each surface with the words that indicate it.
const WORDS: [(&str, &[&str]); 8] = [
    ("dashboard", &["dashboard", "landing page", "landing-page"]),
    ("workspace", &["workspace", "mission workspace"]),
    ("app-shell", &["app shell", "app-shell", "navigation", "sidebar", "layout"]),
    ("legacy-cleanup", &["legacy", "cleanup", "deprecat", "remov"]),
    ("tests", &["test suite", "test infrastructure", "e2e test", "integration test"]),
    ("tracker-integration", &["tracker", "saas", "sync"]),
    ("artifact-rendering", &["artifact", "render", "template"]),
    ("api", &["api", "endpoint", "route", "view"]),
];

/// The surfaces whose words occur in `text`, in any case, in the order of the table.
pub fn surfaces(text: &str) -> Vec<&'static str> {
    let text = text.to_lowercase();
    let mentions = |words: &[&str]| words.iter().any(|word| text.contains(word));
    WORDS.iter().filter(|(_, words)| mentions(words)).map(|(surface, _)| *surface).collect()
}
