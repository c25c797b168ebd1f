//! The report of one run: a table of goals and ratios, and cost against size as a plot.

use crate::ProcessCost;
use std::fmt::Write as _;
use std::time::Duration;

/// Goal of a measurement.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// At most this much.
    AtMost(f64),
    /// At most this multiple of the yardstick.
    RatioAtMost(f64),
    /// At least this multiple of the yardstick.
    RatioAtLeast(f64),
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// The operation.
    pub what: String,
    /// Its unit.
    pub unit: &'static str,
    /// Value in that unit.
    pub value: f64,
    /// The yardstick and its value, in the same unit.
    pub yardstick: Option<(&'static str, f64)>,
    /// The goal.
    pub goal: Option<Goal>,
}

impl Measurement {
    /// The multiple of the yardstick.
    fn ratio(&self) -> Option<f64> {
        self.yardstick.map(|(_, yardstick)| self.value / yardstick.max(f64::MIN_POSITIVE))
    }

    /// How many times the goal was missed by; at most one where it is reached, nothing without a goal.
    fn missed_by(&self) -> Option<f64> {
        match (self.goal?, self.ratio()) {
            (Goal::AtMost(most), _) => Some(self.value / most),
            (Goal::RatioAtMost(most), Some(ratio)) => Some(ratio / most),
            (Goal::RatioAtLeast(least), Some(ratio)) => Some(least / ratio.max(f64::MIN_POSITIVE)),
            (Goal::RatioAtMost(_) | Goal::RatioAtLeast(_), None) => None,
        }
    }

    fn row(&self) -> String {
        let goal = match self.goal {
            Some(Goal::AtMost(most)) => format!("<= {} {}", shown(most), self.unit),
            Some(Goal::RatioAtMost(most)) => format!("<= {} x", shown(most)),
            Some(Goal::RatioAtLeast(least)) => format!(">= {} x", shown(least)),
            None => "-".to_owned(),
        };
        let yardstick = match self.yardstick {
            Some((name, value)) => format!("{} {}: {name}", shown(value), self.unit),
            None => "-".to_owned(),
        };
        let ratio = self.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{} x", shown(ratio)));
        let reached = match self.missed_by() {
            Some(times) if times > 1.0 => format!("no, by {times:.2} x"),
            Some(_) => "yes".to_owned(),
            None => "-".to_owned(),
        };
        format!(
            "| {} | {goal} | {} {} | {yardstick} | {ratio} | {reached} |",
            self.what,
            shown(self.value),
            self.unit
        )
    }
}

/// Three significant digits, or a whole number.
fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{:.2} M", value / 1e6),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}

/// The cost of one operation by size.
#[derive(Clone, Debug)]
struct Curve {
    /// The operation.
    name: &'static str,
    /// Whether it is drawn.
    is_drawn: bool,
    /// Rows, and what so many cost.
    points: Vec<(f64, ProcessCost)>,
}

/// Milliseconds.
pub fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

/// All of a run.
#[derive(Clone, Debug, Default)]
pub struct PerformanceReport {
    rows: Vec<Measurement>,
    curves: Vec<Curve>,
}

impl PerformanceReport {
    /// Adds a line.
    pub fn add(&mut self, row: Measurement) {
        self.rows.push(row);
    }

    /// Adds a point to the curve of an operation, which is drawn.
    pub fn plot(&mut self, name: &'static str, size: f64, cost: ProcessCost) {
        self.add_point(name, true, (size, cost));
    }

    /// Adds the cost of a verb at a size, which is listed and not drawn.
    pub fn list(&mut self, name: &'static str, size: f64, cost: ProcessCost) {
        self.add_point(name, false, (size, cost));
    }

    fn add_point(&mut self, name: &'static str, is_drawn: bool, point: (f64, ProcessCost)) {
        match self.curves.iter_mut().find(|curve| curve.name == name) {
            Some(curve) => curve.points.push(point),
            None => self.curves.push(Curve { name, is_drawn, points: vec![point] }),
        }
    }

    /// The table, as Markdown.
    pub fn table(&self) -> String {
        let mut out = String::from(
            "| operation | goal | measured | yardstick of the same run | ratio | reached |\n|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let _ = writeln!(out, "{}", row.row());
        }
        out
    }

    /// Cost by size, and how many times the time grows when the size grows tenfold, by two neighbouring sizes: ten
    /// is linear.
    pub fn growth(&self) -> String {
        let mut out = String::from(
            "| verb | rows | time | processor time | peak memory | growth of the time for ten times the rows |\n\
             |---|---|---|---|---|---|\n",
        );
        for Curve { name, points, .. } in &self.curves {
            let mut before: Option<(f64, f64)> = None;
            for (size, cost) in points {
                let wall = milliseconds(cost.wall);
                let growth = before.filter(|(smaller, _)| *smaller > 0.0 && size > smaller).map_or_else(
                    String::new,
                    |(smaller, less)| {
                        format!("{} x", shown((wall / less).powf(1.0 / (size / smaller).log10())))
                    },
                );
                let peak = match cost.peak_kib {
                    0 => "-".to_owned(),
                    peak => format!("{} MiB", shown(peak as f64 / 1024.0)),
                };
                let _ = writeln!(
                    out,
                    "| {name} | {} | {} ms | {} ms | {peak} | {growth} |",
                    shown(*size),
                    shown(wall),
                    shown(milliseconds(cost.cpu)),
                );
                before = Some((*size, wall));
            }
        }
        out
    }

