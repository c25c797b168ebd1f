//! Boards of missions as people see them: a kanban table of one mission, an overview of many.
//!
//! Nothing is wider than the terminal but names that cannot be broken; nothing is cut.

use crate::wrap::{self, hanging};
use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use contract::text::printable;
use mission::Lane;
use mission::command::status::{Board, BoardLane, Boards, Card, WorkLane};
use std::fmt::Write as _;

/// The mark of a board of a release that kept no log.
pub(crate) const FROM_FRONT_MATTER: &str = "no event log: lanes as the front matter names them";
/// Columns taken by the border and the padding.
const BORDER: usize = 4;
/// The narrowest column in which titles can still be read.
const COLUMN: usize = 16;
/// Columns of the overview beside the names of missions.
const BESIDE: usize = 30;

/// The board of the mission that was asked for, or the overview of all.
pub(crate) fn render(boards: &Boards, one: bool, width: usize) -> String {
    match boards.missions.as_slice() {
        [] if boards.unreadable.is_empty() => "no missions\n".to_owned(),
        [] => String::new(),
        [board] if one => kanban(board, width),
        many => overview(many, width),
    }
}

fn table(width: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    table
}

fn done(board: &Board) -> usize {
    in_lane(board, Lane::Done).count()
}

fn in_lane(board: &Board, lane: impl Into<BoardLane>) -> impl Iterator<Item = &Card> {
    let lane = lane.into();
    board.work_packages.iter().filter(move |card| card.lane == lane)
}

/// One column for each lane that holds something; one section for each when the terminal is too narrow.
pub(crate) fn kanban(board: &Board, width: usize) -> String {
    let mut out = title(board, width);
    if !board.lane_source.is_log() {
        let _ = writeln!(out, "{FROM_FRONT_MATTER}");
    }
    let lanes: Vec<BoardLane> =
        BoardLane::all().filter(|lane| in_lane(board, *lane).next().is_some()).collect();
    if lanes.is_empty() {
        out.push_str("no work packages yet\n");
    } else if columns_hold(board, &lanes, width) {
        let _ = writeln!(out, "{}", columns(board, &lanes, width));
    } else {
        sections(&mut out, board, &lanes, width);
    }
    board.lanes.iter().for_each(|lane| describe_lane(&mut out, lane));
    out
}

fn title(board: &Board, width: usize) -> String {
    let slug = printable(&board.mission_slug);
    let name = match board.friendly_name.as_deref() {
        Some(name) => format!("{} ({slug})", printable(name)),
        None => slug.into_owned(),
    };
    format!(
        "{}{}: {} of {} done\n",
        hanging("", &name, width),
        printable(&board.mission_type),
        done(board),
        board.work_packages.len()
    )
}

fn columns(board: &Board, lanes: &[BoardLane], width: usize) -> Table {
    let mut table = table(width);
    let heads = lanes.iter().map(|lane| format!("{lane} ({})", in_lane(board, *lane).count()));
    table.set_header(heads);
    let mut stacks: Vec<_> = lanes.iter().map(|lane| in_lane(board, *lane)).collect();
    loop {
        let row: Vec<Option<&Card>> = stacks.iter_mut().map(Iterator::next).collect();
        if row.iter().all(Option::is_none) {
            return table;
        }
        table.add_row(row.into_iter().map(|card| card.map(card_text).unwrap_or_default()));
    }
}

/// Whether columns of equal width hold every title without breaking a word.
fn columns_hold(board: &Board, lanes: &[BoardLane], width: usize) -> bool {
    let column = width / lanes.len();
    column >= COLUMN
        && lanes
            .iter()
            .flat_map(|lane| in_lane(board, *lane))
            .all(|card| wrap::words_fit(&card_text(card), column - BORDER))
}

fn sections(out: &mut String, board: &Board, lanes: &[BoardLane], width: usize) {
    for lane in lanes {
        let _ = writeln!(out, "{lane} ({})", in_lane(board, *lane).count());
        for card in in_lane(board, *lane) {
            out.push_str(&hanging("  ", &card_text(card), width));
        }
    }
}

fn card_text(card: &Card) -> String {
    if card.title == card.work_package_id {
        card.work_package_id.clone()
    } else {
        format!("{} {}", card.work_package_id, printable(&card.title))
    }
}

/// A lane of work, and where it is worked on. Branches and paths stay whole: they are copied.
fn describe_lane(out: &mut String, lane: &WorkLane) {
    let _ = write!(out, "{}: {}", printable(&lane.lane_id), printable(&lane.wp_ids.join(", ")));
    if !lane.depends_on_lanes.is_empty() {
        let _ = write!(out, ", after {}", printable(&lane.depends_on_lanes.join(", ")));
    }
    let _ = writeln!(out, "\n  branch   {}", printable(&lane.branch));
    if let Some(worktree) = &lane.worktree {
        let _ = writeln!(out, "  worktree {}", printable(worktree));
    }
}

/// One line for each mission. Names of missions are copied, so they stay whole: where the other columns
/// have no room beside them, each mission gets two lines instead of a row.
fn overview(boards: &[Board], width: usize) -> String {
    let rows: Vec<[String; 3]> = boards.iter().map(overview_row).collect();
    let longest = rows.iter().map(|[name, ..]| name.chars().count()).max();
    if longest.unwrap_or_default() + BESIDE > width {
        return rows.iter().fold(String::new(), |mut out, [name, done, others]| {
            let separator = if others.is_empty() { "" } else { ": " };
            let _ = writeln!(out, "{name}");
            out.push_str(&hanging("  ", &format!("{done} done{separator}{others}"), width));
            out
        });
    }
    let mut table = table(width);
    table.set_header(["mission", "done", "where the others are"]);
    table.add_rows(rows);
    if let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::ContentWidth);
    }
    format!("{table}\n")
}

