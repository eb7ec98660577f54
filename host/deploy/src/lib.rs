//! An application file as files for clusters, containers and machines: a manifest in Aspire's shape, Kubernetes with
//! kustomize and as a Helm chart, Compose, pods of podman, a systemd unit.
//!
//! It exists so that one application file runs everywhere, with nothing of it lost on the way. Reading goes `document`
//! (the text, which stays as it is) -> `placeholders` (secrets, of which only the names are known) -> `plan` (what runs
//! where, and what it needs) -> one module for each form. `address` and `rollout` read what a cluster says afterwards.
//!
//! It must not do I/O: files come and go through its callers. Invariants: the same application file gives the same
//! bytes; no secret's value is ever known here, so none can be written; what cannot be carried over is an error that
//! names it, never left out.

pub mod address;
pub mod compose;
mod data;
mod document;
pub mod helm;
pub mod kubernetes;
pub mod kustomize;
pub mod manifest;
mod placeholders;
pub mod plan;
pub mod podman;
pub mod rollout;
pub mod systemd;
mod within;
mod yaml;

#[cfg(test)]
mod tests;

pub use plan::Plan;

/// A file that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Below the folder that the user named.
    pub path: String,
    pub text: String,
}

impl File {
    fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }
}

/// Where things are in the image that `image build` makes, and in every container that runs it.
pub mod image {
    /// The program.
    pub const PROGRAM: &str = "/wasm-host";
    /// The folder of the application file, with components, static files and scripts beside it.
    pub const FOLDER: &str = "/app";
    pub const FILE: &str = "wasm-host.toml";
    /// Where the volume of the state folder is.
    pub const STATE: &str = "/state";
    /// Where certificate and key of `[http] tls` are.
    pub const TLS: &str = "/tls";
    /// A user without a name, as images without users have it.
    pub const USER: u32 = 65_532;
    pub const HTTP_PORT: u16 = 8080;
    pub const CONTROL_PORT: u16 = 8081;
    pub const PROBES_PORT: u16 = 8082;
}
