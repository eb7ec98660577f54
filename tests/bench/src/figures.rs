//! From samples to a table: medians, spreads, and ratios of what took turns.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::Setting;

/// One thing that was measured some times.
pub(crate) struct Row {
    /// Who was measured, doing what.
    pub(crate) subject: String,
    pub(crate) unit: &'static str,
    /// One for each round, in the order of the rounds.
    pub(crate) samples: Vec<f64>,
    pub(crate) compared: Vec<Compared>,
    /// The least or the most that the figure itself should be.
    pub(crate) bar: Option<Bar>,
}

/// A row beside another one, round by round.
pub(crate) struct Compared {
    pub(crate) with: String,
    pub(crate) ratios: Vec<f64>,
    pub(crate) bar: Option<Bar>,
}

#[derive(Clone, Copy)]
pub(crate) enum Bar {
    AtLeast(f64),
    AtMost(f64),
}

impl Bar {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bar) => value >= bar,
            Self::AtMost(bar) => value <= bar,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(bar) => format!(">= {}", short(bar)),
            Self::AtMost(bar) => format!("<= {}", short(bar)),
        }
    }
}

impl Row {
    pub(crate) fn new(subject: impl Into<String>, unit: &'static str, samples: Vec<f64>) -> Self {
        Self { subject: subject.into(), unit, samples, compared: Vec::new(), bar: None }
    }

    pub(crate) fn bar(mut self, bar: Bar) -> Self {
        self.bar = Some(bar);
        self
    }

    /// Put it beside `other`, whose rounds ran in between its own.
    pub(crate) fn compare(&mut self, other: &Self, bar: Option<Bar>) {
        let pairs = self.samples.iter().zip(&other.samples);
        let ratios = pairs.map(|(own, others)| own / others).collect();
        self.compared.push(Compared { with: other.subject.clone(), ratios, bar });
    }

    pub(crate) fn median(&self) -> f64 {
        quantile(&self.samples, 0.5)
    }
}

/// The value below which a share of the samples lies, in between two of them if need be.
pub(crate) fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = share * (sorted.len().saturating_sub(1)) as f64;
    let value = |index: f64| sorted.get(index as usize).copied();
    match (value(at.floor()), value(at.ceil())) {
        (Some(low), Some(high)) => low + (high - low) * at.fract(),
        _ => f64::NAN,
    }
}

/// Half of what lies between the lowest and the highest sample, as a share of the median.
fn spread(samples: &[f64]) -> f64 {
    let (low, high) = (quantile(samples, 0.0), quantile(samples, 1.0));
    (high - low) / 2.0 / quantile(samples, 0.5).abs().max(f64::MIN_POSITIVE)
}

