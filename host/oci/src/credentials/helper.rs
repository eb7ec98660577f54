//! Docker's credential helpers: programs that keep what `docker login` was told.

use std::io::ErrorKind;
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;
use wasm_host_limits::oci::{HELPER_BYTES, HELPER_TIMEOUT};
use wasm_host_settings::diagnostic::quoted;
use wasm_host_settings::secret::Secret;

use super::{Credentials, TOKEN_USER};
use crate::error::{Kind, OciError, said};

/// What helpers say of a server that they do not know, all in these words.
const UNKNOWN: &str = "credentials not found";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperOutput {
    username: String,
    secret: String,
}

/// Ask `docker-credential-NAME` for a server.
pub(super) async fn ask(name: &str, server: &str) -> Result<Option<Credentials>, OciError> {
    let program = format!("docker-credential-{name}");
    let error =
        |what: &str| OciError::new(Kind::Local, format!("the credential helper {program}: {what}"));
    let wrong = |what: &str| error(what).hint(format!("try `echo {server} | {program} get`"));
    // Part of a file name, and nothing else.
    if name.is_empty()
        || name.contains(|it: char| !it.is_ascii_alphanumeric() && !"-_.".contains(it))
    {
        let message = format!("{} is no credential helper", quoted(name));
        return Err(OciError::new(Kind::Local, message)
            .hint("correct credHelpers or credsStore, where your logins are: it is the end of a program's name, as in pass"));
    }
    let asked = timeout(HELPER_TIMEOUT, run(Command::new(&program), server)).await;
    let (answer, succeeded) = asked
        .map_err(|_| wrong(&format!("no answer within {HELPER_TIMEOUT:?}")))?
        .map_err(|it| match it.kind() {
            ErrorKind::NotFound => error("it is not on the PATH").hint(
                "install it, or take it out of credHelpers and credsStore, where your logins are",
            ),
            _ => wrong(&it.to_string()),
        })?;
    if !succeeded {
        let words = String::from_utf8_lossy(&answer);
        if words.contains(UNKNOWN) {
            return Ok(None);
        }
        return Err(wrong(&format!("it says {}", said(&words))));
    }
    if answer.len() as u64 > HELPER_BYTES {
        return Err(wrong(&format!("its answer has more than {HELPER_BYTES} bytes")));
    }
    // Without the parser's words, which may quote the answer.
    let HelperOutput { username, secret } =
        serde_json::from_slice(&answer).map_err(|_| wrong("its answer cannot be read"))?;
    let secret = Secret::new(secret);
    Ok(Some(match username == TOKEN_USER {
        true => Credentials::Identity(secret),
        false => Credentials::Basic { username, password: secret },
    }))
}

/// As much of its answer as shows that it is too long, and whether it ended well. A helper that is given up is ended.
async fn run(mut helper: Command, server: &str) -> std::io::Result<(Vec<u8>, bool)> {
    let mut helper = helper
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = helper.stdin.take() {
        // One that reads nothing may know what it is for.
        let _ = input.write_all(server.as_bytes()).await;
    }
    let mut answer = Vec::new();
    if let Some(output) = helper.stdout.take() {
        output.take(HELPER_BYTES + 1).read_to_end(&mut answer).await?;
    }
    if answer.len() as u64 > HELPER_BYTES {
        // It may wait for a reader for ever.
        helper.kill().await?;
        return Ok((answer, true));
    }
    Ok((answer, helper.wait().await?.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(script: &str) -> (Vec<u8>, bool) {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "helper"]);
        run(shell, "registry.example").await.unwrap()
    }

    #[tokio::test]
    async fn a_helper_is_told_the_server_and_its_answer_is_bounded() {
        let (answer, succeeded) = answered("[ \"$1\" = get ] && cat").await;
        assert_eq!((answer.as_slice(), succeeded), (&b"registry.example"[..], true));
        let (answer, succeeded) = answered("echo credentials not found; exit 1").await;
        assert!(answer.starts_with(UNKNOWN.as_bytes()) && !succeeded);
        let (answer, _) = answered("exec yes").await;
        assert_eq!(answer.len() as u64, HELPER_BYTES + 1);
    }

    #[tokio::test]
    async fn what_is_no_helper_is_told() {
        let told = ask("../evil", "x").await.unwrap_err().to_string();
        assert!(
            told.starts_with("'../evil' is no credential helper; correct credHelpers"),
            "{told}"
        );
        let told = ask("that-is-not-installed", "registry.example").await.unwrap_err().to_string();
        assert!(
            told.starts_with(
                "the credential helper docker-credential-that-is-not-installed: it is not on the PATH; install it"
            ),
            "{told}"
        );
    }
}
