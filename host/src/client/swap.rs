//! `wasm-host swap` and `wasm-host rollback`: put a version into service, and tell what came of it.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use reqwest::{Method, StatusCode};

use crate::cli::{self, Format};
use crate::client::Client;
use crate::components::reference;
use crate::exit::Exit;
use wasm_host_http::control::versions::{Attempt, AttemptVerdict, SwapAnswer};
use wasm_host_limits as limits;
use wasm_host_log::tell_if_long_async;
use wasm_host_oci::Reference;
use wasm_host_system::output;
use wasm_host_system::printable::printable;
use wasm_host_system::table;

/// What is to be put into service.
enum Swapped {
    Reference(Reference),
    File(Vec<u8>),
}

pub async fn swap(args: cli::Swap) -> Result<(), Exit> {
    // A file that is none is a wrong argument, whether a host runs or not.
    let wrong = |error| Exit::Usage(format!("wasm-host: error: {error:#}"));
    let component = match reference(&args.component)? {
        Some(reference) => Swapped::Reference(reference),
        None => Swapped::File(read(&args.component).await.map_err(wrong)?),
    };
    let client = Client::of(&args.control)?;
    let path = ["services", &args.service, "swap"];
    let part = args.part.as_ref().map(|part| format!(" --part {part}")).unwrap_or_default();
    let cause = format!("wasm-host swap {}{part}", args.component.display());
    let request =
        client.request(Method::POST, &path, limits::SWAP_TIMEOUT)?.query(&[("cause", cause)]);
    let mut request = match component {
        // The host pulls it, with its credentials: what is tried is what the registry has.
        Swapped::Reference(reference) => {
            let named = serde_json::json!({ "reference": reference.to_string() });
            request.header("content-type", "application/json").body(named.to_string())
        }
        Swapped::File(component) => {
            request.header("content-type", "application/wasm").body(component)
        }
    };
    if let Some(part) = &args.part {
        request = request.query(&[("part", part)]);
    }
    if let Some(percent) = args.canary {
        request = request.query(&[("canary", percent.to_string())]);
        if let Some(time) = args.time {
            request = request.query(&[("for", format!("{}ms", time.as_millis()))]);
        }
    }
    let trial = args.canary.map(|percent| {
        let time = args.time.unwrap_or(limits::CANARY);
        format!("takes {percent}% of the requests for {time:?}")
    });
    tell(&client, request, args.control.output.format, trial).await
}

pub async fn rollback(args: cli::Rollback) -> Result<(), Exit> {
    let client = Client::of(&args.control)?;
    let request = client
        .request(Method::POST, &["services", &args.service, "rollback"], limits::SWAP_TIMEOUT)?
        .query(&[("cause", "wasm-host rollback")]);
    tell(&client, request, args.control.output.format, None).await
}

/// The host reads no files of its clients: it may run in another folder, or as another user.
async fn read(path: &Path) -> Result<Vec<u8>> {
    let cannot = || format!("cannot read the component {}", path.display());
    let data = tokio::fs::metadata(path).await.with_context(cannot)?;
    if !data.is_file() {
        bail!("{} is not a file", path.display());
    }
    if data.len() > limits::COMPONENT_FILE_BYTES {
        bail!("{} is larger than {} bytes", path.display(), limits::COMPONENT_FILE_BYTES);
    }
    tokio::fs::read(path).await.with_context(cannot)
}

