//! The names of services, for a shell that completes them: those of the running host, or, without one, those of the
//! application file.
//!
//! Somebody waits at the prompt for it. What cannot be found out at once is not offered, and nothing is said about it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap_complete::CompletionCandidate;

use super::Client;
use crate::cli::{self, Control, Format, Output};
use wasm_host_config::{Config, NamedService};
use wasm_host_http::admin::ServiceStatus;
use wasm_host_limits as limits;

/// All of them.
pub(crate) fn services() -> Vec<CompletionCandidate> {
    candidates(|_| true)
}

/// Those that have versions.
pub(crate) fn components() -> Vec<CompletionCandidate> {
    candidates(|service| service.is_component)
}

fn candidates(is_meant: impl Fn(&NamedService) -> bool) -> Vec<CompletionCandidate> {
    let control = control(&std::env::args_os().collect::<Vec<_>>());
    let all = running(&control).unwrap_or_else(|| written(&control));
    let meant = all.into_iter().filter(is_meant);
    meant.map(|service| CompletionCandidate::new(service.name)).collect()
}

/// Which host is meant by what stands on the line so far.
fn control(words: &[OsString]) -> Control {
    let (app, state) = (value(words, "--app"), value(words, "--state"));
    Control { app, state, output: Output { format: Format::Table } }
}

/// The value of an option, in either way of writing it.
fn value(words: &[OsString], option: &str) -> Option<PathBuf> {
    let of = |(at, word): (usize, &OsString)| {
        let rest = word.to_str()?.strip_prefix(option)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(meant(OsStr::new(value))),
            // A shell may take the sign for a word of its own.
            None if rest.is_empty() => {
                let next = words.get(at + 1).filter(|next| *next != OsStr::new("="));
                next.or_else(|| words.get(at + 2)).map(|word| meant(word))
            }
            None => None,
        }
    };
    words.iter().enumerate().find_map(of)
}

/// A path as it stands on the line: the shell has taken neither its quotes nor its tilde away yet.
fn meant(word: &OsStr) -> PathBuf {
    let Some(text) = word.to_str() else { return PathBuf::from(word) };
    let home = text.strip_prefix("~/").zip(std::env::home_dir());
    let (folder, rest) = home.map_or((PathBuf::new(), text), |(rest, home)| (home, rest));
    // Of quotes that are not closed yet, what they say so far.
    let split = [String::new(), "\"".to_owned(), "'".to_owned()]
        .into_iter()
        .find_map(|end| shlex::split(&format!("{rest}{end}")));
    folder.join(split.and_then(|words| words.into_iter().next()).unwrap_or_default())
}

/// What the host has. None: there is none that answers.
fn running(control: &Control) -> Option<Vec<NamedService>> {
    let client = Client::of(control).ok()?;
    let asked = async {
        let request = client.request(reqwest::Method::GET, &["services"], limits::COMPLETION);
        let answer = client.send(request.ok()?).await.ok()?;
        answer.ok().ok()?.read::<Vec<ServiceStatus>>().ok()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let all = runtime.block_on(asked)?.into_iter();
    Some(
        all.map(|it| NamedService { is_component: it.kind == "component", name: it.service })
            .collect(),
    )
}

/// What the application file has, whatever else is wrong with it.
fn written(control: &Control) -> Vec<NamedService> {
    let path = control.app.as_deref().unwrap_or(Path::new(cli::APPLICATION_FILE));
    Config::services_of(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_the_one_that_stands_on_the_line() {
        let of = |line: &str| {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let Control { app, state, .. } = control(&words);
            (app, state)
        };
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(of("logs a"), (None, None));
        assert_eq!(of("logs --app a/b.toml --state=c"), (path("a/b.toml"), path("c")));
        assert_eq!(of("logs --state = c --applied d"), (None, path("c")));
        assert_eq!(of("logs --app"), (None, None));
    }

    #[test]
    fn a_path_is_meant_as_the_shell_will_read_it() {
        let of = |word: &str| meant(OsStr::new(word));
        assert_eq!(of("a/b.toml"), Path::new("a/b.toml"));
        assert_eq!(of("\"my dir\"/x"), Path::new("my dir/x"));
        assert_eq!(of("'my dir"), Path::new("my dir"));
        assert_eq!(of("my\\ dir"), Path::new("my dir"));
        let home = std::env::home_dir().unwrap();
        assert_eq!(of("~/shop/app.toml"), home.join("shop/app.toml"));
        assert_eq!(of("~/'my dir'"), home.join("my dir"));
        assert_eq!(of("\"~/x\""), Path::new("~/x"));
        assert_eq!(of(""), Path::new(""));
    }
}
