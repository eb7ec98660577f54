//! The server's data folder: made once, whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::process::Command;
use tokio::time::timeout;

use super::binaries::Binaries;
use super::folder::Folder;
use super::{ADMINISTRATOR, shown};
use wasm_host_limits::embedded_postgres as limits;

/// The major version that existing data belongs to.
pub(super) fn version(folder: &Folder) -> anyhow::Result<Option<u32>> {
    let data = folder.data();
    if !data.exists() {
        return Ok(None);
    }
    let version = fs::read_to_string(data.join("PG_VERSION"))
        .ok()
        .and_then(|version| version.trim().parse().ok());
    version.map(Some).with_context(|| {
        format!(
            "{} is not the data of a PostgreSQL server; move it away, or remove the state folder to \
             start with empty databases",
            shown(&data)
        )
    })
}

/// Create the data folder if there is none.
pub(super) async fn create(folder: &Folder, binaries: &Binaries) -> anyhow::Result<()> {
    if folder.data().exists() {
        return Ok(());
    }
    // An interrupted attempt leaves a draft behind, never half a data folder.
    let draft = folder.home().join("data.new");
    if draft.exists() {
        fs::remove_dir_all(&draft)?;
    }
    let draft = folder.private("data.new")?;
    let password_file = folder.home().join("initdb.password");
    let _ = fs::remove_file(&password_file);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&password_file)?;
    writeln!(file, "{}", folder.password_for(ADMINISTRATOR))?;
    drop(file);
    folder.give(&password_file)?;

    let mut command = Command::new(binaries.program("initdb"));
    command
        .arg("--pgdata")
        .arg(&draft)
        .arg("--pwfile")
        .arg(&password_file)
        .args(["--username", ADMINISTRATOR, "--auth", "scram-sha-256"])
        // The same on every machine: text sorts by its bytes.
        .args(["--encoding", "UTF8", "--locale", "C"])
        .env_clear()
        .current_dir(folder.home())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if cfg!(test) {
        // Tests outlive no power failure, and their disk is slow.
        command.arg("--no-sync");
    }
    if let Some(account) = folder.account() {
        account.apply(&mut command);
    }
    let output = timeout(limits::CREATE_TIMEOUT, command.output()).await;
    let _ = fs::remove_file(&password_file);
    let program = binaries.program("initdb");
    let output = output
        .with_context(|| {
            format!("{} did not end within {:?}", shown(&program), limits::CREATE_TIMEOUT)
        })?
        .with_context(|| format!("cannot start {}", shown(&program)))?;
    if !output.status.success() {
        let reason = reason(&String::from_utf8_lossy(&output.stderr));
        bail!("{} failed ({}) and said: {reason}", shown(&program), output.status);
    }
    fs::rename(&draft, folder.data())?;
    Ok(())
}

/// Why it failed, of all that it said. Its last words are only that it cleans up.
fn reason(said: &str) -> String {
    let serious = |line: &&str| {
        ["FATAL", "PANIC", "error:", "could not", "terminated"]
            .iter()
            .any(|word| line.contains(word))
    };
    let reasons: Vec<&str> = said.lines().map(str::trim).filter(serious).collect();
    if reasons.is_empty() {
        return said.trim().lines().last().unwrap_or("nothing").to_owned();
    }
    reasons.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_not_the_last_line() {
        let said = "creating files\nFATAL:  could not write: No space left on device\n\
             child process exited with exit code 1\ninitdb: removing data directory \"/d\"\n";
        assert_eq!(reason(said), "FATAL:  could not write: No space left on device");
        assert_eq!(reason("one\ntwo\n"), "two");
        assert_eq!(reason(""), "nothing");
    }
}