    /// The curves, both axes logarithmic.
    pub fn svg(&self) -> String {
        const COLOURS: [&str; 6] = ["#1b6ca8", "#c1440e", "#2e7d32", "#7b3f9e", "#8a6d00", "#555555"];
        let drawn: Vec<(&str, Vec<(f64, f64)>)> = self
            .curves
            .iter()
            .filter(|curve| curve.is_drawn)
            .map(|curve| {
                let points = curve.points.iter().map(|(size, cost)| (*size, milliseconds(cost.wall)));
                (curve.name, points.collect())
            })
            .collect();
        let points = || drawn.iter().flat_map(|(_, points)| points);
        let bounds = |pick: fn(&(f64, f64)) -> f64| {
            let low = points().map(pick).fold(f64::INFINITY, f64::min).max(1e-3);
            let high = points().map(pick).fold(0.0, f64::max).max(low);
            (low.log10().floor(), high.log10().ceil().max(low.log10().floor() + 1.0))
        };
        let ((left, right), (bottom, top)) = (bounds(|point| point.0.max(1.0)), bounds(|point| point.1));
        let x = |size: f64| 70.0 + (size.max(1.0).log10() - left) / (right - left) * 500.0;
        let y = |cost: f64| 370.0 - (cost.max(1e-3).log10() - bottom) / (top - bottom) * 340.0;
        let mut out = String::from(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 420\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"720\" height=\"420\" fill=\"#ffffff\"/>\n",
        );
        let mut at = left;
        while at <= right {
            let (place, label) = (x(10_f64.powf(at)), plain(10_f64.powf(at)));
            let _ = writeln!(
                out,
                "<path d=\"M{place:.1} 30V370\" stroke=\"#dddddd\"/><text x=\"{place:.1}\" y=\"386\" text-anchor=\"middle\">{label}</text>"
            );
            at += 1.0;
        }
        let mut at = bottom;
        while at <= top {
            let (place, label) = (y(10_f64.powf(at)), plain(10_f64.powf(at)));
            let _ = writeln!(
                out,
                "<path d=\"M70 {place:.1}H570\" stroke=\"#dddddd\"/><text x=\"64\" y=\"{:.1}\" text-anchor=\"end\">{label} ms</text>",
                place + 4.0
            );
            at += 1.0;
        }
        let _ = writeln!(out, "<text x=\"320\" y=\"408\" text-anchor=\"middle\">rows</text>");
        let mut labels: Vec<f64> = Vec::new();
        for ((name, points), colour) in drawn.iter().zip(COLOURS.iter().cycle()) {
            let line: Vec<String> =
                points.iter().map(|(size, cost)| format!("{:.1},{:.1}", x(*size), y(*cost))).collect();
            let _ = writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                line.join(" ")
            );
            if let Some((size, cost)) = points.last() {
                let mut place = y(*cost) + 4.0;
                // Above a label that is in the way.
                while let Some(other) = labels.iter().find(|other| (*other - place).abs() < 13.0) {
                    place = other - 13.0;
                }
                labels.push(place);
                let _ = writeln!(
                    out,
                    "<text x=\"{:.1}\" y=\"{place:.1}\" fill=\"{colour}\">{name}</text>",
                    x(*size) + 6.0
                );
            }
        }
        out.push_str("</svg>\n");
        out
    }
}

/// A power of ten.
fn plain(value: f64) -> String {
    if value < 1.0 { format!("{value}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: f64, goal: Goal) -> Measurement {
        let yardstick = Some(("bare", 10.0));
        Measurement { what: "drain".into(), unit: "ms", value, yardstick, goal: Some(goal) }
    }

    #[test]
    fn row_shows_goal_ratio_and_whether_it_is_reached() {
        assert_eq!(
            row(15.0, Goal::RatioAtMost(1.5)).row(),
            "| drain | <= 1.5 x | 15.0 ms | 10.0 ms: bare | 1.5 x | yes |"
        );
        assert!(row(12.0, Goal::RatioAtLeast(1.5)).row().ends_with("| 1.2 x | no, by 1.25 x |"));
        assert!(row(12.0, Goal::AtMost(12.0)).row().ends_with("| yes |"));
    }

    #[test]
    fn growth_of_a_linear_cost_is_tenfold() {
        let mut report = PerformanceReport::default();
        let cost = |milliseconds| ProcessCost {
            wall: Duration::from_millis(milliseconds),
            cpu: Duration::from_millis(milliseconds / 2),
            peak_kib: 2048,
        };
        report.plot("drain", 100.0, cost(2));
        report.plot("drain", 10_000.0, cost(200));
        report.list("show", 0.0, cost(2));
        report.list("show", 100.0, cost(3));
        let table = report.growth();
        assert!(table.contains("| drain | 10000 | 200 ms | 100 ms | 2 MiB | 10.0 x |"), "{table}");
        assert!(table.contains("| show | 100 | 3 ms | 1 ms | 2 MiB |  |"), "{table}");
        let svg = report.svg();
        assert!(svg.contains("points=\"70.0,") && svg.contains(">drain</text>"), "{svg}");
        assert!(!svg.contains(">show</text>"), "{svg}");
    }
}
