//! Markdown as HTML: raw HTML is shown as text, images are not loaded, links lead to http and https only.
//!
//! The parser escapes what it renders. This module decides which tags remain, and bounds them.

use crate::web::text::Html;
use askama::filters::Escaper;
use contract::text::{printable, printable_lines};
use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};
use url::Url;

/// Nested elements; deeper ones are left out, and their text stays.
const DEPTH: usize = 32;
/// Tags and texts of one document; the rest is left out.
const EVENTS: usize = 200_000;

/// The HTML of a document, and whether its end was left out.
pub(super) fn render(text: &str) -> (String, bool) {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut safe = Safe::default();
    let mut is_cut = false;
    let mut events = Vec::new();
    for (number, event) in Parser::new_ext(text, options).enumerate() {
        if number == EVENTS {
            is_cut = true;
            break;
        }
        events.extend(safe.event(event));
    }
    events.extend(safe.close());
    let mut out = String::with_capacity(text.len() * 2);
    html::push_html(&mut out, events.into_iter());
    (out, is_cut)
}

/// The end of an open element; none for one that was left out.
type Open<'t> = Option<Event<'t>>;

#[derive(Default)]
struct Safe<'t> {
    open: Vec<Open<'t>>,
    /// Open elements that were not left out.
    depth: usize,
    links: usize,
}

impl<'t> Safe<'t> {
    fn event(&mut self, event: Event<'t>) -> Option<Event<'t>> {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(_) => {
                let end = self.open.pop().flatten();
                self.depth -= usize::from(end.is_some());
                if is_link_end(end.as_ref()) {
                    self.links -= 1;
                }
                end
            }
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => Some(lines(&text)),
            Event::Code(text) => Some(Event::Code(printable(&text).into_owned().into())),
            Event::TaskListMarker(is_done) => {
                Some(Event::Text(if is_done { "\u{2611} " } else { "\u{2610} " }.into()))
            }
            Event::SoftBreak | Event::HardBreak | Event::Rule => Some(event),
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                Some(lines(&text))
            }
        }
    }

    fn start(&mut self, tag: Tag<'t>) -> Option<Event<'t>> {
        let (start, end) = match tag {
            _ if self.depth >= DEPTH => (None, None),
            Tag::Link { dest_url, .. } => self.link(&dest_url, ""),
            Tag::Image { dest_url, .. } => self.link(&dest_url, "Image: "),
            Tag::Heading { level, .. } => {
                // The page has the first level.
                let level = lower(level);
                let tag = Tag::Heading { level, id: None, classes: Vec::new(), attrs: Vec::new() };
                (Some(Event::Start(tag)), Some(Event::End(TagEnd::Heading(level))))
            }
            Tag::CodeBlock(_) | Tag::MetadataBlock(_) => (
                Some(Event::Start(Tag::CodeBlock(CodeBlockKind::Indented))),
                Some(Event::End(TagEnd::CodeBlock)),
            ),
            // An alignment is a style attribute, which the policy of the page blocks.
            Tag::Table(_) => (Some(Event::Start(Tag::Table(Vec::new()))), Some(Event::End(TagEnd::Table))),
            Tag::HtmlBlock => (Some(Event::Start(Tag::Paragraph)), Some(Event::End(TagEnd::Paragraph))),
            tag => {
                let end = tag.to_end();
                (Some(Event::Start(tag)), Some(Event::End(end)))
            }
        };
        self.depth += usize::from(end.is_some());
        self.open.push(end);
        start
    }

    /// A link around what follows, if its target is http or https and it is in no other link; else its text alone.
    fn link(&mut self, target: &str, label: &'static str) -> (Option<Event<'t>>, Open<'t>) {
        let text = || (!label.is_empty()).then(|| Event::Text(label.into()));
        let url = Url::parse(target).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(url) = url.filter(|_| self.links == 0) else { return (text(), None) };
        self.links += 1;
        let mut start = String::from("<a href=\"");
        // Writing to memory cannot fail.
        let _ = Html.write_escaped_str(&mut start, url.as_str());
        start.push_str("\" rel=\"noopener noreferrer\">");
        start.push_str(label);
        (Some(Event::InlineHtml(start.into())), Some(Event::InlineHtml(LINK_END.into())))
    }

    /// The ends of what is open, innermost first.
    fn close(self) -> impl Iterator<Item = Event<'t>> {
        self.open.into_iter().rev().flatten()
    }
}

const LINK_END: &str = "</a>";

fn is_link_end(end: Option<&Event<'_>>) -> bool {
    matches!(end, Some(Event::InlineHtml(text)) if **text == *LINK_END)
}

