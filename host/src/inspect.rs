//! `wasm-host inspect`: what a component needs and offers, without running it.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, Error, Result};
use serde::Serialize;

use crate::application;
use crate::cli::{self, Format};
use crate::components::{self, Components};
use crate::composed::by_hand;
use crate::exit::Exit;
use crate::spin::shown;
use wasm_host_engine::Engine;
use wasm_host_engine::compile::{CodeCache, Compiler, ComponentFile, Outline};
use wasm_host_engine::compose::{Part, importers};
use wasm_host_engine::link::{self, Missing, Standing, imports, is_handler, required};
use wasm_host_http::control::versions::PartRole;
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
    /// What its calls of Spin's interfaces are refused without.
    pub optional: Vec<Grant>,
    /// What it imports and gets no answer from, whatever is granted.
    pub unanswered: Vec<Unanswered>,
    /// What no grant can give it.
    pub missing: Vec<Missing>,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    /// What it is put together from; not there where it is one component.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartReport>,
    /// Requests that one instance serves at the same time, unless the application file says otherwise.
    pub per_instance: usize,
    /// Imports that hold a whole instance while they wait: with one of them, it serves one request at a time.
    pub blocking: Vec<String>,
}

/// One component of several.
#[derive(Debug, Serialize)]
pub struct PartReport {
    /// What `wasm-host swap --part` calls it.
    pub name: String,
    pub role: PartRole,
    pub file: String,
    pub bytes: u64,
    /// SHA-256.
    pub digest: String,
    /// What it imports and no other part serves.
    pub imports: Vec<String>,
}

/// One grant that a component needs.
#[derive(Debug, Serialize)]
pub struct Grant {
    /// The key of `[service.NAME]` that grants it.
    pub key: &'static str,
    /// An import that needs it.
    pub import: String,
}

/// An interface whose calls fail.
#[derive(Debug, Serialize)]
pub struct Unanswered {
    pub import: String,
    pub why: &'static str,
}

/// Show what is known. Fails with exit code 1 if no application file could make a service of it here.
pub async fn inspect(args: cli::Inspect) -> Result<(), Exit> {
    let pulled = match components::reference(&args.component)? {
        _ if args.service.is_some() => Some(of_service(&args).await?),
        Some(reference) => {
            let registries = components::registries(&reference, &args.access)?;
            let pulled = registries.pull(&reference, None).await.map_err(Error::new)?;
            Some(components::component(&reference, pulled).await?)
        }
        None => None,
    };
    let read = move || {
        let file = match pulled {
            Some(file) => file,
            None => ComponentFile::read_now(&args.component)?,
        };
        report(&by_hand(file, &args.composed)?)
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

/// What a service of an application file is put together from.
async fn of_service(args: &cli::Inspect) -> Result<ComponentFile, Exit> {
    let config = application::read(&args.component)?;
    let name = args.service.as_deref().unwrap_or_default();
    let Some(component) = config.services.get(name).and_then(|service| service.component()) else {
        let what = format!("{} has no service {name} with a component", args.component.display());
        return Err(Exit::Usage(format!("wasm-host: error: {what}")));
    };
    let components = Components::new(&config, false).without_pinning();
    let pulls = components.pull(&config).await.map_err(Error::new)?;
    let wrong = |error| Exit::Usage(format!("wasm-host: error: {error:#}"));
    let compiler = Compiler::new(config.limits.clone())?;
    pulls.own(&config, component, &compiler).await.map_err(wrong)
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
    let blocking = link::blocking(&engine, &importing);
    let grants = required(&imports)
        .into_iter()
        .map(|(capability, import)| Grant { key: capability.key(), import })
        .collect();
    let mut missing = link::missing(&engine, &importing)?;
    for missing in &mut missing {
        missing.by = importers(&file.parts, &missing.import);
    }
    let (mut optional, mut unanswered) = (Vec::<Grant>::new(), Vec::new());
    for (import, standing) in link::of_spin(&imports) {
        match standing {
            Standing::Answered(key) if optional.iter().any(|grant| grant.key == key) => {}
            Standing::Answered(key) => optional.push(Grant { key, import }),
            Standing::Free => {}
            Standing::Absent(why) => unanswered.push(Unanswered { import, why }),
        }
    }
    Ok(Report {
        file: file.path.display().to_string(),
        bytes: file.bytes.len(),
        digest: file.digest.full().to_string(),
        handler,
        grants,
        optional,
        unanswered,
        missing,
        per_instance: if is_of_0_3 && blocking.is_empty() { file.per_instance() } else { 1 },
        blocking,
        imports,
        exports,
        parts: file.parts.iter().map(PartReport::of).collect(),
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
        let parts: Vec<String> = self.parts.iter().flat_map(PartReport::lines).collect();
        if !parts.is_empty() {
            list(&mut text, "part", &parts, "none");
        }
        list(&mut text, "grants", &grants, "none needed");
        if !self.optional.is_empty() {
            let optional: Vec<String> = self.optional.iter().map(line).collect();
            list(&mut text, "optional", &optional, "");
        }
        if !self.unanswered.is_empty() {
            let line = |it: &Unanswered| format!("{}: {}", shown(&it.import), it.why);
            let unanswered: BTreeSet<String> = self.unanswered.iter().map(line).collect();
            let unanswered: Vec<String> = unanswered.into_iter().collect();
            list(&mut text, "no answer", &unanswered, "");
        }
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
        if let Some(import) = self.blocking.first() {
            return format!("one request at a time: {import} holds it while it waits");
        }
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

impl PartReport {
    fn of(part: &Part) -> Self {
        Self {
            name: part.name.clone(),
            role: part.role.clone().into(),
            file: part.path.clone(),
            bytes: part.size,
            digest: part.digest.clone(),
            imports: part.imports.clone(),
        }
    }

    fn lines(&self) -> Vec<String> {
        let Self { name, role, file, bytes, digest, imports } = self;
        let (wasi, others): (Vec<_>, Vec<_>) =
            imports.iter().map(String::as_str).partition(|import| import.starts_with("wasi:"));
        let wasi = (!wasi.is_empty()).then(|| format!("{} interfaces of WASI", wasi.len()));
        let imports: Vec<String> = others.into_iter().map(str::to_owned).chain(wasi).collect();
        let imports = if imports.is_empty() { "nothing".to_owned() } else { imports.join(", ") };
        vec![
            format!("{name}: {role}, {bytes} bytes, {file}"),
            format!("  digest {digest}"),
            format!("  imports {imports}"),
        ]
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
