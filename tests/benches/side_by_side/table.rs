//! The table: medians, paired ratios, floors.

use std::thread;

use rocketmq_boot_tests::load::usage;

use crate::rows::{Floor, Readings, Row};

/// All readings of a run.
pub(crate) struct Table<'a> {
    rows: Vec<Row>,
    systems: Vec<&'a str>,
    rounds: Vec<Vec<Readings>>,
    load_before: String,
}

impl<'a> Table<'a> {
    /// Ours is the first of the systems; ratios are to the second.
    pub(crate) fn new(rows: Vec<Row>, systems: Vec<&'a str>) -> Self {
        Self { rows, systems, rounds: Vec::new(), load_before: usage::kernel().1 }
    }

    /// Adds a round: the readings of each system.
    pub(crate) fn add(&mut self, readings: Vec<Readings>) {
        self.rounds.push(readings);
    }

    pub(crate) fn print(&self) {
        let mut head = format!("\n{:<42}", "");
        for system in &self.systems {
            head += &format!("{system:>15}");
        }
        println!("{head}{:>6}  {:>10}  {:<20}{:>12}", "", "ratio", "(from .. to)", "floor");
        for &row in &self.rows {
            self.print_row(row);
        }
        let cores = thread::available_parallelism().map_or(0, usize::from);
        let (kernel, load) = usage::kernel();
        println!(
            "\n{} rounds; medians, and the geometric mean of the rounds' ratios. {cores} cores, Linux {kernel}, \
             load {} before and {load} after.",
            self.rounds.len(),
            self.load_before
        );
    }

    fn print_row(&self, row: Row) {
        let mut line = format!("{:<42}", row.title());
        let median = |system: usize| median(self.rounds.iter().filter_map(|round| round[system].get(row)));
        for system in 0..self.systems.len() {
            line += &median(system)
                .map_or_else(|| format!("{:>15}", "-"), |value| format!("{:>15}", amount(value)));
        }
        let ratios: Vec<f64> = self
            .rounds
            .iter()
            .filter_map(|round| Some(round[0].get(row)? / round.get(1)?.get(row)?))
            .collect();
        let ratio = geometric_mean(&ratios);
        let (shown, spread) = match ratio {
            None => ("-".to_owned(), String::new()),
            Some(ratio) => {
                let sorted = sorted(ratios.iter().copied());
                let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
                (times(ratio), format!("({} .. {})", times(low), times(high)))
            }
        };
        let (floor, held) = match row.floor() {
            Floor::Times(floor) => (format!(">= {floor}x"), ratio.map(|ratio| ratio >= floor)),
            Floor::Part(floor) => (format!("<= 1/{floor}"), ratio.map(|ratio| ratio <= 1.0 / floor)),
            Floor::AtMost(most) => {
                (format!("<= {most} {}", row.unit()), median(0).map(|value| value <= most))
            }
        };
        let held = match held {
            None => "",
            Some(true) => "held",
            Some(false) => "MISSED",
        };
        println!("{line} {:<5}  {shown:>10}  {spread:<20}{floor:>12}  {held}", row.unit());
    }
}

/// `3.1x` or `1/4.5`.
fn times(ratio: f64) -> String {
    if ratio >= 1.0 { format!("{ratio:.1}x") } else { format!("1/{:.1}", 1.0 / ratio) }
}

/// Three digits are enough for anybody.
fn amount(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.2} M", value / 1e6),
        value if value >= 1e4 => format!("{:.1} k", value / 1e3),
        value if value >= 100.0 => format!("{value:.0}"),
        value => format!("{value:.2}"),
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values = sorted(values);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

fn geometric_mean(values: &[f64]) -> Option<f64> {
    let count = u32::try_from(values.len()).ok().filter(|count| *count > 0)?;
    let logarithms: f64 = values.iter().map(|value| value.ln()).sum();
    Some((logarithms / f64::from(count)).exp())
}
