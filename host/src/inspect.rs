//! `wasm-host inspect`: what a component needs and offers, without running it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;

use crate::engine::Engine;
use crate::engine::compile::{CodeCache, ComponentFile, compile};
use crate::engine::link::{exports, imports, needs};
use crate::limits;

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

/// Read the component in `path`.
pub async fn inspect(path: &Path) -> Result<Report> {
    let engine = Arc::new(Engine::new(limits::HOST_INSTANCES.default)?);
    let file = ComponentFile::read(path).await?;
    let component = compile(engine.clone(), Arc::new(CodeCache::none()), file.clone()).await?;
    let imports = imports(&engine, &component);
    let exports = exports(&engine, &component);
    let handler = exports.iter().find(|export| is_handler(export)).cloned();
    let is_of_0_3 = handler.as_deref().is_some_and(|name| name.contains("/handler@0.3"));
    let grants = needs(&imports)
        .into_iter()
        .map(|(capability, import)| Grant { key: capability.key(), import })
        .collect();
    Ok(Report {
        file: path.display().to_string(),
        bytes: file.bytes.len(),
        digest: file.digest.full().to_string(),
        handler,
        grants,
        imports,
        exports,
        per_instance: if is_of_0_3 { file.per_instance() } else { 1 },
    })
}

fn is_handler(export: &str) -> bool {
    export.starts_with("wasi:http/handler@0.3")
        || export.starts_with("wasi:http/incoming-handler@0.2")
}

impl Report {
    /// The report for people.
    pub fn text(&self) -> String {
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
