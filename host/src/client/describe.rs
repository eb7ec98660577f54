//! `wasm-host describe` and `wasm-host wait`: one service and all that is known of it, and waiting until it is well.

use std::fmt::Write as _;

use anyhow::anyhow;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::kept::say_if_off;
use super::{Client, duration, share, utc_micros};
use crate::cli::{self, Condition, Format};
use crate::exit::Exit;
use wasm_host_capabilities::backend::STANDING_IN;
use wasm_host_http::control::versions::{Attempt, AttemptPart};
use wasm_host_limits as limits;
use wasm_host_system::output;
use wasm_host_system::printable::printable;
use wasm_host_system::table;

#[derive(Deserialize)]
struct Described {
    service: Summary,
    imports: Vec<String>,
    #[serde(default)]
    parts: Vec<AttemptPart>,
    granted: Vec<Grant>,
    limits: Vec<Limit>,
    environment: Vec<Variable>,
    health: Health,
    history: Vec<Attempt>,
    failures: Vec<Failure>,
}

#[derive(Deserialize)]
struct Summary {
    service: String,
    kind: String,
    route: Option<String>,
    version: Option<String>,
    canary: Option<String>,
    state: String,
    address: String,
    instances: usize,
    in_flight: usize,
    queued: usize,
    served: u64,
    failed: u64,
    refused: u64,
    cancelled: u64,
    rate: f64,
    errors: f64,
    p50: Option<u64>,
    p99: Option<u64>,
}

#[derive(Deserialize)]
struct Grant {
    grant: String,
    state: Option<String>,
    detail: Option<String>,
}

#[derive(Deserialize)]
struct Health {
    path: Option<String>,
}

#[derive(Deserialize)]
struct Limit {
    key: String,
    value: String,
    source: String,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    value: Option<String>,
    source: String,
}

