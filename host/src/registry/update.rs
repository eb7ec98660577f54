//! `wasm-host update`: ask for the tags of an application file anew, and pin what they stand for by now.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use futures_util::future::join_all;
use serde::Serialize;
use tokio::task::spawn_blocking;

use crate::application;
use crate::cli::{self, Format};
use crate::components::Components;
use crate::exit::Exit;
use wasm_host_config::Config;
use wasm_host_log::tell_if_long_async;
use wasm_host_oci::digest::ContentDigest;
use wasm_host_oci::{Pin, Pins, Reference};
use wasm_host_settings::diagnostic::nearest;
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
    // What cannot be read is told before a registry is asked.
    components.pins().map_err(anyhow::Error::new)?;
    let registries = components.registries();
    let resolving = join_all(asked.keys().map(|reference| registries.pin(reference)));
    let resolved = tell_if_long_async("asking for tags", resolving).await;
    let mut updates = Vec::new();
    let mut wrong = Vec::new();
    for ((reference, services), pin) in asked.into_iter().zip(resolved) {
        match pin {
            Ok(pin) => updates.push((reference.clone(), services, pin)),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    if !wrong.is_empty() {
        let wrong = wrong.join("\n");
        return Err(Exit::Failed(anyhow!("{wrong}; {} is as it was", path.display())));
    }
    // What is asked for one service says nothing of what others need no more.
    let used = args.services.is_empty().then(|| config.references().into_iter().cloned().collect());
    // It may have to wait for others, and for the disk.
    let writing = spawn_blocking(move || Pins::change(&path, |pins| apply(pins, updates, used)));
    let written = writing.await.context("what is pinned could not be written")?;
    let (_, changes) = written.map_err(anyhow::Error::new)?;
    match args.output.format {
        Format::Json => table::json(&changes)?,
        Format::Table => output::show(&render(&changes)),
    }
    Ok(())
}

/// Pin what was asked for, and leave everything else as others may have written it meanwhile, unless `used` tells what is
/// needed.
fn apply(
    pins: &mut Pins,
    updates: Vec<(Reference, Vec<String>, Pin)>,
    used: Option<Vec<Reference>>,
) -> Vec<Change> {
    let change = |(reference, services, pin): (Reference, Vec<String>, Pin)| {
        let from = pins.set(&reference, pin).map(|pin| pin.manifest);
        Change { services, reference: reference.to_string(), from, to: pin.manifest }
    };
    let changes = updates.into_iter().map(change).collect();
    if let Some(used) = used {
        pins.retain(&used);
    }
    changes
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_changes_what_was_asked_for_and_forgets_only_what_nothing_needs() {
        let reference =
            |name: &str| Reference::parse(&format!("oci://a.example/{name}:1")).unwrap();
        let pin = |content: &[u8]| {
            let digest = ContentDigest::of(content);
            Pin { manifest: digest, component: digest, size: 1 }
        };
        let (asked, other) = (reference("asked"), reference("other"));
        let mut pins = Pins::default();
        pins.set(&asked, pin(b"old"));
        // Another process has pinned it since.
        pins.set(&other, pin(b"other"));
        let updates = || vec![(asked.clone(), vec!["app".to_owned()], pin(b"new"))];
        let changes = apply(&mut pins, updates(), None);
        assert_eq!(changes[0].from, Some(ContentDigest::of(b"old")));
        assert_eq!(pins.get(&asked), Some(pin(b"new")));
        assert_eq!(pins.get(&other), Some(pin(b"other")));
        apply(&mut pins, updates(), Some(vec![asked.clone()]));
        assert_eq!((pins.get(&asked), pins.get(&other)), (Some(pin(b"new")), None));
    }
}
