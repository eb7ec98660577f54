//! `wasm-host update`: ask for the tags of an application file anew, and pin what they stand for by now.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use futures_util::future::join_all;
use serde::Serialize;

use crate::application;
use crate::cli::{self, Format};
use crate::components::Components;
use crate::exit::Exit;
use wasm_host_config::Config;
use wasm_host_log::tell_if_long_async;
use wasm_host_oci::Reference;
use wasm_host_oci::digest::ContentDigest;
use wasm_host_settings::diagnostic::{Diagnostic, nearest};
use wasm_host_system::{output, table};

/// What became of one reference.
#[derive(Serialize)]
struct Change {
    services: Vec<String>,
    reference: String,
    /// None: it was not pinned.
    from: Option<ContentDigest>,
    to: ContentDigest,
}

pub async fn update(args: cli::Update) -> Result<(), Exit> {
    let config = application::read(&args.app)?;
    let asked = asked(&config, &args.services)?;
    let components = Components::new(&config, false);
    let path = config.pins_file().ok_or_else(|| anyhow!("there is no application file"))?;
    let before = components.pins().map_err(anyhow::Error::new)?;
    let mut pins = before.clone();
    let registries = components.registries();
    let resolving = join_all(asked.keys().map(|reference| registries.pin(reference)));
    let resolved = tell_if_long_async("asking for tags", resolving).await;
    let mut changes = Vec::new();
    let mut wrong: Vec<Diagnostic> = Vec::new();
    for ((reference, services), pin) in asked.into_iter().zip(resolved) {
        match pin {
            Ok(pin) => {
                let from = pins.set(reference, pin).map(|pin| pin.manifest);
                let (reference, to) = (reference.to_string(), pin.manifest);
                changes.push(Change { services, reference, from, to });
            }
            Err(error) => wrong.push(application::nameless(error)),
        }
    }
    if !wrong.is_empty() {
        return Err(Exit::Failed(anyhow!(
            "{}; {} is as it was",
            wrong.iter().map(|it| it.message.clone()).collect::<Vec<_>>().join("\n"),
            path.display()
        )));
    }
    // What is asked for one service says nothing of what others need no more.
    if args.services.is_empty() {
        let used: Vec<&Reference> = config.references().into_iter().collect();
        pins.retain(&used);
    }
    if pins != before {
        pins.write(&path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    match args.output.format {
        Format::Json => table::json(&changes)?,
        Format::Table => output::show(&render(&changes)),
    }
    Ok(())
}

/// The references that are asked for, with the services that want them.
fn asked<'c>(
    config: &'c Config,
    named: &[String],
) -> Result<BTreeMap<&'c Reference, Vec<String>>, Exit> {
    let with_reference = |name: &str| config.services.get(name)?.component()?.source.reference();
    for name in named {
        if with_reference(name).is_none() {
            let others = config.services.keys().map(String::as_str);
            let others = others.filter(|name| with_reference(name).is_some());
            let hint = match nearest(name, others) {
                Some(other) => format!("; did you mean {other}?"),
                None => String::new(),
            };
            let what = format!("no service {name} has its component from a registry{hint}");
            return Err(Exit::Usage(format!("wasm-host: error: {what}")));
        }
    }
    let mut asked: BTreeMap<&Reference, Vec<String>> = BTreeMap::new();
    for name in config.services.keys().filter(|name| named.is_empty() || named.contains(name)) {
        if let Some(reference) = with_reference(name) {
            asked.entry(reference).or_default().push(name.clone());
        }
    }
    Ok(asked)
}

fn render(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "no service has its component from a registry\n".to_owned();
    }
    let line = |Change { services, reference, from, to }: &Change| {
        let services = services.join(", ");
        match from {
            Some(from) if from == to => format!("{services}: {reference} is still {to}\n"),
            Some(from) => format!("{services}: {reference} {from} -> {to}\n"),
            None => format!("{services}: {reference} is pinned to {to}\n"),
        }
    };
    changes.iter().map(line).collect()
}
