//! What every step of reading the application file needs, and where it reports.
//!
//! It exists so that all problems are collected, none twice: a line that is not valid TOML gives
//! one message, and what the parser lost is not reported as missing. It must not know any key.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::bounds::Bound;
use super::diagnostic::{Diagnostic, Positions, Problem, Severity, nearest, quoted};
use super::interpolate::Reference;
use super::named::{Named, What};
use super::secret::Secret;
use super::{Environment, Source, disk};

/// Byte offsets in the file.
pub type Span = Range<usize>;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Located<T> {
    pub value: T,
    pub at: Span,
}

/// What a syntax error makes unreadable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// One value.
    Value,
    /// Some lines, which are left out.
    Lines,
    /// Everything behind it.
    Rest,
}

/// One reading of one file.
pub struct Context<'a> {
    pub file: &'a str,
    pub folder: &'a Path,
    environment: &'a Environment<'a>,
    positions: Positions<'a>,
    /// Findings at or after this offset may come from text that the parser lost.
    trusted_until: usize,
    /// Some text had to be left out, so what is not there may not be missing.
    incomplete: bool,
    syntax_error_lines: Vec<usize>,
    found: RefCell<Vec<Diagnostic>>,
    bounds: RefCell<Vec<Bound>>,
    /// All that was inserted anywhere.
    secrets: RefCell<Vec<Secret>>,
    named: RefCell<Vec<Named>>,
    /// The name of the application, which stands at the top of the file.
    application: RefCell<String>,
    /// A secret that is not there is no mistake: the application runs elsewhere.
    runs_elsewhere: bool,
}

// === impl Context ===