async fn tell(
    client: &Client,
    request: reqwest::RequestBuilder,
    format: Format,
    trial: Option<String>,
) -> Result<(), Exit> {
    let what = "waiting for the host, which compiles and tries the version";
    let answer = tell_if_long_async(what, client.send(request)).await?;
    if answer.status != StatusCode::OK && answer.status != StatusCode::UNPROCESSABLE_ENTITY {
        return Err(answer.problem());
    }
    let outcome: SwapAnswer = answer.read()?;
    if format == Format::Json {
        table::json(&outcome)?;
    }
    let rejected = outcome.attempt.verdict == AttemptVerdict::Rejected;
    match (format, rejected) {
        (Format::Json, true) => Err(Exit::Told),
        (Format::Json, false) => Ok(()),
        (Format::Table, true) => Err(Exit::Verdict(render(&outcome, trial.as_deref()))),
        (Format::Table, false) => {
            output::show(&render(&outcome, trial.as_deref()));
            Ok(())
        }
    }
}

fn render(outcome: &SwapAnswer, trial: Option<&str>) -> String {
    let SwapAnswer { service, from, attempt, finishing, ended_canary, without } = outcome;
    let (from, took) = (short(from), attempt.took_ms);
    let to = attempt.digest.as_deref().map_or("-", short);
    let mut text = match attempt.verdict {
        AttemptVerdict::Activated => {
            let finish = match finishing {
                0 => "no request was running".to_string(),
                1 => "1 request finishes on the old version".to_string(),
                some => format!("{some} requests finish on the old version"),
            };
            format!("activated: {from} -> {to} in {took} ms; {finish}\n")
        }
        AttemptVerdict::Canary => {
            let takes = trial.unwrap_or("takes some of the requests");
            format!(
                "canary: {to} {takes}, {from} the others; \
                 `wasm-host history {service}` tells what came of it\n"
            )
        }
        AttemptVerdict::Unchanged => format!("unchanged: {to} serves already\n"),
        AttemptVerdict::Rejected | AttemptVerdict::TakenBack => {
            // Parts of it are the component's own words.
            let reason = attempt.reason.as_deref().unwrap_or("for no reason given");
            let reason = reason.lines().map(printable).collect::<Vec<_>>().join("\n");
            format!("{}: {reason}\n{from} serves as before\n", attempt.verdict.name())
        }
    };
    if let Some(canary) = ended_canary {
        text.push_str(&format!("the canary {} was taken back\n", short(canary)));
    }
    if !without.is_empty() {
        text.push_str(&format!("without {}: no word from there\n", without.join(", ")));
    }
    for change in imports(attempt) {
        text.push_str(&format!("import {change}\n"));
    }
    text
}

/// As much of a digest as people compare, as in the table of services.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// What a version imports that the one before it did not, and the other way round.
pub(super) fn imports(attempt: &Attempt) -> impl Iterator<Item = String> {
    let added = attempt.imports_added.iter().map(|name| format!("+{name}"));
    added.chain(attempt.imports_removed.iter().map(|name| format!("-{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::history::tests::attempt;

    fn outcome(verdict: AttemptVerdict) -> SwapAnswer {
        SwapAnswer {
            service: "weather".to_string(),
            from: "a".repeat(64),
            attempt: attempt(&"b".repeat(64), verdict),
            finishing: 14,
            ended_canary: None,
            without: Vec::new(),
        }
    }

    #[test]
    fn a_verdict_is_one_line_for_people() {
        assert_eq!(
            render(&outcome(AttemptVerdict::Activated), None),
            "activated: aaaaaaaaaaaa -> bbbbbbbbbbbb in 0 ms; 14 requests finish on the old version\n"
        );
        let mut rejected = outcome(AttemptVerdict::Rejected);
        rejected.attempt.reason = Some("it does not start".to_string());
        assert_eq!(
            render(&rejected, None),
            "rejected: it does not start\naaaaaaaaaaaa serves as before\n"
        );
    }

    #[test]
    fn changed_imports_are_listed() {
        let mut outcome = outcome(AttemptVerdict::Activated);
        outcome.attempt.imports_added = vec!["a:b/c".to_string()];
        outcome.attempt.imports_removed = vec!["d:e/f".to_string()];
        assert!(render(&outcome, None).ends_with("\nimport +a:b/c\nimport -d:e/f\n"));
    }
}
