//! Commands about registries that ask no running host: `push`, `pull`, `update`, `key`.

pub mod update;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
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
use wasm_host_system::{output, table, whole};

/// What was pulled, for programs.
#[derive(Serialize)]
struct Pulled {
    file: PathBuf,
    /// With the digest that it has in the registry.
    reference: String,
}

/// What was made, for programs.
#[derive(Serialize)]
struct KeyPair {
    signs: PathBuf,
    verifies: PathBuf,
}

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
    let registries = components::registries(&args.reference, &args.access)?;
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
    let registries = components::registries(&reference, &args.access)?;
    let what = format!("pulling {reference}");
    let pulled = tell_if_long_async(&what, registries.pull(&reference, None)).await;
    let pulled = pulled.map_err(anyhow::Error::new)?;
    let file = components::component(&reference, pulled).await?;
    let path = args.output.unwrap_or_else(|| {
        let name = reference.repository.rsplit('/').next().unwrap_or_default();
        PathBuf::from(format!("{name}.wasm"))
    });
    let pulled = Pulled { file: path.clone(), reference: file.path.display().to_string() };
    let written = spawn_blocking(move || {
        let cannot = || format!("cannot write {}", path.display());
        whole::write(&path, &file.bytes).with_context(cannot)
    });
    written.await.context("the file could not be written")??;
    match args.format.format {
        Format::Table => {
            output::show(&format!("{}: {}\n", pulled.file.display(), pulled.reference))
        }
        Format::Json => table::json(&pulled)?,
    }
    Ok(())
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
    let KeyCommand::Generate { name, output } = args.command;
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
    if output.format == Format::Json {
        table::json(&KeyPair { signs: private_path, verifies: public_path })?;
        return Ok(());
    }
    output::show(&format!(
        "{} signs: keep it to yourself, and out of version control\n{} verifies: [trust] keys = [{:?}]\n",
        private_path.display(),
        public_path.display(),
        public_path.display().to_string()
    ));
    Ok(())
}

/// What is there is left alone: a key that is lost cannot be made again. What cannot be written as a whole is not left.
fn new_file(path: &Path, mode: u32, text: &str) -> Result<()> {
    let folder = whole::folder_of(path);
    if !folder.is_dir() {
        bail!("cannot write {}: make the folder {} first", path.display(), folder.display());
    }
    let cannot = || format!("cannot write {}", path.display());
    let mut file = fs::OpenOptions::new();
    let mut file = file.write(true).create_new(true).mode(mode).open(path).with_context(cannot)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written.with_context(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_as_a_whole_is_not_left_and_what_is_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.key");
        new_file(&path, 0o600, "one").unwrap();
        let told = format!("{:#}", new_file(&path, 0o600, "two").unwrap_err());
        assert!(told.contains("release.key: File exists"), "{told}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        let nowhere = folder.path().join("keys/release.key");
        let told = new_file(&nowhere, 0o600, "one").unwrap_err().to_string();
        assert!(
            told.ends_with(&format!("make the folder {}/keys first", folder.path().display())),
            "{told}"
        );
    }
}
