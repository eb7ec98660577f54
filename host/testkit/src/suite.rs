//! Many cases: which files, in which order, how many at once.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use parking_lot::Mutex;

use super::case::{Case, Wrong};
use super::component::Component;
use super::judge::{Difference, judge};
use super::run::{Observed, run};
use wasm_host_limits::testkit::CASE_FILE_BYTES;

/// A case and its file.
#[derive(Clone, Debug)]
pub struct CaseFile {
    pub path: PathBuf,
    pub text: String,
    pub case: Case,
}

/// What became of a case.
#[derive(Debug)]
pub struct CaseResult {
    pub file: CaseFile,
    pub observed: Observed,
    /// Nothing: it passed.
    pub differences: Vec<Difference>,
}

impl CaseResult {
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Read all case files (`*.toml`) of a folder and the folders in it, by name. A case in a folder is called
/// `FOLDER/NAME`.
///
/// # Errors
/// The folder cannot be read. What is wrong with the files is the inner error, all of it.
pub fn read(folder: &Path) -> Result<Result<Vec<CaseFile>, Vec<Wrong>>> {
    let mut paths = Vec::new();
    collect(folder, &mut paths).with_context(|| {
        format!("cannot read the cases in {} (--cases DIR names another folder)", folder.display())
    })?;
    paths.sort();
    let (mut files, mut wrong) = (Vec::new(), Vec::new());
    for path in paths {
        let text = text(&path)?;
        match Case::parse(&text, &path) {
            Ok(mut case) => {
                let inside = path.strip_prefix(folder).unwrap_or(&path).with_extension("");
                case.name = inside.to_string_lossy().into_owned();
                files.push(CaseFile { path, text, case });
            }
            Err(error) => wrong.push(error),
        }
    }
    Ok(if wrong.is_empty() { Ok(files) } else { Err(wrong) })
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // Links to folders are not followed: they may lead in a circle.
        if entry.file_type()?.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            paths.push(path);
        }
    }
    Ok(())
}

fn text(path: &Path) -> Result<String> {
    let cannot = || format!("cannot read {}", path.display());
    let mut text = String::new();
    let file = fs::File::open(path).with_context(cannot)?;
    file.take(CASE_FILE_BYTES + 1).read_to_string(&mut text).with_context(cannot)?;
    if text.len() as u64 > CASE_FILE_BYTES {
        bail!("{} is larger than {CASE_FILE_BYTES} bytes", path.display());
    }
    Ok(text)
}

/// Put cases into an order that a seed decides.
pub fn shuffle(files: &mut [CaseFile], seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for last in (1..files.len()).rev() {
        let bound = last as u64 + 1;
        files.swap(last, usize::try_from(random.next_u64() % bound).unwrap_or(last));
    }
}

/// Run cases, `jobs` at once. The verdicts are in the order of the cases.
///
/// # Errors
/// The machine has no thread left.
pub fn run_all(
    component: &Component,
    files: Vec<CaseFile>,
    jobs: usize,
    timeout: Duration,
) -> Result<Vec<CaseResult>> {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(Vec::with_capacity(files.len()));
    let work = || -> Result<()> {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(index) else { return Ok(()) };
            let observed = run(component, &file.case, timeout)?;
            let differences = judge(&file.case, &observed);
            let verdict = CaseResult { file: file.clone(), observed, differences };
            verdicts.lock().push((index, verdict));
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.clamp(1, files.len().max(1)))
            .map(|_| thread::Builder::new().name("case".to_string()).spawn_scoped(scope, work))
            .collect::<std::io::Result<_>>()?;
        for worker in workers {
            match worker.join() {
                Ok(done) => done?,
                Err(_) => bail!("a case made the host itself fail; the message above says where"),
            }
        }
        Ok(())
    })?;
    let mut verdicts = verdicts.into_inner();
    verdicts.sort_by_key(|(index, _)| *index);
    Ok(verdicts.into_iter().map(|(_, verdict)| verdict).collect())
}