/// All rows of a run and what they were measured on.
pub(crate) struct Report {
    machine: Vec<(&'static str, String)>,
    scenarios: Vec<(&'static str, Vec<Row>)>,
}

impl Report {
    pub(crate) fn new(setting: &Setting) -> Self {
        Self { machine: machine(setting), scenarios: Vec::new() }
    }

    pub(crate) fn add(&mut self, scenario: &'static str, rows: Vec<Row>) {
        self.scenarios.push((scenario, rows));
    }

    /// The rows of one scenario.
    pub(crate) fn rows(&self, scenario: &str) -> &[Row] {
        let found = self.scenarios.iter().find(|(name, _)| *name == scenario);
        found.map(|(_, rows)| rows.as_slice()).unwrap_or_default()
    }

    /// The table, as Markdown.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.machine {
            let _ = writeln!(text, "{name}: {value}");
        }
        text.push_str("\n| measure | median | spread | compared with | ratio | bar |\n");
        text.push_str("|---|---|---|---|---|---|\n");
        for (scenario, rows) in &self.scenarios {
            for row in rows {
                let own = format!(
                    "| {scenario}: {} | {} {} | ±{:.0} % |",
                    row.subject,
                    short(row.median()),
                    row.unit,
                    spread(&row.samples) * 100.0
                );
                let verdict = |bar: Option<Bar>, value: f64| match bar {
                    Some(bar) if bar.is_met(value) => format!("{} met", bar.text()),
                    Some(bar) => format!("{} **missed**", bar.text()),
                    None => String::new(),
                };
                if row.compared.is_empty() || row.bar.is_some() {
                    let _ = writeln!(text, "{own} | | {} |", verdict(row.bar, row.median()));
                }
                for compared in &row.compared {
                    let ratio = quantile(&compared.ratios, 0.5);
                    let _ = writeln!(
                        text,
                        "{own} {} | {ratio:.2} ±{:.0} % | {} |",
                        compared.with,
                        spread(&compared.ratios) * 100.0,
                        verdict(compared.bar, ratio)
                    );
                }
            }
        }
        text
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let machine: Value =
            self.machine.iter().map(|(name, value)| ((*name).to_string(), json!(value))).collect();
        let rows: Vec<Value> = self
            .scenarios
            .iter()
            .flat_map(|(scenario, rows)| rows.iter().map(move |row| (scenario, row)))
            .map(|(scenario, row)| {
                let compared: Vec<Value> = row
                    .compared
                    .iter()
                    .map(|compared| {
                        json!({
                            "with": compared.with,
                            "ratio": quantile(&compared.ratios, 0.5),
                            "ratios": compared.ratios,
                        })
                    })
                    .collect();
                json!({
                    "scenario": scenario,
                    "subject": row.subject,
                    "unit": row.unit,
                    "median": row.median(),
                    "samples": row.samples,
                    "compared": compared,
                })
            })
            .collect();
        let text = serde_json::to_string_pretty(&json!({ "machine": machine, "rows": rows }))?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Three digits are all that a measurement is good for.
fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 1_000_000.0 => format!("{:.2}M", value / 1e6),
        large if large >= 10_000.0 => format!("{:.1}k", value / 1e3),
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn machine(setting: &Setting) -> Vec<(&'static str, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once([':', '=']).map(|(_, value)| value.trim().trim_matches('"').to_string())
    };
    let said = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        String::from_utf8_lossy(&text).lines().next().map(str::to_string)
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = field(&read("/proc/cpuinfo"), "model name").unwrap_or_default();
    let mut versions = vec![
        said(&setting.run.host, &["--version"]),
        said(Path::new("rustc"), &["--version"]),
        setting.run.wasmtime.as_deref().and_then(|program| said(program, &["--version"])),
        setting.run.nginx.as_deref().and_then(|program| said(program, &["-v"])),
        said(Path::new("valgrind"), &["--version"]),
    ];
    versions.retain(Option::is_some);
    let versions: Vec<String> = versions.into_iter().flatten().collect();
    vec![
        ("processor", format!("{processors} x {cpu}")),
        ("memory", field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default()),
        (
            "system",
            format!(
                "{}, Linux {}",
                field(&read("/etc/os-release"), "PRETTY_NAME").unwrap_or_default(),
                read("/proc/sys/kernel/osrelease").trim()
            ),
        ),
        ("versions", versions.join("; ")),
        ("build", format!("{:?}", setting.run.build).to_lowercase()),
        ("load before", read("/proc/loadavg").trim().to_string()),
        ("rounds", format!("{} of {:?} each", setting.effort.rounds, setting.effort.measure)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_ratios() {
        let base = Row::new("base", "req/s", vec![100.0, 50.0, 10.0]);
        let mut row = Row::new("host", "req/s", vec![50.0, 30.0, 10.0]);
        row.compare(&base, Some(Bar::AtLeast(0.7)));
        assert_eq!(quantile(&row.compared[0].ratios, 0.5), 0.6);
        assert!(!Bar::AtLeast(0.7).is_met(0.6));
        assert!(Bar::AtMost(0.7).is_met(0.6));
    }

    #[test]
    fn quantiles_lie_between_samples() {
        assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5), 2.5);
        assert_eq!(quantile(&[5.0], 0.99), 5.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
