//! Commands that change which version of a service serves, and the one that says what did.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::Control;
use super::values::name;
use crate::client::names::components;
use wasm_host_service::swap::percent;
use wasm_host_settings::duration;

#[derive(Args, Debug)]
pub struct History {
    /// The service, as the application file names it.
    #[arg(value_parser = name, add = ArgValueCandidates::new(components))]
    pub service: String,
    #[command(flatten)]
    pub control: Control,
}

#[derive(Args, Debug)]
pub struct Swap {
    /// The service, as the application file names it.
    #[arg(value_parser = name, add = ArgValueCandidates::new(components))]
    pub service: String,
    /// The component that is to take its requests: a file, or oci://HOST/REPOSITORY:TAG, which the host pulls.
    #[arg(value_name = "COMPONENT.wasm | REFERENCE")]
    pub component: PathBuf,
    /// The part that it replaces, as `inspect` and `describe` name it. [default: the service's own component]
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub part: Option<String>,
    /// Try it on this share of the requests first; it is taken back if it does worse than the old one.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub canary: Option<u8>,
    /// How long to try it, for example 30s.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, requires = "canary")]
    pub time: Option<Duration>,
    #[command(flatten)]
    pub control: Control,
}

#[derive(Args, Debug)]
pub struct Rollback {
    /// The service, as the application file names it.
    #[arg(value_parser = name, add = ArgValueCandidates::new(components))]
    pub service: String,
    #[command(flatten)]
    pub control: Control,
}
