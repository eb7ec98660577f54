//! `wasm-host test`: the cases of one or more components, run and reported.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io, thread};

use anyhow::{Context as _, anyhow};

use crate::application::component_path;
use crate::cli::{APPLICATION_FILE, Composed, Format, Test};
use crate::composed::by_hand;
use crate::exit::Exit;
use wasm_host_config::{ComponentConfig, Config, PartConfig};
use wasm_host_engine::compile::ComponentFile;
use wasm_host_limits::testkit as bounds;
use wasm_host_system::output;
use wasm_host_system::table;
use wasm_host_testkit::bless::bless;
use wasm_host_testkit::case::{Case, Matching};
use wasm_host_testkit::component::{Component, ComponentPaths, Kit};
use wasm_host_testkit::judge::judge;
use wasm_host_testkit::report::{Blessing, Suite, json, junit, text};
use wasm_host_testkit::run;
use wasm_host_testkit::suite::{self, CaseFile, CaseResult};

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
    // All case files are read before anything runs: a wrong one is reported at once.
    let (mut wrong, mut empty) = (Vec::new(), Vec::new());
    let mut work: Vec<(ComponentPaths, Composed, Vec<CaseFile>)> = Vec::new();
    for (place, composed) in places(args)? {
        let Some(folder) = args.cases.as_deref().or(place.cases.as_deref()) else {
            let path = place.component.display();
            return Err(usage(anyhow!(
                "{path} is a file; say with --cases DIR where its cases are"
            )));
        };
        match suite::read(folder).map_err(usage)? {
            Ok(files) => {
                // A user who filters asks for less.
                if files.is_empty() && args.filter.is_none() {
                    empty.push(folder.display().to_string());
                }
                work.push((place, composed, files));
            }
            Err(errors) => wrong.extend(errors.iter().map(ToString::to_string)),
        }
    }
    if !wrong.is_empty() {
        return Err(Exit::Usage(wrong.join("\n")));
    }
    let seed = args.shuffle.map(|seed| seed.unwrap_or_else(time_as_seed));
    let kit = Kit::of_host()?;
    let mut suites = Vec::new();
    for (place, composed, files) in work {
        let mut files = select(files, &place, args.filter.as_deref(), seed);
        if args.lenient {
            files.iter_mut().for_each(|file| file.case.matching = Matching::Lenient);
        }
        suites.push(one(&kit, place, &composed, files, args, usage)?);
    }
    let took = began.elapsed();
    if let Some(path) = &args.junit {
        let xml = junit(&suites, took).map_err(anyhow::Error::from)?;
        write(path, &xml)?;
    }
    match args.output.format {
        Format::Json => table::json(&json(&suites, took, seed))?,
        Format::Table => {
            output::show(&text(&suites, took));
            if let Some(seed) = seed {
                output::show(&format!("The order is that of --shuffle {seed}.\n"));
            }
        }
    }
    // A run that tests nothing must not look like one in which everything is fine.
    if !empty.is_empty() {
        let empty = empty.join(" and none in ");
        return Err(Exit::Failed(anyhow!(
            "there is no case in {empty}; a case is a file there whose name ends in .toml"
        )));
    }
    if let Some(filter) = &args.filter
        && suites.iter().all(|suite| suite.verdicts.is_empty())
    {
        return Err(Exit::Failed(anyhow!("no case has '{filter}' in COMPONENT/CASE, its name")));
    }
    if suites.iter().any(|suite| suite.failed() > 0) { Err(Exit::Told) } else { Ok(()) }
}

