//! What users type about images.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use wasm_host_oci::Reference;

use super::registry::reference;
use super::{APPLICATION_FILE, Access, Output};

#[derive(Args, Debug)]
pub struct Image {
    #[command(subcommand)]
    pub command: ImageCommand,
}

#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Make an image of an application: this program, the application file, and all that it names but secrets.
    Build(ImageBuild),
    /// Make an image of this program alone, with what it is linked to.
    Base(ImageBase),
}

#[derive(Args, Debug)]
pub struct ImageBuild {
    /// The application file.
    #[arg(value_name = "APP.toml", default_value = APPLICATION_FILE)]
    pub application: PathBuf,
    /// What it is called: registry.example/shop/app:7. [default: `image` of [deploy], or localhost/NAME:local]
    #[arg(long, value_name = "REFERENCE", value_parser = tagged)]
    pub tag: Option<Reference>,
    /// The image that the application is put onto: a folder, or a reference. [default: this program]
    #[arg(long, value_name = "DIR | REFERENCE")]
    pub base: Option<PathBuf>,
    #[command(flatten)]
    pub to: To,
}

#[derive(Args, Debug)]
pub struct ImageBase {
    /// What it is called: registry.example/wasm-host:1
    #[arg(long, value_name = "REFERENCE", value_parser = tagged, required_unless_present = "output", required_if_eq("push", "true"))]
    pub tag: Option<Reference>,
    #[command(flatten)]
    pub to: To,
}

/// Where an image goes.
#[derive(Args, Debug)]
pub struct To {
    /// Send it to the registry of its name.
    #[arg(long)]
    pub push: bool,
    /// Write it to this folder. An image that is there is replaced. [default, without --push: target/image]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub access: Access,
    #[command(flatten)]
    pub format: Output,
}

pub(crate) fn tagged(text: &str) -> Result<Reference, String> {
    let reference = reference(text)?;
    match (&reference.tag, reference.digest) {
        (Some(_), None) => Ok(reference),
        _ => Err("an image is made under a tag, as in :7; its digest is the answer".into()),
    }
}
