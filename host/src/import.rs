//! `wasm-host import`: an application file for an application of Spin.
//!
//! What Spin's manifest says and this host says otherwise is written otherwise; what this host does not have is told, a
//! line each, and the rest is written all the same. The components stay as they are.

mod application;
mod build;
mod hosts;
mod manifest;
mod route;
mod variables;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use crate::cli::{self, Format};
use crate::exit::Exit;
use application::Written;
use wasm_host_limits::spin::MANIFEST_BYTES;
use wasm_host_settings::disk;
use wasm_host_system::{output, table};

/// What was written, for programs.
#[derive(Serialize)]
struct Imported {
    application: PathBuf,
    /// What it does not say, a line for each thing.
    unsaid: Vec<String>,
}

/// Write the application file, and tell what it does not say.
pub fn import(args: &cli::Import) -> Result<(), Exit> {
    let path = &args.manifest;
    let shown = path.display();
    let wrong = |why: String| Exit::Usage(format!("{shown}: error: {why}"));
    let bytes = disk::beginning(path, MANIFEST_BYTES).map_err(wrong)?;
    let text = disk::utf8(bytes, MANIFEST_BYTES).map_err(wrong)?;
    let manifest = manifest::read(&text).map_err(wrong)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let output = match &args.output {
        Some(output) => output.clone(),
        None => folder.join(cli::APPLICATION_FILE),
    };
    // Paths in an application file are relative to its own folder.
    let is_beside = output.parent().unwrap_or(Path::new("")) == folder;
    let Written { text, told } = application::written(&manifest, (!is_beside).then_some(folder));
    let mut file = OpenOptions::new();
    let file = file.write(true).create_new(true).open(&output);
    let mut file = file.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Exit::Usage(format!(
            "{}: error: it is there, and is left alone; remove it, or write elsewhere with --output",
            output.display()
        )),
        _ => Exit::Failed(anyhow::Error::new(error).context(output.display().to_string())),
    })?;
    file.write_all(text.as_bytes()).with_context(|| output.display().to_string())?;
    match args.format.format {
        Format::Table => {
            for line in told {
                eprintln!("{shown}: {line}");
            }
            output::show(&format!("{}\n", output.display()));
        }
        Format::Json => table::json(&Imported { application: output, unsaid: told })?,
    }
    Ok(())
}