/// What is tested, and what it is put together with: what is given, or what the application file here names with its
/// sources.
fn places(args: &Test) -> Result<Vec<(ComponentPaths, Composed)>, Exit> {
    let usage = |error: anyhow::Error| Exit::Usage(format!("wasm-host: error: {error:#}"));
    if !args.paths.is_empty() {
        let with = |place| (place, args.composed.clone());
        let places =
            args.paths.iter().map(|path| ComponentPaths::of(path).map(with).map_err(usage));
        return places.collect();
    }
    let (config, _) = Config::read_elsewhere(Path::new(APPLICATION_FILE), &|_| None)?;
    let mut places = Vec::new();
    for service in config.services.values() {
        let Some(component) = service.component() else { continue };
        let file = component_path(&config, &component.source);
        let (Some(cases), Some(file)) = (config.cases_of(&service.name), file) else { continue };
        if !file.is_file() {
            let (name, file) = (&service.name, file.display());
            return Err(usage(anyhow!(
                "the component of {name} is not built: there is no {file}; run `wasm-host build {name}`"
            )));
        }
        let place =
            ComponentPaths { name: service.name.clone(), component: file, cases: Some(cases) };
        let composed = match component.is_composed() {
            true => composed(&config, &place.name, component).map_err(usage)?,
            false => args.composed.clone(),
        };
        places.push((place, composed));
    }
    if places.is_empty() {
        return Err(usage(anyhow!(
            "no service of {APPLICATION_FILE} has a 'source', the folder with its cases; give a component's folder or \
             its .wasm file"
        )));
    }
    Ok(places)
}

/// What the application file puts a component together with.
fn composed(config: &Config, name: &str, component: &ComponentConfig) -> anyhow::Result<Composed> {
    let file = |part: &PartConfig| {
        component_path(config, &part.source).ok_or_else(|| {
            let written = &part.written;
            anyhow!(
                "{name} has a part of a registry, {written}, which no test asks for; get it with `wasm-host pull`, and \
                 test the component with --middleware or --with"
            )
        })
    };
    let with = component.with.iter().map(|(key, part)| Ok((key.clone(), file(part)?)));
    Ok(Composed {
        middleware: component.middleware.iter().map(file).collect::<anyhow::Result<_>>()?,
        with: with.collect::<anyhow::Result<_>>()?,
    })
}

fn select(
    mut files: Vec<CaseFile>,
    place: &ComponentPaths,
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
    place: ComponentPaths,
    composed: &Composed,
    files: Vec<CaseFile>,
    args: &Test,
    usage: impl Fn(anyhow::Error) -> Exit,
) -> Result<Suite, Exit> {
    let began = Instant::now();
    let file = ComponentFile::read_now(&place.component);
    let file = file.and_then(|file| by_hand(file, composed)).map_err(&usage)?;
    let component = kit.load_file(&file).map_err(usage)?;
    let load = began.elapsed();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.unwrap_or(processors.min(bounds::JOBS));
    let timeout = args.timeout.unwrap_or(bounds::TIMEOUT);
    let verdicts = suite::run_all(&component, files, jobs, timeout)?;
    let mut blessed = BTreeMap::new();
    let failed = verdicts.iter().enumerate().filter(|(_, verdict)| !verdict.passed());
    for (index, verdict) in failed.filter(|_| args.bless) {
        blessed.insert(index, rewrite(&component, verdict, timeout)?);
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

/// What was seen into the file, or why not. Nothing is written that would fail the next time.
fn rewrite(
    component: &Component,
    verdict: &CaseResult,
    timeout: Duration,
) -> Result<Blessing, Exit> {
    let CaseFile { path, text, case } = &verdict.file;
    let now = match bless(text, case, &verdict.observed) {
        Ok(now) => now,
        Err(why) => return Ok(Err(why)),
    };
    let again = match Case::parse(&now, path) {
        Ok(again) => Case { matching: case.matching, ..again },
        Err(wrong) => return Ok(Err(wrong.to_string())),
    };
    let observed = run::run(component, &again, timeout)?;
    if !judge(&again, &observed).is_empty() {
        return Ok(Err("it does something else each time".to_string()));
    }
    write(path, &now)?;
    Ok(Ok(()))
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
