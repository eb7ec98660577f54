//! The host, and an application with it, as OCI images.
//!
//! It exists so that an image needs no Docker to be made, and is the same wherever it is made of the same files. Going
//! up: one compressed archive ([`layer`]); an image of them with its configuration ([`image`]); where it lies on disk
//! ([`layout`]). What is in the layers: the program with what it is linked to ([`host`]), and what an application file
//! names ([`application`]). It asks no registry: that is for its callers.
//!
//! Invariants: no time, name or order of this machine is in a layer; no secret is.

pub mod application;
pub mod host;
pub mod image;
pub mod layer;
pub mod layout;
mod libraries;

pub use self::application::{Application, Packed};
pub use self::image::Image;
pub use self::layer::Draft;

/// Where things are in an image.
pub mod place {
    /// The program.
    pub const PROGRAM: &str = "/wasm-host";
    /// The folder of the application file, with all that it names at the paths that it names.
    pub const FOLDER: &str = "/app";
    pub const FILE: &str = "wasm-host.toml";
    pub const PINS: &str = "wasm-host.lock";
    /// The volume.
    pub const STATE: &str = "/state";
    /// The state folder is below the volume, as an orchestrator's volume need not belong to the user of the host.
    pub const STATE_FOLDER: &str = "/state/host";
    /// A user without a name on most machines, as images without users have it.
    pub const USER: u32 = 65_532;
    pub const HTTP_PORT: u16 = 8080;
}
