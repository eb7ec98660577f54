//! `cargo xtask test`: every test of the project, and one line that says how many.
//!
//! The counts come from what the test runners print, as it passes by. A part without a single test
//! is a failure: it means that something was not found, not that everything is fine.

mod browser;
mod counts;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::setup::Need;
use crate::shell::{self, MINUTE, Steps};
use crate::{Profile, guests, project, serve, web};
use counts::Counts;

/// Components with cases.
const WITH_CASES: [&str; 8] = [
    "components/weather",
    "components/ollama",
    "tests/guests/examples",
    "tests/guests/ledger",
    "tests/guests/blocking-p2",
    "tests/guests/spin-rust",
    "tests/javascript/hello-js",
    "tests/javascript/blocking-js",
];

const LIMIT: Duration = Duration::from_secs(45 * 60);

/// In the order in which they run. Cargo's come last, which leaves the end of its output next to
/// the summary.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Web,
    Browser,
    Component,
    Native,
    Integration,
    /// What needs root and a container engine. Only where it is named.
    Containers,
}

impl Part {
    const ALL: [Self; 6] = [
        Self::Web,
        Self::Browser,
        Self::Component,
        Self::Native,
        Self::Integration,
        Self::Containers,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Browser => "browser",
            Self::Component => "component",
            Self::Native => "native",
            Self::Integration => "integration",
            Self::Containers => "containers",
        }
    }
}

/// What became of a part.
struct Outcome {
    part: Part,
    counts: Counts,
    time: Duration,
    problem: Option<String>,
}

pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let (parts, filters) = select(args)?;
    let web = parts.contains(&Part::Web) || parts.contains(&Part::Browser);
    let browser = parts.contains(&Part::Browser);
    let components = parts.iter().any(|part| *part != Part::Web);
    let need = Need {
        components,
        web,
        foreign: components,
        postgres: components,
        redis: components,
        pooler: parts.contains(&Part::Integration),
        prometheus: parts.contains(&Part::Integration),
        registry: parts.contains(&Part::Integration) || parts.contains(&Part::Containers),
        containers: parts.contains(&Part::Containers),
        opentelemetry: parts.contains(&Part::Integration),
        kubernetes: parts.contains(&Part::Integration),
        browser,
    };
    let total = 1 + usize::from(components) * 3 + usize::from(web) + parts.len();
    let mut steps = Steps::new(total);
    let ready = match prepare(&mut steps, need) {
        Ok(ready) => ready,
        Err(error) => {
            eprintln!("error: {error:#}");
            return Ok(close(&[], true, false));
        }
    };

    let mut outcomes = Vec::new();
    for part in parts {
        let (mut counts, start) = (Counts::default(), Instant::now());
        let title = format!("{} tests", part.name());
        let result = steps.run(&title, || {
            match part {
                Part::Web => {
                    counted(&mut web::npm(&["test"]), &mut counts)?;
                    counted(web::npm(&["test"]).current_dir(project::dashboard()), &mut counts)?;
                }
                Part::Browser => browser::run(ready.chromium.as_deref(), &mut counts)?,
                Part::Component => counted(&mut component(), &mut counts)?,
                Part::Native => counted(&mut native(&filters)?, &mut counts)?,
                Part::Integration => counted(&mut integration(&filters)?, &mut counts)?,
                Part::Containers => counted(&mut containers()?, &mut counts)?,
            }
            Ok(((), counts.to_string()))
        });
        let problem = match result {
            Err(error) => Some(format!("{error:#}")),
            Ok(()) if counts.total() == 0 && filters.is_empty() => {
                Some("it ran no test at all".to_owned())
            }
            Ok(()) => None,
        };
        outcomes.push(Outcome { part, counts, time: start.elapsed(), problem });
    }
    Ok(close(&outcomes, false, !filters.is_empty()))
}

/// Names of parts choose parts, everything else selects tests. Only Rust's tests have names that
/// can be selected, so a selection alone leaves the web UI's out.
fn select(args: &[String]) -> Result<(Vec<Part>, Vec<String>)> {
    let named = |arg: &String| Part::ALL.into_iter().find(|part| part.name() == arg);
    let filters: Vec<_> = args.iter().filter(|arg| named(arg).is_none()).cloned().collect();
    if let Some(option) = filters.iter().find(|filter| filter.starts_with('-')) {
        let parts = Part::ALL.map(Part::name).join(", ");
        bail!(
            "unexpected `{option}`: this command takes names of parts ({parts}) and words that names of tests contain"
        );
    }
    let chosen: Vec<_> = args.iter().filter_map(named).collect();
    let parts =
        Part::ALL.into_iter().filter(|part| match (chosen.is_empty(), filters.is_empty()) {
            (true, true) => *part != Part::Containers,
            (true, false) => matches!(part, Part::Native | Part::Integration),
            (false, _) => chosen.contains(part),
        });
    Ok((parts.collect(), filters))
}