#[derive(Deserialize)]
struct Failure {
    time: u64,
    trace: String,
    status: Option<u16>,
    message: String,
    path: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Resources {
    services: Vec<Resource>,
    backends: Vec<Backend>,
}

#[derive(Deserialize)]
struct Resource {
    service: String,
    state: String,
    grants: Vec<String>,
}

#[derive(Deserialize)]
struct Backend {
    backend: String,
    state: String,
    detail: Option<String>,
}

pub async fn describe(args: cli::Describe) -> Result<(), Exit> {
    let client = Client::of(&args.control)?;
    let described: Value = client.get(&["api", "resources", &args.service]).await?;
    match args.control.output.format {
        Format::Json => table::json(&described)?,
        Format::Table => {
            let described = serde_json::from_value(described).map_err(anyhow::Error::from)?;
            output::show(&render(&described));
            // Rates are zeros then, and there are no failures.
            let _ = say_if_off(&client).await;
        }
    }
    Ok(())
}

fn render(described: &Described) -> String {
    let service = &described.service;
    let mut text = String::new();
    let mut fact = |name: &str, value: String| {
        // A string takes everything.
        let _ = writeln!(text, "{name:<14}{}", printable(&value));
    };
    fact("Service", service.service.clone());
    fact("Kind", service.kind.clone());
    fact("Route", service.route.clone().unwrap_or_else(|| "(internal)".to_owned()));
    fact("Address", service.address.clone());
    fact("State", service.state.clone());
    for (name, value) in [("Version", &service.version), ("Canary", &service.canary)] {
        if let Some(value) = value {
            fact(name, value.clone());
        }
    }
    fact("Health path", described.health.path.clone().unwrap_or_else(|| "(none)".to_owned()));
    fact("Instances", service.instances.to_string());
    fact(
        "Requests",
        format!(
            "{} running, {} queued, {} served, {} failed, {} refused, {} cancelled",
            service.in_flight,
            service.queued,
            service.served,
            service.failed,
            service.refused,
            service.cancelled
        ),
    );
    let known = |time: Option<u64>| time.map_or("-".to_owned(), duration);
    fact(
        "Last minute",
        format!(
            "{:.1}/s, {} failed (5xx), p50 {}, p99 {}",
            service.rate,
            share(service.errors, service.rate),
            known(service.p50),
            known(service.p99)
        ),
    );
    let mut list = |name: &str, values: &[String]| {
        if values.is_empty() {
            return;
        }
        let _ = writeln!(text, "{name}");
        for value in values {
            let _ = writeln!(text, "  {}", printable(value));
        }
    };
    let grant = |it: &Grant| match (&it.state, &it.detail) {
        (None, _) => it.grant.clone(),
        (Some(state), None) => format!("{}: {state}", it.grant),
        (Some(state), Some(why)) => format!("{}: {state}: {why}", it.grant),
    };
    list("Grants", &described.granted.iter().map(grant).collect::<Vec<_>>());
    let part = |it: &AttemptPart| {
        let digest = super::swap::short(&it.digest);
        format!("{}: {}, {} bytes, {digest}, {}", it.name, it.role, it.size, it.path)
    };
    list("Parts", &described.parts.iter().map(part).collect::<Vec<_>>());
    list("Imports", &described.imports);
    let variable = |it: &Variable| {
        format!("{} = {} ({})", it.name, it.value.as_deref().unwrap_or("[secret]"), it.source)
    };
    list("Environment", &described.environment.iter().map(variable).collect::<Vec<_>>());
    let limit = |it: &Limit| format!("{} = {} ({})", it.key, it.value, it.source);
    list("Limits", &described.limits.iter().map(limit).collect::<Vec<_>>());
    let attempt = |it: &Attempt| {
        let digest = it.digest.as_deref().map_or("-", super::swap::short);
        let reason = it.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let at = utc_micros(it.at_ms.saturating_mul(1000));
        format!("{at} {digest} {} by {}{reason}", it.verdict.name(), it.cause)
    };
    list("History", &described.history.iter().rev().map(attempt).collect::<Vec<_>>());
    let failure = |it: &Failure| {
        let status = it.status.map(|status| status.to_string()).unwrap_or_default();
        let what = super::asked(&it.message, it.path.as_deref());
        let reason = it.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        format!("{} {status} {what}{reason} (trace {})", utc_micros(it.time), it.trace)
    };
    list("Last failures", &described.failures.iter().map(failure).collect::<Vec<_>>());
    text
}

/// Wait until a service is as wanted. A host that is not there yet is waited for, too.
pub async fn wait(args: cli::Wait) -> Result<(), Exit> {
    let deadline = Instant::now() + args.timeout;
    let mut last = "the host did not answer".to_owned();
    loop {
        let looked = timeout_at(deadline, look(&args)).await;
        match looked {
            Ok(Ok(None)) => {
                if args.control.output.format == Format::Json {
                    let (service, condition) = (&args.service, args.condition.name());
                    table::json(&serde_json::json!({ "service": service, "is": condition }))?;
                }
                return Ok(());
            }
            Ok(Ok(Some(why))) => last = why,
            // It may still come up; a service that is not in its file will not.
            Ok(Err(Look::Final(error))) => return Err(error),
            Ok(Err(Look::NotYet(why))) => last = why,
            Err(_) => {}
        }
        if Instant::now() >= deadline {
            let (service, wanted) = (&args.service, args.condition.name());
            return Err(
                anyhow!("{service} was not {wanted} within {:?}: {last}", args.timeout).into()
            );
        }
        sleep_until(deadline.min(Instant::now() + limits::WAIT_POLL)).await;
    }
}

enum Look {
    NotYet(String),
    Final(Exit),
}

/// Why a service is not as wanted. None: it is.
async fn look(args: &cli::Wait) -> Result<Option<String>, Look> {
    let not_yet = |exit: Exit| match exit {
        Exit::Failed(error) => Look::NotYet(format!("{error:#}")),
        other => Look::Final(other),
    };
    let client = Client::of(&args.control).map_err(not_yet)?;
    let all: Resources = client.get(&["api", "resources"]).await.map_err(not_yet)?;
    let Some(service) = all.services.iter().find(|it| it.service == args.service) else {
        let names: Vec<&str> = all.services.iter().map(|it| &*it.service).collect();
        let error = anyhow!("there is no service {}; there are {}", args.service, names.join(", "));
        return Err(Look::Final(error.into()));
    };
    if !matches!(&*service.state, "running" | "canary" | STANDING_IN) {
        return Ok(Some(format!("it is {}", service.state)));
    }
    if args.condition == Condition::Running {
        return Ok(None);
    }
    // What stands in for a backend serves in its place.
    let down = |it: &&Backend| it.state == "down" && service.grants.contains(&it.backend);
    Ok(all.backends.iter().find(down).and_then(|it| it.detail.clone()))
}
