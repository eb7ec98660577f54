//! Where the programs `postgres` and `initdb` are: installed on this machine, or else fetched.
//!
//! Data of one major version can be read by that version only, so existing data decides.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use tokio::process::Command;
use tokio::time::timeout;

use super::folder::Folder;
use wasm_host_limits::embedded_postgres as limits;

/// What the programs of Postgres begin each other with.
const SHELL: &str = "/bin/sh";

/// The programs of one version.
#[derive(Clone, Debug)]
pub(super) struct Binaries {
    pub(super) folder: PathBuf,
    /// The major version.
    pub(super) version: u32,
}

impl Binaries {
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// The newest version that is installed, or the one that `needed` names.
pub(super) async fn find(folder: &Folder, needed: Option<u32>) -> anyhow::Result<Binaries> {
    let fetched = folder.home().join("dist");
    let mut found = Vec::new();
    for candidate in candidates().into_iter().chain(children(&fetched, "bin")) {
        let whole = ["postgres", "initdb"].iter().all(|name| candidate.join(name).is_file());
        if !whole {
            continue;
        }
        if let Some(version) = version(&candidate).await {
            found.push(Binaries { folder: candidate, version });
        }
    }
    let fits = |binaries: &&Binaries| needed.is_none_or(|needed| binaries.version == needed);
    match found.iter().filter(fits).max_by_key(|binaries| binaries.version) {
        Some(binaries) => Ok(binaries.clone()),
        // One that is fetched starts programs by it.
        None if !Path::new(SHELL).exists() => Err(anyhow!(
            "there is no PostgreSQL here, and none runs without {SHELL}, as in an image of `wasm-host image`; set `url` \
             for the database"
        )),
        None => fetch(&fetched, needed).await.map_err(|error| {
            let which = needed.map_or(String::new(), |needed| format!(" {needed}"));
            let data = needed.map_or(String::new(), |_| {
                ", or remove the state folder to start with empty databases".to_string()
            });
            anyhow!(
                "there is no PostgreSQL{which} on this machine, and it cannot be downloaded \
                 ({error:#}); install it (the package `postgresql` on Debian), or set `url` for the \
                 database{data}"
            )
        }),
    }
}

/// Folders in which packages put the programs.
fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for (parent, child) in [
        ("/usr/lib/postgresql", "bin"),  // Debian
        ("/usr/libexec/postgresql", ""), // Alpine
        ("/opt/homebrew/opt", "bin"),
        ("/usr/local/opt", "bin"),
    ] {
        folders.extend(children(Path::new(parent), child));
    }
    folders
}

/// `child` in each folder of `parent`.
fn children(parent: &Path, child: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    entries.filter_map(|entry| Some(entry.ok()?.path().join(child))).collect()
}

/// From `postgres (PostgreSQL) 15.14 (Debian …)`.
async fn version(folder: &Path) -> Option<u32> {
    let output = Command::new(folder.join("postgres")).arg("--version").kill_on_drop(true).output();
    let output = timeout(limits::VERSION_TIMEOUT, output).await.ok()?.ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_version(text: &str) -> Option<u32> {
    let version = text.split("(PostgreSQL) ").nth(1)?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

async fn fetch(into: &Path, needed: Option<u32>) -> anyhow::Result<Binaries> {
    use postgresql_embedded::{PostgreSQL, SettingsBuilder, VersionReq};

    tracing::info!(into = %into.display(), "no PostgreSQL is installed; downloading one");
    std::fs::create_dir_all(into)?;
    // The crate would also create and run a server, in its own way. A folder that looks like a
    // server's data keeps it to the download; it removes that folder afterwards.
    let decoy = into.join("decoy");
    std::fs::create_dir_all(&decoy)?;
    std::fs::write(decoy.join("postgresql.conf"), "")?;
    let mut settings = SettingsBuilder::new()
        .installation_dir(into)
        .data_dir(&decoy)
        .password_file(into.join("unused"))
        .temporary(true);
    if let Some(needed) = needed {
        settings = settings.version(VersionReq::parse(&format!("={needed}"))?);
    }
    let mut postgres = PostgreSQL::new(settings.build());
    timeout(limits::FETCH_TIMEOUT, postgres.setup()).await.map_err(|_| {
        anyhow!("the download took longer than {} s", limits::FETCH_TIMEOUT.as_secs())
    })??;
    let folder = postgres.settings().binary_dir();
    let version = version(&folder).await.context("the downloaded server does not start")?;
    Ok(Binaries { folder, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_major_one() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.14 (Debian 15.14-0)\n"), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(parse_version("bash: no such thing"), None);
    }
}
