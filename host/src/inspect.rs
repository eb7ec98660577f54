//! `wasm-host inspect`: what a component needs and offers, without running it.

use std::sync::Arc;

use anyhow::{Context as _, Error, Result};
use serde::Serialize;

use crate::cli::{self, Format};
use crate::components;
use crate::exit::Exit;
use wasm_host_engine::Engine;
use wasm_host_engine::compile::{CodeCache, Compiler, ComponentFile, Outline};
use wasm_host_engine::link::{self, Missing, imports, is_handler, needs};
use wasm_host_limits::host::HostLimits;
use wasm_host_system::output;
use wasm_host_system::table;

/// What is known of a component file.
#[derive(Debug, Serialize)]
pub struct Report {
    pub file: String,
    pub bytes: usize,
    /// SHA-256, the name of this version.
    pub digest: String,
    /// Whether a host can serve it, and with which interface.
    pub handler: Option<String>,
    /// What the application file must grant it.
    pub grants: Vec<Grant>,
    /// What no grant can give it.
    pub missing: Vec<Missing>,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    /// Requests that one instance serves at the same time, unless the application file says otherwise.
    pub per_instance: usize,
}

/// One grant that a component needs.
#[derive(Debug, Serialize)]
pub struct Grant {
    /// The key of `[service.NAME]` that grants it.
    pub key: &'static str,
    /// An import that needs it.
    pub import: String,
}

/// Show what is known. Fails with exit code 1 if no application file could make a service of it here.
pub async fn inspect(args: cli::Inspect) -> Result<(), Exit> {
    let pulled = match components::reference(&args.component)? {
        Some(reference) => {
            let registries = components::registries(&reference, &args.access)?;
            let pulled = registries.pull(&reference, None).await.map_err(Error::new)?;
            Some(components::component(&reference, pulled).await?)
        }
        None => None,
    };
    let read = move || match pulled {
        Some(file) => report(&file),
        None => report(&ComponentFile::read_now(&args.component)?),
    };
    let report = tokio::task::spawn_blocking(read).await;
    let report = report
        .context("the file could not be read")?
        .map_err(|error| Exit::Usage(format!("wasm-host: error: {error:#}")))?;
    match args.output.format {
        Format::Table => output::show(&report.text()),
        Format::Json => table::json(&report)?,
    }
    if report.can_be_served() { Ok(()) } else { Err(Exit::Told) }
}

/// What is known of a component.
pub(crate) fn report(file: &ComponentFile) -> Result<Report> {
    let engine = Arc::new(Engine::new(HostLimits::instances().default)?);
    let compile = || {
        let compiler = Compiler::new(HostLimits::default())?;
        compiler.compile_now(&engine, &Arc::new(CodeCache::of_user()), file)
    };
    let Outline { importing, exports } = Outline::read_now(&engine, file, compile)?;
    let imports = imports(&engine, &importing);
    let handler = exports.iter().find(|export| is_handler(export)).cloned();
    let is_of_0_3 = handler.as_deref().is_some_and(|name| name.contains("/handler@0.3"));
    let grants = needs(&imports)
        .into_iter()
        .map(|(capability, import)| Grant { key: capability.key(), import })
        .collect();
    Ok(Report {
        file: file.path.display().to_string(),
        bytes: file.bytes.len(),
        digest: file.digest.full().to_string(),
        handler,
        grants,
        missing: link::missing(&engine, &importing)?,
        imports,
        exports,
        per_instance: if is_of_0_3 { file.per_instance() } else { 1 },
    })
}

impl Report {
    /// Whether there is an application file with which this host serves it.
    fn can_be_served(&self) -> bool {
        self.handler.is_some() && self.missing.is_empty()
    }

    /// The report for people.
    fn text(&self) -> String {
        let mut text = format!(
            "file      {}\nsize      {} bytes\ndigest    {}\nhandler   {}\n",
            self.file,
            self.bytes,
            self.digest,
            self.handler.as_deref().unwrap_or("none: it is not a service"),
        );
        let line = |grant: &Grant| format!("{} = \"NAME\"  # for {}", grant.key, grant.import);
        let grants: Vec<String> = self.grants.iter().map(line).collect();
        list(&mut text, "grants", &grants, "none needed");
        if !self.missing.is_empty() {
            let missing: Vec<_> = self.missing.iter().map(Missing::to_string).collect();
            list(&mut text, "missing", &missing, "nothing");
        }
        list(&mut text, "imports", &self.imports, "nothing");
        list(&mut text, "exports", &self.exports, "nothing");
        list(&mut text, "instance", &[self.sharing()], "");
        text
    }
}

impl Report {
    /// How its instances are shared by default.
    fn sharing(&self) -> String {
        match self.per_instance {
            1 => {
                "one request at a time ('per-instance' sets another bound for WASI 0.3)".to_string()
            }
            several => format!(
                "{several} requests at a time: it is in Rust ('per-instance' sets another bound)"
            ),
        }
    }
}

fn list(text: &mut String, title: &str, entries: &[String], none: &str) {
    let mut title = title;
    if entries.is_empty() {
        text.push_str(&format!("{title:<9} {none}\n"));
    }
    for entry in entries {
        text.push_str(&format!("{title:<9} {entry}\n"));
        title = "";
    }
}