fn lines<'t>(text: &CowStr<'t>) -> Event<'t> {
    Event::Text(printable_lines(text).into_owned().into())
}

const fn lower(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H2,
        HeadingLevel::H2 => HeadingLevel::H3,
        HeadingLevel::H3 => HeadingLevel::H4,
        HeadingLevel::H4 => HeadingLevel::H5,
        HeadingLevel::H5 | HeadingLevel::H6 => HeadingLevel::H6,
    }
}

#[cfg(test)]
mod tests {
    use super::render;

    fn html(text: &str) -> String {
        render(text).0
    }

    #[test]
    fn markdown_becomes_elements() {
        assert_eq!(html("# Title\n\nA *b* `c`\n"), "<h2>Title</h2>\n<p>A <em>b</em> <code>c</code></p>\n");
        let table = html("| a | b |\n|:--|--:|\n| 1 | 2 |\n");
        assert!(table.contains("<th>a</th><th>b</th>") && table.contains("<td>2</td>"), "{table}");
        assert_eq!(
            html("- [x] done\n- [ ] open\n"),
            "<ul>\n<li>\u{2611} done</li>\n<li>\u{2610} open</li>\n</ul>\n"
        );
        assert!(html("---\nlane: done\n---\n\nText\n").starts_with("<pre><code>lane: done\n</code></pre>"));
        assert!(!html("```rust\" onclick=\"x\nfn\n```\n").contains("onclick"));
    }

    #[test]
    fn raw_html_is_shown_as_text() {
        for hostile in [
            "<script>alert(1)</script>",
            "a <b onmouseover=alert(1)>b</b>",
            "<!-- --!><script>alert(1)</script> -->",
            "<img src=x onerror=alert(1)>",
            "<style>*{display:none}</style>",
            "# <iframe src=//evil>",
            "`<script>`",
            "    <script>\n",
            "<svg/onload=alert(1)>",
            "[x]: <javascript:alert(1)>\n[x]",
        ] {
            let html = html(hostile);
            for tag in html.split('<').skip(1) {
                let name: String = tag.chars().take_while(|c| *c != '>' && *c != ' ').collect();
                let known = ["p", "/p", "h2", "/h2", "code", "/code", "pre", "/pre"];
                assert!(known.contains(&name.as_str()), "{name} in {html}");
            }
        }
    }

    #[test]
    fn only_links_to_the_web_remain() {
        assert_eq!(
            html("[a](https://x.example/?q=\"&b)"),
            "<p><a href=\"https://x.example/?q=%22&#38;b\" rel=\"noopener noreferrer\">a</a></p>\n"
        );
        for other in [
            "[a](javascript:alert(1))",
            "[a](JaVaScRiPt:alert(1))",
            "[a](java&#10;script:alert(1))",
            "[a](data:text/html,x)",
            "[a](//evil.example)",
            "[a](/sign-out)",
            "[a](plan.md)",
            "<javascript:alert(1)>",
            "![a](data:image/svg+xml,x)",
        ] {
            assert!(!html(other).contains("<a") && !html(other).contains("<img"), "{other}: {}", html(other));
        }
        assert!(html("![alt](https://x.example/i.png)").contains(">Image: alt</a>"));
        assert_eq!(html("[![alt](https://a.example)](https://b.example)").matches("<a ").count(), 1);
    }

    #[test]
    fn direction_and_control_characters_are_shown() {
        let html = html("a\u{202e}b\u{1b}[2J `\u{202e}` ");
        assert!(html.contains("\\u{202e}b\\u{1b}[2J") && !html.contains('\u{202e}'), "{html}");
    }

    #[test]
    fn deep_and_long_documents_stay_bounded() {
        for (deep, most) in [
            (">".repeat(100_000), 10_000),
            (format!("{}x", "- ".repeat(50_000)), 10_000),
            ("[".repeat(100_000), 200_000),
            (format!("{}x{}", "*".repeat(50_000), "*".repeat(50_000)), 200_000),
        ] {
            let html = html(&deep);
            assert!(html.matches("<blockquote").count() + html.matches("<ul").count() <= 32);
            assert!(html.len() < most, "{}", html.len());
        }
        let (long, is_cut) = render(&"a *b* c\n\n- d\n".repeat(100_000));
        assert!(is_cut && long.len() < 8_000_000);
        assert_eq!(long.matches("<ul>").count(), long.matches("</ul>").count());
        let wide = format!("{}\n{}\n{}", "|a".repeat(2000), "|-".repeat(2000), "|x\n".repeat(100_000));
        assert!(render(&wide).0.len() < 8_000_000);
    }
}
