//! What users type about registries.

use super::values::name;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use wasm_host_oci::Reference;

use super::{APPLICATION_FILE, Output};

#[derive(Args, Debug)]
pub struct Push {
    /// Where it goes, with a tag: registry.example/shop/weather:1.2
    #[arg(value_name = "REFERENCE", value_parser = tagged)]
    pub reference: Reference,
    /// A component file.
    #[arg(value_name = "COMPONENT.wasm")]
    pub component: PathBuf,
    /// Sign it with this private key, as `wasm-host key generate` makes it.
    #[arg(long, value_name = "KEY")]
    pub sign: Option<PathBuf>,
    #[command(flatten)]
    pub access: Access,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args, Debug)]
pub struct Pull {
    /// Which one: oci://registry.example/shop/weather:1.2
    #[arg(value_name = "REFERENCE", value_parser = reference)]
    pub reference: Reference,
    /// Where to write it. A file that is there is replaced. [default: the repository's last name, as a .wasm file]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub access: Access,
    #[command(flatten)]
    pub format: Output,
}

#[derive(Args, Debug)]
pub struct Update {
    /// The services whose references are asked for anew. [default: all]
    #[arg(value_name = "SERVICE", value_parser = name)]
    pub services: Vec<String>,
    /// The application file.
    #[arg(long, value_name = "APP.toml", default_value = APPLICATION_FILE)]
    pub app: PathBuf,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args, Debug)]
pub struct Key {
    #[command(subcommand)]
    pub command: KeyCommand,
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key that signs components, NAME.key, and the one that verifies them, NAME.pub.
    Generate {
        /// The path of both, without its end. Files that are there are left alone.
        name: PathBuf,
        #[command(flatten)]
        output: Output,
    },
}

/// How a registry is asked where no application file says it.
#[derive(Args, Debug)]
pub struct Access {
    /// Ask the registry in clear text.
    #[arg(long)]
    pub plain_http: bool,
    /// A PEM file of authorities that the registry's certificate may be from, beside the system's.
    #[arg(long, value_name = "FILE", conflicts_with = "plain_http")]
    pub ca: Option<PathBuf>,
}

pub(super) fn reference(text: &str) -> Result<Reference, String> {
    Reference::parse(text).map_err(|problem| problem.to_string())
}

fn tagged(text: &str) -> Result<Reference, String> {
    let reference = reference(text)?;
    match (&reference.tag, reference.digest) {
        (Some(_), None) => Ok(reference),
        _ => Err("a component is pushed under a tag, as in :1.2; its digest is the answer".into()),
    }
}
