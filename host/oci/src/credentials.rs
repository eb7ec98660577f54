//! With which credentials a registry is asked: those that `docker login`, `podman login` and their helpers keep.
//!
//! The files are read anew for each registry, as logging in changes them while a host runs. What is in them is a secret:
//! no message repeats any of it.

mod helper;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use wasm_host_settings::secret::Secret;

use crate::error::{Kind, OciError};
use crate::reference::{DOCKER_HUB, Reference};
use wasm_host_limits::oci::CREDENTIALS_FILE_BYTES;

/// How Docker calls its own registry, in files of credentials.
const DOCKER_HUB_SERVER: &str = "https://index.docker.io/v1/";

/// The user name with which helpers mark a token.
const TOKEN_USER: &str = "<token>";

/// What a registry is told.
#[derive(Clone, Debug)]
pub enum Credentials {
    Basic {
        username: String,
        password: Secret,
    },
    /// Gives a token for one purpose after another.
    Identity(Secret),
}

/// Where credentials are looked for, the first file that knows a registry first.
#[derive(Clone, Debug, Default)]
pub struct CredentialFiles(Vec<PathBuf>);

/// A file of Docker's or podman's.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Document {
    auths: BTreeMap<String, Login>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Login {
    /// `user:password`, in base64.
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

impl CredentialFiles {
    /// Where a user's are, by number and environment: `REGISTRY_AUTH_FILE` alone, if that is set; else podman's, where it
    /// writes and where it looks besides; then Docker's, which `DOCKER_CONFIG` may have put elsewhere.
    pub fn of(user: u32, environment: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        if let Some(file) = set("REGISTRY_AUTH_FILE") {
            return Self(vec![file.into()]);
        }
        let at_home = |folder: &str| Some(format!("{}/{folder}", set("HOME")?));
        let podman = match set("XDG_RUNTIME_DIR") {
            Some(folder) => format!("{folder}/containers/auth.json"),
            None => format!("/run/containers/{user}/auth.json"),
        };
        let kept = set("XDG_CONFIG_HOME").or_else(|| at_home(".config"));
        let kept = kept.map(|folder| format!("{folder}/containers/auth.json"));
        let docker = set("DOCKER_CONFIG").or_else(|| at_home(".docker"));
        let docker = docker.map(|folder| format!("{folder}/config.json"));
        Self([Some(podman), kept, docker].into_iter().flatten().map(PathBuf::from).collect())
    }

    /// What is known for a repository. Nothing: it is asked as anybody.
    pub async fn find(&self, reference: &Reference) -> Result<Option<Credentials>, OciError> {
        for path in &self.0 {
            let Some(document) = read(path)? else { continue };
            if let Some(found) = document.find(reference, path).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl Document {
    async fn find(
        &self,
        reference: &Reference,
        path: &Path,
    ) -> Result<Option<Credentials>, OciError> {
        let server = match reference.host.as_str() {
            DOCKER_HUB => DOCKER_HUB_SERVER,
            host => host,
        };
        let of_host = self.cred_helpers.iter().find(|(key, _)| bare(key) == bare(server));
        let helper = of_host.map(|(_, helper)| helper).or(self.creds_store.as_ref());
        if let Some(helper) = helper
            && let Some(found) = helper::ask(helper, server).await?
        {
            return Ok(Some(found));
        }
        match self.login(reference, server) {
            Some(login) => login.credentials(path, server),
            None => Ok(None),
        }
    }

    /// Podman keeps logins for parts of a registry, too: the longest name counts.
    fn login(&self, reference: &Reference, server: &str) -> Option<&Login> {
        let mut place = format!("{}/{}", bare(server), reference.repository);
        loop {
            if let Some((_, login)) = self.auths.iter().find(|(key, _)| bare(key) == place) {
                return Some(login);
            }
            place.truncate(place.rfind('/')?);
        }
    }
}

impl Login {
    fn credentials(&self, path: &Path, server: &str) -> Result<Option<Credentials>, OciError> {
        let set = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        if let Some(token) = set(&self.identitytoken) {
            return Ok(Some(Credentials::Identity(Secret::new(token))));
        }
        if let (Some(username), Some(password)) = (set(&self.username), set(&self.password)) {
            return Ok(Some(Credentials::Basic { username, password: Secret::new(password) }));
        }
        let Some(auth) = set(&self.auth) else { return Ok(None) };
        let decoded = STANDARD.decode(auth.trim()).ok().and_then(|it| String::from_utf8(it).ok());
        let pair = decoded.as_deref().and_then(|pair| pair.split_once(':'));
        let (username, password) = pair.ok_or_else(|| {
            let message = format!("{}: the login of {server} cannot be read", path.display());
            OciError::new(Kind::Local, message).hint("log in again, as with `docker login`")
        })?;
        // Docker fills the end with zeros.
        let password = Secret::new(password.trim_end_matches('\0'));
        Ok(Some(Credentials::Basic { username: username.to_owned(), password }))
    }
}

fn read(path: &Path) -> Result<Option<Document>, OciError> {
    let wrong = |what: &str| {
        let message = format!("the file of credentials {}: {what}", path.display());
        OciError::new(Kind::Local, message).hint("correct it, or name another with DOCKER_CONFIG")
    };
    let file = match File::open(path) {
        Ok(file) => file,
        // A name that is too long, or leads through a file, is that of no file, either.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(wrong(&error.to_string())),
    };
    let mut text = Vec::new();
    let read = file.take(CREDENTIALS_FILE_BYTES + 1).read_to_end(&mut text);
    read.map_err(|error| wrong(&error.to_string()))?;
    if text.len() as u64 > CREDENTIALS_FILE_BYTES {
        return Err(wrong(&format!("it has more than {CREDENTIALS_FILE_BYTES} bytes")));
    }
    // Without the parser's words, which may quote what it found.
    let read = serde_json::from_slice(&text)
        .map_err(|error| wrong(&format!("line {} is not what Docker writes", error.line())))?;
    Ok(Some(read))
}

/// A server without what Docker writes around it.
fn bare(server: &str) -> &str {
    let name = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://"));
    let name = name.unwrap_or(server).trim_end_matches('/');
    let versionless = name.strip_suffix("/v1").or_else(|| name.strip_suffix("/v2"));
    versionless.unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(text: &str) -> Reference {
        Reference::parse(text).unwrap()
    }

    async fn found(document: &str, asked: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, document).unwrap();
        let files = CredentialFiles(vec![folder.path().join("missing.json"), path]);
        let found = files.find(&reference(asked)).await.map_err(|error| error.to_string())?;
        Ok(match found {
            None => "none".to_owned(),
            Some(Credentials::Basic { username, password }) => {
                format!("{username} {}", password.expose())
            }
            Some(Credentials::Identity(token)) => format!("token {}", token.expose()),
        })
    }

    const DOCUMENT: &str = r#"{"HttpHeaders": {"x": "y"}, "auths": {
        "registry.example": {"auth": "YW5uYTpzM2NyZXQ6MQ=="},
        "registry.example/shop": {"username": "shop", "password": "p"},
        "https://old.example/v1/": {"auth": "YW5uYTpvbGQAAA=="},
        "https://index.docker.io/v1/": {"auth": "aHViOnA="},
        "token.example:5000": {"auth": "PHRva2VuPjo=", "identitytoken": "abc"},
        "empty.example": {},
        "broken.example": {"auth": "%%%"}
    }}"#;

    #[tokio::test]
    async fn logins_are_found_by_the_longest_name() {
        for (asked, expected) in [
            ("oci://registry.example/other/x:1", "anna s3cret:1"),
            ("oci://registry.example/shop/x:1", "shop p"),
            ("oci://registry.example/shopping:1", "anna s3cret:1"),
            ("oci://old.example/x:1", "anna old"),
            ("oci://docker.io/library/x:1", "hub p"),
            ("oci://token.example:5000/x:1", "token abc"),
            ("oci://token.example:5001/x:1", "none"),
            ("oci://empty.example/x:1", "none"),
            ("oci://elsewhere.example/x:1", "none"),
        ] {
            assert_eq!(found(DOCUMENT, asked).await.as_deref(), Ok(expected), "{asked}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_told_and_never_quoted() {
        let told = found(DOCUMENT, "oci://broken.example/x:1").await.unwrap_err();
        assert!(told.contains("the login of broken.example cannot be read; log in again"));
        let told = found("{\"auths\": {\"x\": \"s3cret\"}}", "oci://x.example/x:1").await;
        let told = told.unwrap_err();
        assert!(told.contains("line 1 is not what Docker writes"), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }

    #[test]
    fn the_environment_says_where_credentials_are() {
        let files = |set: &[(&str, &str)]| {
            let value = |name: &str| set.iter().find(|(key, _)| *key == name);
            let CredentialFiles(files) =
                CredentialFiles::of(7, |name| value(name).map(|(_, value)| (*value).to_owned()));
            files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        let all = [("HOME", "/h"), ("XDG_RUNTIME_DIR", "/run/1"), ("DOCKER_CONFIG", "/d")];
        let kept = "/h/.config/containers/auth.json";
        assert_eq!(files(&all), ["/run/1/containers/auth.json", kept, "/d/config.json"]);
        let written = "/run/containers/7/auth.json";
        assert_eq!(files(&all[..1]), [written, kept, "/h/.docker/config.json"]);
        let elsewhere = files(&[("XDG_CONFIG_HOME", "/c")]);
        assert_eq!(elsewhere, [written, "/c/containers/auth.json"]);
        assert_eq!(files(&[("REGISTRY_AUTH_FILE", "/a"), ("HOME", "/h")]), ["/a"]);
        assert_eq!(files(&[]), [written]);
    }
}
