//! How commands find the host that runs: its control plane's address and token, in a file of the state
//! folder that only its user can read.
//!
//! The token is what makes a request to the control plane one of this user: other users of the machine, and
//! web pages in a browser, reach the port but not the file.

pub mod versions;

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The file below the state folder.
const NAME: &str = "control.json";

/// What lets a request into the control plane. Cannot be printed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// 256 random bits.
    pub fn new() -> Result<Self> {
        let mut bits = [0_u8; 32];
        File::open("/dev/urandom")
            .and_then(|mut source| source.read_exact(&mut bits))
            .context("this machine has no random numbers for the token of the control plane")?;
        Ok(Self(hex::encode(bits)))
    }

    /// One that was chosen elsewhere.
    pub fn of(chosen: &str) -> Self {
        Self(chosen.to_owned())
    }

    /// Whether `given` is the token. The time that this takes tells nothing: two digests are compared whole, and no
    /// client can choose a text whose digest begins like that of a token that it does not know.
    pub fn is(&self, given: &str) -> bool {
        let (own, given) = (Sha256::digest(self.0.as_bytes()), Sha256::digest(given.as_bytes()));
        own.iter().zip(given.iter()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }

    /// The token itself, for the header of a request.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What the file says.
#[derive(Serialize, Deserialize)]
pub struct Control {
    /// Where the control plane listens.
    pub address: SocketAddr,
    pub token: Token,
    /// The host's process.
    pub pid: u32,
}

impl Control {
    pub fn path(state_dir: &Path) -> PathBuf {
        state_dir.join(NAME)
    }

    /// What the last host of this state folder left there; none if there is no file.
    pub fn read(state_dir: &Path) -> Result<Option<Self>> {
        let path = Self::path(state_dir);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        // The error names only the place of what is wrong with it: the rest may be the token.
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            anyhow::anyhow!(
                "{} is not what a host wrote (line {}, column {}); restart the host",
                path.display(),
                error.line(),
                error.column()
            )
        })
    }
}

/// The file of a running host. Its drop removes it, unless another host has taken its place.
pub struct ControlFile {
    path: PathBuf,
    token: Token,
}

impl ControlFile {
    /// Write down where the control plane is.
    pub fn write(state_dir: &Path, address: SocketAddr, token: &Token) -> Result<Self> {
        let path = Control::path(state_dir);
        let pid = std::process::id();
        let control = Control { address: reachable(address), token: token.clone(), pid };
        let text = serde_json::to_vec_pretty(&control)?;
        let partial = path.with_extension(format!("partial-{pid}"));
        let written = write_private(&partial, &text).and_then(|()| fs::rename(&partial, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&partial);
            return Err(error).with_context(|| format!("cannot write {}", path.display()));
        }
        Ok(Self { path, token: token.clone() })
    }
}

impl Drop for ControlFile {
    fn drop(&mut self) {
        let state_dir = self.path.parent().unwrap_or(Path::new(""));
        if let Ok(Some(control)) = Control::read(state_dir)
            && control.token.is(self.token.expose())
        {
            // A file that stays names a process that is gone, and commands see that.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A new file that no other user can read, from its first byte on.
fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

/// Where a listener on all addresses is reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_its_user_reads_it_and_it_goes_with_its_host() {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::new().unwrap();
        let file =
            ControlFile::write(folder.path(), "0.0.0.0:8081".parse().unwrap(), &token).unwrap();
        let path = Control::path(folder.path());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let control = Control::read(folder.path()).unwrap().unwrap();
        assert_eq!(control.address.to_string(), "127.0.0.1:8081");
        assert!(control.token.is(token.expose()));
        drop(file);
        assert!(!path.exists() && Control::read(folder.path()).unwrap().is_none());
    }

    #[test]
    fn the_file_of_a_host_that_came_later_stays() {
        let folder = tempfile::tempdir().unwrap();
        let address = "127.0.0.1:1".parse().unwrap();
        let first = ControlFile::write(folder.path(), address, &Token::new().unwrap()).unwrap();
        let second = ControlFile::write(folder.path(), address, &Token::new().unwrap()).unwrap();
        drop(first);
        assert!(Control::path(folder.path()).exists());
        drop(second);
        assert!(!Control::path(folder.path()).exists());
    }

    #[test]
    fn a_token_is_itself_and_nothing_else() {
        let token = Token::new().unwrap();
        assert_eq!(token.expose().len(), 64);
        assert!(token.is(token.clone().expose()));
        for other in ["", "x", &token.expose()[..63], Token::new().unwrap().expose()] {
            assert!(!token.is(other));
        }
    }

    #[test]
    fn a_file_that_is_damaged_is_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(Control::path(folder.path()), r#"{"token": "abc"#).unwrap();
        let told = Control::read(folder.path()).err().unwrap().to_string();
        assert!(told.contains("control.json") && !told.contains("abc"), "{told}");
    }
}
