//! `wasm-host test`: the cases of one or more components, run and reported.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io, thread};

use anyhow::{Context as _, anyhow};

use super::bless::bless;
use super::case::Matching;
use super::component::{Kit, Place};
use super::report::{Suite, json, junit, text};
use super::suite::{self, CaseFile};
use crate::cli::{Format, Test};
use crate::exit::Exit;
use crate::limits::testkit as bounds;
use crate::table;

/// Run the command.
///
/// # Errors
/// [`Exit::Usage`] for wrong arguments, components and case files; [`Exit::Told`] if a case failed or
/// there was none.
pub async fn test(args: Test) -> Result<(), Exit> {
    tokio::task::spawn_blocking(move || run(&args)).await.context("the tests stopped")?
}

fn run(args: &Test) -> Result<(), Exit> {
    let began = Instant::now();
    let usage = |error: anyhow::Error| Exit::Usage(format!("wasm-host: error: {error:#}"));
    // All case files are read before anything runs: a wrong one is told at once.
    let mut wrong = Vec::new();
    let mut work: Vec<(Place, Vec<CaseFile>)> = Vec::new();
    for path in &args.paths {
        let place = Place::of(path).map_err(usage)?;
        let Some(folder) = args.cases.as_deref().or(place.cases.as_deref()) else {
            let path = path.display();
            return Err(usage(anyhow!(
                "{path} is a file; say with --cases DIR where its cases are"
            )));
        };
        match suite::read(folder).map_err(usage)? {
            Ok(files) => work.push((place, files)),
            Err(errors) => wrong.extend(errors.iter().map(ToString::to_string)),
        }
    }
    if !wrong.is_empty() {
        return Err(Exit::Usage(wrong.join("\n")));
    }
    let seed = args.shuffle.map(|seed| seed.unwrap_or_else(time_as_seed));
    let kit = Kit::new()?;
    let mut suites = Vec::new();
    for (place, files) in work {
        let mut files = select(files, &place, args.filter.as_deref(), seed);
        if args.lenient {
            files.iter_mut().for_each(|file| file.case.matching = Matching::Lenient);
        }
        suites.push(one(&kit, place, files, args, usage)?);
    }
    let took = began.elapsed();
    if let Some(path) = &args.junit {
        let xml = junit(&suites, took).map_err(anyhow::Error::from)?;
        write(path, &xml)?;
    }
    match args.output.format {
        Format::Json => table::json(&json(&suites, took, seed))?,
        Format::Table => {
            print!("{}", text(&suites, took));
            if let Some(seed) = seed {
                println!("The order is that of --shuffle {seed}.");
            }
        }
    }
    if suites.iter().all(|suite| suite.verdicts.is_empty()) {
        // A run that tests nothing must not look like one in which everything is fine.
        let why = match &args.filter {
            Some(filter) => format!("no case has '{filter}' in its name"),
            None => "there is no case".to_string(),
        };
        return Err(Exit::Failed(anyhow!(why)));
    }
    if suites.iter().any(|suite| suite.failed() > 0) { Err(Exit::Told) } else { Ok(()) }
}

fn select(
    mut files: Vec<CaseFile>,
    place: &Place,
    filter: Option<&str>,
    seed: Option<u64>,
) -> Vec<CaseFile> {
    if let Some(filter) = filter {
        files.retain(|file| format!("{}/{}", place.name, file.case.name).contains(filter));
    }
    if let Some(seed) = seed {
        suite::shuffle(&mut files, seed);
    }
    files
}

fn one(
    kit: &Kit,
    place: Place,
    files: Vec<CaseFile>,
    args: &Test,
    usage: impl Fn(anyhow::Error) -> Exit,
) -> Result<Suite, Exit> {
    let began = Instant::now();
    let component = kit.load(&place.component).map_err(usage)?;
    let load = began.elapsed();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.unwrap_or(processors.min(bounds::JOBS));
    let timeout = args.timeout.unwrap_or(bounds::TIMEOUT);
    let verdicts = suite::run_all(&component, files, jobs, timeout)?;
    let mut blessed = Vec::new();
    if args.bless {
        for (index, verdict) in verdicts.iter().enumerate() {
            let CaseFile { path, text, case } = &verdict.file;
            if verdict.passed() {
                continue;
            }
            let now = bless(text, case, &verdict.observed).map_err(anyhow::Error::from)?;
            if let Some(now) = now {
                write(path, &now)?;
                blessed.push(index);
            }
        }
    }
    Ok(Suite {
        name: place.name,
        file: place.component.display().to_string(),
        digest: component.digest.full().to_string(),
        load,
        verdicts,
        blessed,
    })
}

/// Beside the final name, then renamed: a test that is interrupted leaves no half file.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    let written: io::Result<()> =
        fs::write(&partial, text).and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn time_as_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::from(now.subsec_nanos())
}
