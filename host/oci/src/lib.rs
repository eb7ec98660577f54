//! Components from registries and to them, as OCI artifacts.
//!
//! It exists so that bytes which come from outside are bounded and verified before anything else of the host sees them:
//! what a reference means ([`reference`]), how a registry is asked ([`registry`]) and with whose credentials
//! ([`credentials`]), what an artifact of a component looks like ([`artifact`]), which bytes a reference stands for until
//! somebody says otherwise ([`pins`]), who has signed them ([`signature`]), and where they are kept ([`cache`]).
//! [`Registries`] puts these together. It knows neither services nor the engine: a component is bytes with a digest.

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod stub;

pub mod artifact;
pub mod cache;
pub mod credentials;
pub mod digest;
pub mod error;
pub mod manifest;
pub mod pins;
pub mod reference;
mod registries;
pub mod registry;
pub mod settings;
pub mod signature;

pub use self::error::{Kind, OciError};
pub use self::pins::{Pin, Pins};
pub use self::reference::Reference;
pub use self::registries::{Pulled, Registries, sent_within};
pub use self::settings::RegistryConfig;