impl<'a> Context<'a> {
    pub fn new(source: &Source<'a>) -> Context<'a> {
        Context {
            file: source.file,
            folder: source.folder,
            environment: source.environment,
            positions: Positions::new(source.text),
            trusted_until: usize::MAX,
            incomplete: false,
            syntax_error_lines: Vec::new(),
            found: RefCell::default(),
            bounds: RefCell::default(),
            secrets: RefCell::default(),
            named: RefCell::default(),
            application: RefCell::default(),
            runs_elsewhere: false,
        }
    }

    /// For an application that runs elsewhere, where its secrets are. What has one that is not here is read as if it were
    /// not in the file.
    pub fn elsewhere(source: &Source<'a>) -> Context<'a> {
        Context { runs_elsewhere: true, ..Context::new(source) }
    }

    /// What follows is read as of the application of this name.
    pub fn enter(&self, application: &str) {
        application.clone_into(&mut self.application.borrow_mut());
    }

    /// The name of the application; empty where it has none, which has been reported.
    pub fn application(&self) -> String {
        self.application.borrow().clone()
    }

    pub fn runs_elsewhere(&self) -> bool {
        self.runs_elsewhere
    }

    /// The path of what a key names, which is entered in the list of all that the file names.
    pub fn path(&self, what: What, written: &Located<String>) -> PathBuf {
        self.name(what, &written.value, &written.at);
        self.folder.join(&written.value)
    }

    pub fn name(&self, what: What, written: &str, at: &Span) {
        let (line, column) = self.positions.of(at.start);
        let named = Named { what, written: written.to_owned(), line, column };
        self.named.borrow_mut().push(named);
    }

    /// All that the file names, in the order in which it was read.
    pub fn named(&self) -> Vec<Named> {
        self.named.borrow().clone()
    }

    pub fn line(&self, at: &Span) -> usize {
        self.place(at).0
    }

    /// Line and column.
    pub fn place(&self, at: &Span) -> (usize, usize) {
        self.positions.of(at.start)
    }

    pub fn error(&self, at: &Span, problem: Problem) {
        self.push(Severity::Error, at, problem);
    }

    pub fn warning(&self, at: &Span, problem: Problem) {
        self.push(Severity::Warning, at, problem);
    }

    /// As [`Context::error`], for something that should be there. Says nothing if a part of the
    /// file could not be parsed, because it may be in that part.
    pub fn missing(&self, at: &Span, problem: Problem) {
        if !self.incomplete {
            self.error(at, problem);
        }
    }

    /// The value of `outcome`; its problem is reported at `at`.
    pub fn checked<T>(&self, at: &Span, outcome: Result<T, Problem>) -> Option<T> {
        outcome.map_err(|problem| self.error(at, problem)).ok()
    }

    /// A mistake in the notation rather than in what is said.
    pub fn syntax_error(&mut self, at: &Span, problem: Problem, damage: Damage) {
        let line = self.line(at);
        // A second complaint about one line is mostly an echo of the first.
        if !self.syntax_error_lines.contains(&line) {
            self.push(Severity::Error, at, problem);
            self.syntax_error_lines.push(line);
        }
        self.incomplete |= damage != Damage::Value;
        if damage == Damage::Rest {
            self.trusted_until = self.trusted_until.min(at.start);
        }
    }

    pub fn environment(&self, name: &str) -> Option<String> {
        (self.environment)(name)
    }

    /// "did you mean ...?" if the folder of `path` has something of nearly the same name.
    pub fn similar_path(&self, path: &str) -> Option<String> {
        let (parent, name) = match path.rsplit_once('/') {
            Some((parent, name)) => (Some(parent), name),
            None => (None, path),
        };
        let names = disk::names_in(&self.folder.join(parent.unwrap_or(".")));
        let similar = nearest(name, names.iter().map(String::as_str))?;
        let parent = parent.map(|parent| format!("{parent}/")).unwrap_or_default();
        Some(format!("did you mean {}?", quoted(&format!("{parent}{similar}"))))
    }

    /// Enter a bound that was read.
    pub fn remember(&self, bound: Bound) {
        self.bounds.borrow_mut().push(bound);
    }

    /// A bound that was read has another default than others of its kind, which counts unless the file sets it.
    pub fn set_default(&self, table: &str, key: &str, value: &str) {
        let mut bounds = self.bounds.borrow_mut();
        for bound in bounds.iter_mut().filter(|bound| bound.table == table && bound.key == key) {
            if bound.line.is_none() {
                value.clone_into(&mut bound.value);
            }
            value.clone_into(&mut bound.default);
        }
    }

    /// All findings, and the bounds in the order in which they were read.
    pub fn into_found(self) -> (Vec<Diagnostic>, Vec<Bound>) {
        (self.found.into_inner(), self.bounds.into_inner())
    }

    fn push(&self, severity: Severity, at: &Span, problem: Problem) {
        let (line, column) = self.positions.of(at.start);
        if at.start >= self.trusted_until || self.syntax_error_lines.contains(&line) {
            return;
        }
        self.found.borrow_mut().push(Diagnostic {
            file: self.file.to_owned(),
            line,
            column,
            severity,
            message: problem.message,
            hint: problem.hint,
        });
    }

    /// What `${...}` stood for so far.
    pub fn secrets(&self) -> Vec<Secret> {
        self.secrets.borrow().clone()
    }

    /// The value of one `${...}`. `None`: it is not here, where it need not be.
    pub fn resolve(&self, reference: Reference<'_>, at: &Span) -> Result<Option<String>, Problem> {
        match reference {
            Reference::Variable(name) => self.name(What::Variable, name, at),
            Reference::File(path) => self.name(What::SecretFile, path, at),
        }
        match self.look_up(reference) {
            Ok(value) => {
                self.secrets.borrow_mut().push(Secret::new(value.clone()));
                Ok(Some(value))
            }
            Err(_) if self.runs_elsewhere => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    fn look_up(&self, reference: Reference<'_>) -> Result<String, Problem> {
        match reference {
            Reference::Variable(name) => self.environment(name).ok_or_else(|| {
                Problem::new(
                    format!("the environment variable {name} is not set"),
                    format!(
                        "set it before the start (export {name}=...), or read a file with \
                         ${{file:/path}}"
                    ),
                )
            }),
            Reference::File(path) => disk::secret(&self.folder.join(path)),
        }
    }
}
