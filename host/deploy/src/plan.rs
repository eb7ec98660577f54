//! What runs where, and what it needs: all that the forms of files have in common.
//!
//! It exists so that each fact is found once, in `read`, with all that cannot be carried over told at once, and so that
//! the forms differ in their notation alone.

mod backends;
mod files;
mod read;

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wasm_host_config::DeployConfig;
use wasm_host_limits::deploy as limits;

pub use backends::{Egress, To};
pub use files::ReadFile;
pub use read::{Input, Platform, read};

/// The application in containers.
#[derive(Clone, Debug)]
pub struct Plan {
    pub name: String,
    pub namespace: String,
    /// It is this application's alone: the file names none, and it is none that every cluster has.
    pub owns_namespace: bool,
    pub image: String,
    /// What the host's container has beside what is in its image; the application file is the first.
    pub mounts: Vec<Mount>,
    /// What the host's container is given by name, in order.
    pub secrets: Vec<SecretKey>,
    /// The services that are reached from outside, and the application itself, by name.
    pub services: Vec<Endpoint>,
    pub databases: Vec<Database>,
    pub models: Vec<ModelServer>,
    /// What the host itself reaches beside those, in order.
    pub egress: Vec<Egress>,
    /// Of the public port, outside of the container.
    pub port: u16,
    /// A port that the host listens on, on a machine as it is, is one of those that a system keeps for itself.
    pub has_privileged_port: bool,
    /// Certificate and key below the folder of the application file.
    pub tls: Option<Tls>,
    /// For what runs after a signal to stop.
    pub drain: Duration,
    /// What the host may take.
    pub memory_bytes: u64,
    pub deploy: DeployConfig,
    /// Several hosts come to one decision, by `[replicas]`.
    pub decides_together: bool,
    /// Worth telling, no reason to stop.
    pub warnings: Vec<String>,
}

/// A file of the application that the host reads.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Its name in a ConfigMap.
    pub key: String,
    /// Below the folder of the application file.
    pub path: String,
    pub text: String,
}

/// A secret by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretKey {
    pub name: String,
    pub origin: Origin,
}

/// Where the value of a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The variable of the same name of whoever deploys, as on a laptop.
    Environment,
    /// A file of whoever deploys, as on a laptop.
    File(String),
    /// Nobody knows it yet: it is made once.
    Made,
}

/// What is reached over HTTP under a name of its own.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub name: String,
    /// A path prefix.
    pub route: String,
}

/// A Postgres server for one table without a url.
#[derive(Clone, Debug)]
pub struct Database {
    /// As in `[postgres.NAME]`; also the name of its role and of its database.
    pub resource: String,
    /// What it is called where it runs.
    pub name: String,
    /// The secrets with the password of its role, and with that of its administrator.
    pub password: String,
    pub admin_password: String,
    pub storage_bytes: u64,
}

/// An Ollama for one table without a url.
#[derive(Clone, Debug)]
pub struct ModelServer {
    /// As in `[ollama.NAME]`.
    pub resource: String,
    /// What it is called where it runs.
    pub name: String,
}

/// `tls` of `[http]`.
#[derive(Clone, Debug)]
pub struct Tls {
    pub certificate: String,
    pub key: String,
}

impl Tls {
    /// What is mounted for it, with where. `folder` leads from the file that says so to that of the application file.
    pub(crate) fn mounts(&self, folder: &str) -> [(String, String); 2] {
        let of = |path: &str, name: &str| {
            let source = match (path.starts_with('/'), folder) {
                (true, _) => path.to_owned(),
                (false, "") => format!("./{path}"),
                (false, folder) if folder.starts_with(['/', '.']) => format!("{folder}/{path}"),
                (false, folder) => format!("./{folder}/{path}"),
            };
            (source, format!("{}/{name}", crate::image::TLS))
        };
        [of(&self.certificate, "tls.crt"), of(&self.key, "tls.key")]
    }
}

impl Plan {
    /// The name of the Secret with all of `secrets`.
    pub fn secret_name(&self) -> String {
        format!("{}-secrets", self.name)
    }

    /// The name of the Secret with certificate and key of `[http] tls`.
    pub fn tls_secret(&self) -> String {
        read::tls_secret(&self.name)
    }

    /// All secrets, those of servers included.
    pub fn all_secrets(&self) -> Vec<SecretKey> {
        let admins = self.databases.iter().map(|database| SecretKey {
            name: database.admin_password.clone(),
            origin: Origin::Made,
        });
        let mut all: Vec<_> = self.secrets.iter().cloned().chain(admins).collect();
        all.sort();
        all
    }

    /// Changes whenever a file of the host does.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for mount in &self.mounts {
            for part in [&mount.path, &mount.text] {
                digest.update(part.len().to_le_bytes());
                digest.update(part);
            }
        }
        hex::encode(digest.finalize())
    }

    /// The time from the signal until the host may be killed.
    pub fn grace(&self) -> Duration {
        self.drain + limits::STOP_MARGIN
    }
}