fn prepare(steps: &mut Steps, need: Need) -> Result<crate::setup::Ready> {
    let ready = serve::components_and_web(steps, need)?;
    if need.components {
        build(steps)?;
    }
    Ok(ready)
}

/// Everything native that the tests need: the host, its tests, and what they start.
pub(crate) fn build(steps: &mut Steps) -> Result<()> {
    steps.run("host and its tests", || {
        let mut cargo = project::cargo();
        cargo.args(["build", "--locked", "--bins", "--tests"]).args(selection()?);
        shell::shown(&mut cargo, 60 * MINUTE)?;
        Ok(((), "built".to_owned()))
    })
}

/// The packages of every cargo call here. It is always the same selection, because cargo compiles
/// dependencies again for a selection that uses other features of them. Components made for the
/// tests have no tests of their own.
pub(crate) fn selection() -> Result<Vec<String>> {
    let excluded = guests()?.into_iter().flat_map(|package| ["--exclude".to_owned(), package]);
    Ok(["--workspace".to_owned()].into_iter().chain(excluded).collect())
}

/// The packages of components made for the tests.
pub(crate) fn guests() -> Result<Vec<String>> {
    let all = guests::all(&project::root())?.into_iter();
    Ok(all.filter(|guest| guest.folder.starts_with("tests/")).map(|guest| guest.package).collect())
}

/// The cases of every component that has some, run by the host itself.
fn component() -> Command {
    let mut host = Command::new(serve::host_binary(Profile::Debug));
    host.arg("test").args(WITH_CASES).current_dir(project::root());
    host
}

fn native(filters: &[String]) -> Result<Command> {
    let mut cargo = project::cargo();
    cargo.args(["test", "--locked", "--no-fail-fast", "--tests"]).args(selection()?);
    cargo.args(["--exclude", "wasm-host-tests", "--"]).args(filters);
    Ok(cargo)
}

fn integration(filters: &[String]) -> Result<Command> {
    let mut cargo = project::cargo();
    cargo.args(["test", "--locked", "--no-fail-fast", "--test", "it"]).args(selection()?);
    cargo.arg("--").args(filters);
    Ok(cargo)
}

/// Those that are left out of all other runs.
fn containers() -> Result<Command> {
    let mut cargo = integration(&["containers::".to_owned()])?;
    cargo.args(["--ignored", "--test-threads=1"]);
    Ok(cargo)
}

/// Runs a test runner and counts its tests.
fn counted(command: &mut Command, counts: &mut Counts) -> Result<()> {
    // Vitest would otherwise wait for changes where it believes to be at a terminal.
    command.env("CI", "true");
    let status = shell::overheard(command, LIMIT, |line| counts.read(line))?;
    if !status.success() {
        bail!("{} ended with {status}", shell::name(command));
    }
    Ok(())
}

/// Prints the summary. A failure without a failed test (it did not compile, it did not stop)
/// counts as one, so that the last line never looks better than the exit code.
fn close(outcomes: &[Outcome], unprepared: bool, filtered: bool) -> ExitCode {
    let mut sum = Counts { passed: 0, failed: usize::from(unprepared) };
    println!();
    for Outcome { part, counts, time, problem } in outcomes {
        let verdict = if problem.is_some() || counts.failed > 0 { "FAILED" } else { "ok" };
        println!("{:<12} {verdict:<7} {counts}, {}", part.name(), shell::seconds(*time));
        // A failed test has been shown by its runner, which then fails as well.
        if let Some(problem) = problem.as_ref().filter(|_| counts.failed == 0) {
            println!("             {problem}");
        }
        sum.passed += counts.passed;
        sum.failed += counts.failed.max(usize::from(problem.is_some()));
    }
    if filtered && sum.total() == 0 {
        println!("no test has such a name");
    }
    println!("{sum}");
    if sum.failed == 0 && sum.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(args: &[&str]) -> (Vec<Part>, Vec<String>) {
        select(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn without_arguments_everything_runs() {
        let all: Vec<_> = Part::ALL.into_iter().filter(|part| *part != Part::Containers).collect();
        assert_eq!(selected(&[]), (all, vec![]));
        assert_eq!(selected(&["containers"]), (vec![Part::Containers], vec![]));
    }

    #[test]
    fn a_filter_alone_means_rust_tests() {
        let (parts, filters) = selected(&["swap"]);
        assert_eq!(parts, [Part::Native, Part::Integration]);
        assert_eq!(filters, ["swap"]);
    }

    #[test]
    fn a_part_and_a_filter_combine() {
        let (parts, filters) = selected(&["integration", "swap"]);
        assert_eq!(parts, [Part::Integration]);
        assert_eq!(filters, ["swap"]);
    }

    #[test]
    fn an_option_is_refused_and_not_taken_for_a_name() {
        assert!(select(&["--relase".to_owned()]).is_err());
    }
}
