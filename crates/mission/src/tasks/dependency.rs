//! Which work packages a section says it depends on.

use super::section::headings;
use super::wp_id_at;

/// The work packages that a section of `tasks.md` depends on, in the order of the text, once each.
///
/// Three ways to say so: `Depends on WP01, WP02` anywhere; `Dependencies: ...` and every id on that
/// line (or on the next line that is not blank, when there is nothing behind the colon); a heading
/// `Dependencies` with list items that begin with an id.
pub fn dependencies(section: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut take = |id: &str| {
        let id = id.to_ascii_uppercase();
        if !found.contains(&id) {
            found.push(id);
        }
    };
    depends_on(section).for_each(&mut take);
    labelled(section).into_iter().flat_map(ids_in).for_each(&mut take);
    listed(section).for_each(&mut take);
    found
}

/// Every `WPdd` in `line`.
fn ids_in(line: &str) -> impl Iterator<Item = &str> {
    line.char_indices().filter_map(|(at, _)| wp_id_at(&line[at..]))
}

/// Where `word` stands in `text`, in any case.
fn places<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let end = text.len().saturating_sub(word.len() - 1);
    (0..end).filter(move |at| {
        text.as_bytes()
            .get(*at..at + word.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()))
    })
}

/// The ids of `depend(s) on WPdd, WPdd`, white space and line ends included.
fn depends_on(text: &str) -> impl Iterator<Item = &str> {
    places(text, "depend").flat_map(move |at| {
        let rest = &text[at + "depend".len()..];
        let rest = rest.strip_prefix(['s', 'S']).unwrap_or(rest);
        let list = spaces(rest).and_then(|rest| {
            let on = rest.get(..2).filter(|on| on.eq_ignore_ascii_case("on"))?;
            spaces(&rest[on.len()..])
        });
        let mut rest = list;
        std::iter::from_fn(move || {
            let text = rest?;
            let id = wp_id_at(text)?;
            rest = text[id.len()..].trim_start().strip_prefix(',').map(str::trim_start);
            Some(id)
        })
    })
}

/// `text` behind at least one white space.
fn spaces(text: &str) -> Option<&str> {
    Some(text.trim_start()).filter(|rest| rest.len() < text.len())
}

/// What stands behind each `Dependencies:`, up to the end of that line.
fn labelled(text: &str) -> Vec<&str> {
    places(text, "dependencies")
        .filter_map(|at| {
            let rest = &text[at + "dependencies".len()..];
            let rest = (0..2).fold(rest, |rest, _| rest.strip_prefix('*').unwrap_or(rest));
            let value = rest.trim_start().strip_prefix(':')?.trim_start();
            value.lines().next()
        })
        .collect()
}

/// The ids at the start of the list items below headings `Dependencies`.
fn listed(text: &str) -> impl Iterator<Item = &str> {
    headings(text).filter(|heading| heading.level <= 4 && is_dependencies(heading.text)).flat_map(
        move |heading| {
            text[heading.after..]
                .lines()
                .map(str::trim)
                .take_while(|line| line.is_empty() || item(line).is_some())
                .filter_map(|line| wp_id_at(item(line)?))
        },
    )
}

fn is_dependencies(text: &str) -> bool {
    text.trim_matches('*').trim().eq_ignore_ascii_case("dependencies")
}

fn item(line: &str) -> Option<&str> {
    line.strip_prefix(['-', '*']).filter(|rest| rest.starts_with(char::is_whitespace)).map(str::trim_start)
}

#[cfg(test)]
mod tests {
    use super::dependencies;

    #[test]
    fn all_three_ways_count_and_each_id_once() {
        let text = "Depends on WP03,\n  WP01\n**Dependencies**: WP02 (after WP01)\n\n### Dependencies\n\n- WP04 first\n- none of WP05\nend\n- WP06";
        assert_eq!(dependencies(text), ["WP03", "WP01", "WP02", "WP04"]);
    }

    #[test]
    fn an_empty_label_reads_the_next_line_that_is_not_blank() {
        assert_eq!(dependencies("Dependencies:\n\n  WP07, WP08\nWP09"), ["WP07", "WP08"]);
        assert!(dependencies("Dependencies: none").is_empty());
        assert!(dependencies("it depends on the weather, WP01").is_empty());
    }
}
