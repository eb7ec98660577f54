//! What became of the cases: for people, for programs, and for build servers.

mod junit;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::judge::ending;
use super::suite::CaseResult;
use wasm_host_system::table;

pub use junit::junit;

/// All cases of one component.
#[derive(Debug)]
pub struct Suite {
    /// The component's name.
    pub name: String,
    pub file: String,
    pub digest: String,
    /// Time to read and compile the component.
    pub load: Duration,
    pub verdicts: Vec<CaseResult>,
    /// What became of the files that were to be rewritten, by the number of the verdict.
    pub blessed: BTreeMap<usize, Blessing>,
}

/// Rewritten, or why not.
pub type Blessing = Result<(), String>;

impl Suite {
    fn word(&self, index: usize, verdict: &CaseResult) -> &'static str {
        match verdict.passed() {
            true => "ok",
            false if matches!(self.blessed.get(&index), Some(Ok(()))) => "blessed",
            false => "FAILED",
        }
    }

    /// Cases that failed and were not rewritten.
    pub fn failed(&self) -> usize {
        let bad = |(index, verdict): &(usize, &CaseResult)| self.word(*index, verdict) == "FAILED";
        self.verdicts.iter().enumerate().filter(bad).count()
    }

    fn blessed(&self) -> usize {
        self.blessed.values().filter(|blessing| blessing.is_ok()).count()
    }

    /// Why a file that was to be rewritten was not.
    fn unblessed(&self, index: usize) -> Option<&str> {
        self.blessed.get(&index)?.as_ref().err().map(String::as_str)
    }

    fn ran(&self) -> usize {
        self.verdicts.len()
    }
}

/// A table of all cases, what is wrong with those that failed, and a line that says how many.
pub fn text(suites: &[Suite], took: Duration) -> String {
    let mut rows = Vec::new();
    let mut details = String::new();
    for suite in suites {
        for (index, verdict) in suite.verdicts.iter().enumerate() {
            let word = suite.word(index, verdict);
            let name = format!("{}/{}", suite.name, verdict.file.case.name);
            let observed = &verdict.observed;
            rows.push([
                name.clone(),
                word.to_string(),
                milliseconds(observed.took),
                super::case::forms::show_duration(observed.virtual_time),
            ]);
            if word == "FAILED" {
                details += &detail(&name, verdict, suite.unblessed(index));
            }
        }
    }
    let mut text = table::render(["CASE", "VERDICT", "TIME", "VIRTUAL"], &rows);
    text += &details;
    let (ran, failed) = totals(suites);
    let load: Duration = suites.iter().map(|suite| suite.load).sum();
    let blessed: usize = suites.iter().map(Suite::blessed).sum();
    // Writing to a text does not fail.
    let _ = write!(text, "\n{} passed, {failed} failed", ran - failed - blessed);
    if blessed > 0 {
        let _ = write!(text, ", {blessed} blessed");
    }
    let _ = writeln!(
        text,
        " in {:.2} s (components loaded in {:.2} s)",
        took.as_secs_f64(),
        load.as_secs_f64()
    );
    text
}

fn totals(suites: &[Suite]) -> (usize, usize) {
    (suites.iter().map(Suite::ran).sum(), suites.iter().map(Suite::failed).sum())
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// Everything that helps to understand one failure.
pub fn detail(name: &str, verdict: &CaseResult, unblessed: Option<&str>) -> String {
    let (case, observed) = (&verdict.file.case, &verdict.observed);
    let mut text = format!("\nFAILED {name} ({})\n", verdict.file.path.display());
    if let Some(about) = &case.about {
        let _ = writeln!(text, "  {about}");
    }
    for difference in &verdict.differences {
        let legend =
            if difference.text.starts_with(['-', '+', ' ']) { " (- expected, + seen)" } else { "" };
        let _ = writeln!(text, "  {}{legend}:", difference.about);
        indent(&mut text, &difference.text);
    }
    if let Some(reason) = &observed.reason {
        let _ = writeln!(text, "  it ended with ({}):", ending(observed.end));
        indent(&mut text, reason);
    }
    if let Some(backtrace) = &observed.backtrace {
        indent(&mut text, backtrace);
    }
    if !observed.log.is_empty() {
        let _ = writeln!(text, "  it printed:");
        indent(&mut text, &observed.log);
    }
    if let Some(why) = unblessed {
        let _ = writeln!(text, "  it cannot be blessed: {why}");
    }
    text
}

fn indent(text: &mut String, lines: &str) {
    for line in lines.lines() {
        text.push_str("    ");
        text.push_str(line);
        text.push('\n');
    }
}

#[derive(Serialize)]
struct Report<'a> {
    passed: usize,
    failed: usize,
    blessed: usize,
    milliseconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    shuffle_seed: Option<u64>,
    components: Vec<ComponentReport<'a>>,
}

#[derive(Serialize)]
struct ComponentReport<'a> {
    name: &'a str,
    file: &'a str,
    digest: &'a str,
    load_milliseconds: f64,
    cases: Vec<CaseReport<'a>>,
}

#[derive(Serialize)]
struct CaseReport<'a> {
    name: &'a str,
    file: String,
    /// `passed`, `failed` or `blessed`.
    verdict: &'static str,
    milliseconds: f64,
    virtual_milliseconds: u64,
    end: &'static str,
    differences: Vec<DifferenceReport<'a>>,
    /// Why its file, which was to be rewritten, was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_blessed: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backtrace: Option<&'a str>,
    log: &'a str,
}

#[derive(Serialize)]
struct DifferenceReport<'a> {
    about: &'static str,
    text: &'a str,
}

/// The same for programs.
pub fn json(suites: &[Suite], took: Duration, shuffle_seed: Option<u64>) -> impl Serialize + '_ {
    let (ran, failed) = totals(suites);
    let blessed: usize = suites.iter().map(Suite::blessed).sum();
    let exact = |time: Duration| time.as_secs_f64() * 1000.0;
    let components = suites.iter().map(|suite| ComponentReport {
        name: &suite.name,
        file: &suite.file,
        digest: &suite.digest,
        load_milliseconds: exact(suite.load),
        cases: suite
            .verdicts
            .iter()
            .enumerate()
            .map(|(index, verdict)| case(suite, index, verdict))
            .collect(),
    });
    Report {
        passed: ran - failed - blessed,
        failed,
        blessed,
        milliseconds: exact(took),
        shuffle_seed,
        components: components.collect(),
    }
}

fn case<'a>(suite: &'a Suite, index: usize, verdict: &'a CaseResult) -> CaseReport<'a> {
    let observed = &verdict.observed;
    let differences = verdict.differences.iter();
    CaseReport {
        name: &verdict.file.case.name,
        file: verdict.file.path.display().to_string(),
        verdict: match suite.word(index, verdict) {
            "ok" => "passed",
            "FAILED" => "failed",
            other => other,
        },
        milliseconds: observed.took.as_secs_f64() * 1000.0,
        virtual_milliseconds: u64::try_from(observed.virtual_time.as_millis()).unwrap_or(u64::MAX),
        end: ending(observed.end),
        differences: differences
            .map(|difference| DifferenceReport { about: difference.about, text: &difference.text })
            .collect(),
        not_blessed: suite.unblessed(index),
        reason: observed.reason.as_deref(),
        backtrace: observed.backtrace.as_deref(),
        log: &observed.log,
    }
}
