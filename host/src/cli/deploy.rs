//! The commands that make files of an application, and bring it to a cluster.

use super::values::name;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{APPLICATION_FILE, Output};
use wasm_host_limits::deploy as limits;
use wasm_host_settings::duration;

#[derive(Args, Debug)]
pub struct Manifest {
    #[command(flatten)]
    pub source: DeploySource,
    /// Write it to this folder, with the application file that it mounts.
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Deploy {
    #[command(subcommand)]
    pub target: DeployTarget,
}

#[derive(Debug, Subcommand)]
pub enum DeployTarget {
    /// Objects of Kubernetes as a base of kustomize with overlays.
    Kubernetes {
        #[command(flatten)]
        source: DeploySource,
        /// The folder to write to.
        #[arg(long, value_name = "DIR", default_value = "k8s")]
        output: PathBuf,
    },
    /// The same objects as a Helm chart.
    Helm {
        #[command(flatten)]
        source: DeploySource,
        /// The folder to write to.
        #[arg(long, value_name = "DIR", default_value = "chart")]
        output: PathBuf,
    },
    /// Containers of one machine, for Compose.
    Compose {
        #[command(flatten)]
        source: DeploySource,
        /// The file to write.
        #[arg(long, value_name = "FILE", default_value = "compose.yaml")]
        output: PathBuf,
    },
    /// Pods of one machine, for `podman kube play`.
    Podman {
        #[command(flatten)]
        source: DeploySource,
        /// The folder to write to.
        #[arg(long, value_name = "DIR", default_value = "podman")]
        output: PathBuf,
    },
    /// A service of systemd.
    Systemd {
        #[command(flatten)]
        source: DeploySource,
        /// The folder to write to.
        #[arg(long, value_name = "DIR", default_value = "systemd")]
        output: PathBuf,
    },
    /// Make the files for Kubernetes, apply them with kubectl, wait until all of it runs, and show where it is.
    Apply(DeployApply),
}

#[derive(Args, Debug)]
pub struct DeployApply {
    #[command(flatten)]
    pub source: DeploySource,
    /// The cluster, as kubectl knows it: no other one is ever touched.
    #[arg(long, value_name = "CONTEXT", value_parser = name)]
    pub context: String,
    /// Which overlay.
    #[arg(long, default_value = "local", value_parser = name)]
    pub overlay: String,
    /// The folder to write to.
    #[arg(long, value_name = "DIR", default_value = "k8s")]
    pub output: PathBuf,
    #[command(flatten)]
    pub format: Output,
}

/// The application that files are made of.
#[derive(Args, Debug)]
pub struct DeploySource {
    /// The application file.
    #[arg(value_name = "APP.toml", default_value = APPLICATION_FILE)]
    pub application: PathBuf,
    /// The image with the application, instead of the file's.
    #[arg(long, value_name = "REF", value_parser = name)]
    pub image: Option<String>,
}

#[derive(Args, Debug)]
pub struct Pause {
    #[arg(value_name = "TIME", value_parser = pause)]
    pub time: Duration,
}

pub(super) fn pause(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    match time <= limits::PAUSE_MAX {
        true => Ok(time),
        false => Err(format!("at most {} s", limits::PAUSE_MAX.as_secs())),
    }
}
