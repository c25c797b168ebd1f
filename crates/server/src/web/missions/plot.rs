//! Progress over time as a plot: inline SVG without scripts or styles of its own; classes of the stylesheet colour it.

use super::board::Progress;
use contract::Lane;
use std::fmt::Write;

/// Units of the drawing. The left and lower margins have the labels of the axes.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 36.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 20.0;

/// Columns: of several states within one, the last is drawn.
const COLUMNS: usize = 240;

/// Lanes that are drawn together, from the bottom up.
pub(super) const BANDS: [(&str, &str, &[Lane]); 4] = [
    ("done", "Done", &[Lane::Done]),
    ("review", "In review or approved", &[Lane::ForReview, Lane::InReview, Lane::Approved]),
    ("active", "Claimed, in progress or blocked", &[Lane::Claimed, Lane::InProgress, Lane::Blocked]),
    ("planned", "Planned", &[Lane::Planned]),
];

/// A plot: its drawing, and the same as sentences.
#[derive(Debug)]
pub(super) struct Plot {
    /// Paths of the bands, each with its class.
    pub(super) paths: Vec<(&'static str, String)>,
    /// Lines of the grid: their height and label.
    pub(super) grid: Vec<(f64, u32)>,
    pub(super) first_day: String,
    pub(super) last_day: String,
    pub(super) description: String,
    pub(super) view: String,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) base: f64,
}

fn band(counts: &[u32; 9], lanes: &[Lane]) -> u32 {
    Lane::ALL.iter().zip(counts).filter(|(lane, _)| lanes.contains(lane)).map(|(_, count)| count).sum()
}

/// Nothing for a mission without a move.
pub(super) fn plot(progress: &[Progress]) -> Option<Plot> {
    let (first, last) = (progress.first()?, progress.last()?);
    let from = first.at.0 as f64;
    let span = (last.at.0 as f64 - from).max(1.0);
    let column = |step: &Progress| ((step.at.0 as f64 - from) / span * COLUMNS as f64).round() as usize;
    let mut steps: Vec<(usize, &Progress)> = Vec::new();
    for step in progress {
        match steps.last_mut() {
            Some((known, kept)) if *known == column(step) => *kept = step,
            _ => steps.push((column(step), step)),
        }
    }
    // A single moment is drawn over the whole width.
    steps.push((COLUMNS + 1, last));
    let total = |step: &Progress| BANDS.iter().map(|(.., lanes)| band(&step.counts, lanes)).sum::<u32>();
    let most = progress.iter().map(total).max().unwrap_or(0).max(1);
    let (base, right) = (HEIGHT - BOTTOM, WIDTH - 4.0);
    let x = |column: usize| LEFT + column as f64 / (COLUMNS + 1) as f64 * (right - LEFT);
    let y = |count: u32| base - f64::from(count) / f64::from(most) * (base - TOP);
    let mut paths = Vec::new();
    for (number, (class, ..)) in BANDS.iter().enumerate() {
        let below = |step: &Progress, bands: usize| -> u32 {
            BANDS.iter().take(bands).map(|(.., lanes)| band(&step.counts, lanes)).sum()
        };
        let edge = |bands: usize| {
            let mut points: Vec<(f64, f64)> = Vec::new();
            for (column, step) in &steps {
                let height = y(below(step, bands));
                if let Some((_, before)) = points.last().copied() {
                    points.push((x(*column), before));
                }
                points.push((x(*column), height));
            }
            points
        };
        let (upper, lower) = (edge(number + 1), edge(number));
        let mut path = String::new();
        for (at, (x, y)) in upper.iter().chain(lower.iter().rev()).enumerate() {
            let _ = write!(path, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
        }
        path.push('Z');
        paths.push((*class, path));
    }
    let middle = (most >= 2).then_some(most / 2);
    let grid = [Some(0), middle, Some(most)].into_iter().flatten().map(|count| (y(count), count)).collect();
    Some(Plot {
        paths,
        grid,
        first_day: first.at.day(),
        last_day: last.at.day(),
        description: describe(first, last),
        view: format!("0 0 {WIDTH} {HEIGHT}"),
        left: LEFT,
        right,
        base,
    })
}

fn describe(first: &Progress, last: &Progress) -> String {
    let counts = |step: &Progress| {
        let parts: Vec<String> = BANDS
            .iter()
            .map(|(_, label, lanes)| format!("{} {}", band(&step.counts, lanes), label.to_lowercase()))
            .collect();
        parts.join(", ")
    };
    format!(
        "Work packages by state from {} to {}. At the start: {}. Last: {}.",
        first.at.day(),
        last.at.day(),
        counts(first),
        counts(last)
    )
}

#[cfg(test)]
mod tests {
    use super::super::fact::FactInstant;
    use super::*;

    fn step(hour: i64, planned: u32, done: u32) -> Progress {
        let mut counts = [0; 9];
        (counts[0], counts[6]) = (planned, done);
        Progress { at: FactInstant(1_795_338_000_000_000 + hour * 3_600_000_000), counts }
    }

    #[test]
    fn mission_without_a_move_has_no_plot() {
        assert!(plot(&[]).is_none());
    }

    #[test]
    fn plot_has_words_and_stays_in_its_frame() {
        let plot = plot(&[step(0, 2, 0), step(30, 1, 1), step(48, 0, 2)]).unwrap();
        assert_eq!(
            plot.description,
            "Work packages by state from 2026-11-22 to 2026-11-24. At the start: 0 done, 0 in review or approved, \
             0 claimed, in progress or blocked, 2 planned. Last: 2 done, 0 in review or approved, \
             0 claimed, in progress or blocked, 0 planned."
        );
        assert_eq!(plot.grid.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [0, 1, 2]);
        for (_, path) in &plot.paths {
            let numbers = path.split(['M', 'L', 'Z', ' ']).filter_map(|number| number.parse::<f64>().ok());
            assert!(numbers.into_iter().all(|number| (0.0..=WIDTH).contains(&number)), "{path}");
        }
    }

    #[test]
    fn plot_of_many_moves_and_wrong_clocks_is_small() {
        let mut progress: Vec<Progress> = (0..100_000).map(|hour| step(hour % 1000, 3, 1)).collect();
        progress.sort_by_key(|step| step.at);
        progress.push(Progress { at: FactInstant(i64::MAX / 4), counts: [u32::MAX / 9; 9] });
        let plot = plot(&progress).unwrap();
        assert!(plot.paths.iter().all(|(_, path)| path.len() < 40_000));
        assert!(plot_of_one().paths.iter().all(|(_, path)| !path.contains("NaN")));
    }

    fn plot_of_one() -> Plot {
        plot(&[step(0, 1, 0)]).unwrap()
    }
}
