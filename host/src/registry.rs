//! Commands about registries that ask no running host: `push`, `pull`, `update`, `key`.

pub mod update;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use serde::Serialize;
use tokio::task::spawn_blocking;

use crate::cli::{self, Format, KeyCommand};
use crate::components;
use crate::exit::Exit;
use crate::inspect;
use wasm_host_engine::compile::ComponentFile;
use wasm_host_log::tell_if_long_async;
use wasm_host_oci::artifact::{Artifact, Interface};
use wasm_host_oci::digest::ContentDigest;
use wasm_host_oci::signature::SigningKey;
use wasm_host_settings::disk;
use wasm_host_system::{output, table};

/// What was pushed, for programs.
#[derive(Serialize)]
struct Pushed {
    reference: String,
    digest: ContentDigest,
    signed: bool,
}

pub async fn push(args: cli::Push) -> Result<(), Exit> {
    let key = args.sign.as_deref().map(signing_key).transpose()?;
    let path = args.component;
    let title = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let artifact = spawn_blocking(move || artifact(&path, &title)).await;
    let artifact = artifact.context("the file could not be read")?.map_err(usage)?;
    let registries = components::registries(&args.reference, args.access.plain_http);
    let what = format!("pushing {}", args.reference);
    let pushing = registries.push(&args.reference, artifact, key.as_ref());
    let digest = tell_if_long_async(&what, pushing).await.map_err(anyhow::Error::new)?;
    let reference = args.reference.at(digest).to_string();
    match args.output.format {
        Format::Table => output::show(&format!("{reference}\n")),
        Format::Json => table::json(&Pushed { reference, digest, signed: key.is_some() })?,
    }
    Ok(())
}

fn artifact(path: &Path, title: &str) -> Result<Artifact> {
    let file = ComponentFile::read_now(path)?;
    let report = inspect::report(&file)?;
    let interface = Interface { exports: report.exports, imports: report.imports, target: None };
    Ok(Artifact::of(file.bytes.to_vec(), interface, title))
}

pub async fn pull(args: cli::Pull) -> Result<(), Exit> {
    let reference = args.reference;
    let registries = components::registries(&reference, args.access.plain_http);
    let what = format!("pulling {reference}");
    let pulled = tell_if_long_async(&what, registries.pull(&reference, None)).await;
    let pulled = pulled.map_err(anyhow::Error::new)?;
    let file = components::component(&reference, pulled).await?;
    let path = args.output.unwrap_or_else(|| {
        let name = reference.repository.rsplit('/').next().unwrap_or_default();
        PathBuf::from(format!("{name}.wasm"))
    });
    let written = write_whole(&path, &file.bytes);
    written.with_context(|| format!("cannot write {}", path.display()))?;
    output::show(&format!("{}: {}\n", path.display(), file.path.display()));
    Ok(())
}

/// Under its name only when it is whole.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(name);
    let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

fn signing_key(path: &Path) -> Result<SigningKey, Exit> {
    let wrong = |what: &dyn std::fmt::Display| {
        Exit::Usage(format!("wasm-host: error: the key {}: {what}", path.display()))
    };
    let pem = disk::pem(path).map_err(|problem| wrong(&problem))?;
    SigningKey::from_pem(&pem).map_err(|problem| wrong(&problem))
}

fn usage(error: anyhow::Error) -> Exit {
    Exit::Usage(format!("wasm-host: error: {error:#}"))
}

pub fn key(args: cli::Key) -> Result<(), Exit> {
    let KeyCommand::Generate { name } = args.command;
    let with_end = |end: &str| {
        let mut path = name.clone().into_os_string();
        path.push(end);
        PathBuf::from(path)
    };
    let (private_path, public_path) = (with_end(".key"), with_end(".pub"));
    let (private, public) =
        SigningKey::generate().ok_or_else(|| anyhow!("the system gives no randomness"))?;
    // The public one first: it is worth nothing where the other cannot be written.
    new_file(&public_path, 0o644, &public)?;
    new_file(&private_path, 0o600, &private).inspect_err(|_| {
        let _ = fs::remove_file(&public_path);
    })?;
    output::show(&format!(
        "{} signs: keep it to yourself, and out of version control\n{} verifies: [trust] keys = [{:?}]\n",
        private_path.display(),
        public_path.display(),
        public_path.display().to_string()
    ));
    Ok(())
}

/// What is there is left alone: a key that is lost cannot be made again.
fn new_file(path: &Path, mode: u32, text: &str) -> Result<()> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}
