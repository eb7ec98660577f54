//! `wasm-host export`: all that is kept, and what runs, as one file for somebody else to look into.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::{Client, ControlResponse};
use crate::cli::{self, Format};
use crate::exit::Exit;
use wasm_host_limits as limits;
use wasm_host_log::tell_if_long_async;
use wasm_host_system::counted::counted;
use wasm_host_system::output;
use wasm_host_system::printable::printable;
use wasm_host_system::table;

/// What the file says of itself.
#[derive(Deserialize, Serialize)]
struct Manifest {
    application: String,
    host: String,
    files: Map<String, Value>,
}

/// Of one of its files.
#[derive(Deserialize)]
struct Written {
    items: u64,
    left_out: Option<String>,
}

pub async fn export(args: cli::Export) -> Result<(), Exit> {
    is_free(&args.file)?;
    let client = Client::find(&args.control)?.map_err(|gone| {
        let other = "`wasm-host logs` and `wasm-host traces` read what was kept without one";
        anyhow!("{gone}. An export tells what runs, too; {other}")
    })?;
    let partial = Partial::of(&args.file)?;
    let fetched = fetch(&client, &args, &partial);
    let bytes = tell_if_long_async("waiting for the host, which reads what it has kept", fetched);
    let bytes = bytes.await?;
    let manifest = manifest(&partial.path)?;
    partial.publish(&args.file)?;
    match args.control.output.format {
        Format::Json => table::json(&manifest)?,
        Format::Table => output::show(&render(&args.file, bytes, &manifest)?),
    }
    Ok(())
}

/// What is there stays: it may be of the moment that somebody wanted to see.
fn is_free(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        bail!("{} is there already; name another file, or remove it", path.display());
    }
    Ok(())
}

/// What has come so far, under a name of its own. It goes unless it is published.
struct Partial {
    path: PathBuf,
    file: File,
}

impl Partial {
    fn of(path: &Path) -> Result<Self> {
        let name = path.file_name().with_context(|| format!("{} names no file", path.display()))?;
        let name = format!(".{}.partial-{}", name.to_string_lossy(), std::process::id());
        let partial = path.with_file_name(name);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.exists()) {
            bail!("cannot write {}: there is no folder {}", path.display(), folder.display());
        }
        // What people sent to a service is not for other users to read.
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
        let file = opened.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path: partial, file })
    }

    fn publish(self, path: &Path) -> Result<()> {
        is_free(path)?;
        let synced = self.file.sync_all().and_then(|()| fs::rename(&self.path, path));
        synced.with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After it was published there is none of the name.
        let _ = fs::remove_file(&self.path);
    }
}

/// All of it into the file, as it comes; how many bytes there were.
async fn fetch(client: &Client, args: &cli::Export, partial: &Partial) -> Result<u64, Exit> {
    let given = [("since", &args.since), ("until", &args.until), ("service", &args.service)];
    let query: Vec<_> =
        given.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))).collect();
    // Each piece has a deadline of its own, and the host ends the whole.
    let request = client.request(Method::GET, &["api", "export"], limits::FOLLOW_MOST)?;
    let answered = timeout(limits::COMMAND_TIMEOUT, request.query(&query).send()).await;
    let answered = answered.map_err(|_| anyhow!("the host did not answer in time"))?;
    let mut response = answered.map_err(|error| client.explain(error))?;
    let status = response.status();
    if status != StatusCode::OK {
        let body = response.bytes().await.map_err(|error| client.explain(error))?.into();
        return Err(ControlResponse { status, body }.problem());
    }
    let (mut bytes, mut file) = (0, &partial.file);
    loop {
        let piece = timeout(limits::FOLLOW_SILENCE, response.chunk()).await;
        let piece = piece.map_err(|_| anyhow!("the host has said nothing for too long"))?;
        let Some(piece) = piece.map_err(|error| client.explain(error))? else { return Ok(bytes) };
        bytes += piece.len() as u64;
        file.write_all(&piece)
            .with_context(|| format!("cannot write {}", partial.path.display()))?;
    }
}

/// It stands at the end: a reader that finds it has all of the file.
fn manifest(path: &Path) -> Result<Manifest> {
    let read = || -> Result<Manifest> {
        let mut zip = zip::ZipArchive::new(File::open(path)?)?;
        Ok(serde_json::from_reader(zip.by_name("manifest.json")?)?)
    };
    read().context("what the host sent is not whole, or of another version")
}

/// `shop.zip: 340 lines, 87 series of figures, 12 traces; 81234 bytes`
fn render(path: &Path, bytes: u64, manifest: &Manifest) -> Result<String> {
    let (mut counts, mut left_out) = (Vec::new(), String::new());
    for (name, written) in &manifest.files {
        let written: Written = serde_json::from_value(written.clone())?;
        counts.push(what(name, written.items));
        if let Some(why) = written.left_out {
            left_out.push_str(&format!("{} lacks {}\n", printable(name), printable(&why)));
        }
    }
    let counts = counts.join(", ");
    Ok(format!("{}: {counts}; {bytes} bytes\n{left_out}", path.display()))
}

/// So many of what the lines of a file are.
fn what(name: &str, items: u64) -> String {
    match name {
        "traces.ndjson" => counted(items, "trace"),
        "logs.ndjson" => counted(items, "line"),
        "metrics.ndjson" => format!("{items} series of figures"),
        _ => format!("{items} {}", printable(name)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_in_it_and_what_is_not_is_told() {
        let manifest: Manifest = serde_json::from_value(json!({
            "application": "shop", "host": "1.2.3", "limits": [], "files": {
                "traces.ndjson": { "items": 1, "bytes": 3, "left_out": "what is older: too much" },
                "logs.ndjson": { "items": 340, "bytes": 4, "left_out": null },
            },
        }))
        .unwrap();
        assert_eq!(
            render(Path::new("a/shop.zip"), 81_234, &manifest).unwrap(),
            "a/shop.zip: 340 lines, 1 trace; 81234 bytes\ntraces.ndjson lacks what is older: too much\n"
        );
    }

    #[test]
    fn what_is_not_whole_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.zip");
        let partial = Partial::of(&path).unwrap();
        (&partial.file).write_all(b"PK").unwrap();
        assert!(manifest(&partial.path).is_err());
        drop(partial);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.zip");
        let partial = Partial::of(&path).unwrap();
        // Another process made it meanwhile.
        fs::write(&path, "mine").unwrap();
        let told = partial.publish(&path).unwrap_err().to_string();
        assert!(told.contains("is there already"), "{told}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