/// The name of a mission, how many of its work packages are done, and how many are in which other lane.
fn overview_row(board: &Board) -> [String; 3] {
    let others: Vec<String> = BoardLane::all()
        .filter(|lane| *lane != Lane::Done)
        .map(|lane| (lane, in_lane(board, lane).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(lane, count)| format!("{count} {lane}"))
        .collect();
    let mark = if board.lane_source.is_log() { "" } else { " (front matter)" };
    [
        printable(&board.mission_slug).into_owned(),
        format!("{}/{}{mark}", done(board), board.work_packages.len()),
        others.join(", "),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use mission::command::status::LaneSource;
    use serde_json::Map;

    fn card(id: &str, lane: Lane) -> Card {
        Card {
            work_package_id: id.into(),
            title: format!("A title of some words for {id}\u{1b}[31m"),
            lane: lane.into(),
            actor: None,
            last_transition_at: None,
            lane_id: None,
            path: None,
        }
    }

    fn board() -> Board {
        Board {
            mission_slug: "tea-timer-01KRX11M".into(),
            mission_id: None,
            friendly_name: Some("Tea timer".into()),
            mission_type: "software-dev".into(),
            summary: Map::new(),
            lane_source: LaneSource::Log,
            work_packages: vec![
                card("WP01", Lane::Done),
                card("WP02", Lane::Planned),
                card("WP03", Lane::Planned),
            ],
            lanes: vec![WorkLane {
                lane_id: "lane-a".into(),
                branch: "kitty/mission-tea-timer-01KRX11M-lane-a".into(),
                worktree: Some(".worktrees/tea-timer-01KRX11M-lane-a".into()),
                wp_ids: vec!["WP01".into(), "WP02".into()],
                depends_on_lanes: vec!["lane-b".into()],
                parallel_group: 1,
            }],
            warnings: Vec::new(),
        }
    }

    /// Of the table: names of branches stay whole.
    fn widest(text: &str) -> usize {
        let lines = text.lines().filter(|line| line.starts_with(['┌', '│', '└']));
        lines.map(|line| line.chars().count()).max().unwrap_or_default()
    }

    #[test]
    fn long_name_wraps_to_the_next_line() {
        let long = Some("A timer that hums when the tea is ready, and ".repeat(3));
        let text = title(&Board { friendly_name: long, ..board() }, 80);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(title(&board(), 80).starts_with("Tea timer (tea-timer-01KRX11M)\nsoftware-dev"), "{text}");
    }

    #[test]
    fn board_has_a_column_for_each_lane_that_holds_something_and_fits() {
        let boards = Boards { missions: vec![board()], unreadable: Vec::new() };
        for width in [40, 60, 80, 120] {
            let text = render(&boards, true, width);
            assert!(widest(&text) <= width, "{width}:\n{text}");
            assert!(text.contains("planned (2)") && text.contains("done (1)"), "{text}");
            assert!(!text.contains("claimed") && !text.contains('\u{1b}'), "{text}");
            assert!(text.contains("lane-a: WP01, WP02, after lane-b\n"), "{text}");
            for id in ["WP01", "WP02", "WP03"] {
                assert!(text.contains(id), "{text}");
            }
        }
    }

    #[test]
    fn terminal_too_narrow_for_columns_gets_sections() {
        let boards = Boards { missions: vec![board()], unreadable: Vec::new() };
        let text = render(&boards, true, 20);
        assert!(text.contains("planned (2)\n  WP02 A title"), "{text}");
    }

    /// Every run of letters, without borders and line breaks.
    fn words(text: &str) -> Vec<&str> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect()
    }

    #[test]
    fn board_at_any_width_keeps_words_whole() {
        let mut board = board();
        board.work_packages[0].title = "Internationalisation of the countdown".into();
        let slug = "a-mission-with-a-name-that-is-longer-than-a-narrow-terminal-01KRX11M";
        let long = Board { mission_slug: slug.into(), ..board.clone() };
        let boards = Boards { missions: vec![board, long], unreadable: Vec::new() };
        for width in [20, 40, 48, 60, 80, 120] {
            let text = kanban(&boards.missions[0], width);
            assert!(words(&text).contains(&"Internationalisation"), "{width}:\n{text}");
            let text = render(&boards, false, width);
            assert!(text.contains(slug), "{width}:\n{text}");
            assert!(words(&text).contains(&"planned"), "{width}:\n{text}");
        }
    }

    #[test]
    fn many_missions_are_an_overview() {
        let boards = Boards { missions: vec![board(), board()], unreadable: Vec::new() };
        let text = render(&boards, false, 80);
        assert!(text.contains("1/3") && text.contains("2 planned"), "{text}");
        assert!(widest(&text) <= 80, "{text}");
        assert_eq!(render(&Boards { missions: vec![], unreadable: vec![] }, false, 80), "no missions\n");
    }

    #[test]
    fn no_width_is_too_small_or_too_large() {
        let boards = Boards { missions: vec![board(), board()], unreadable: Vec::new() };
        for width in [1, 2, 3, 7, 16, 32, 70_000] {
            assert!(!render(&boards, false, width).is_empty(), "{width}");
            assert!(kanban(&boards.missions[0], width).contains("WP03"), "{width}");
        }
    }
}
