//! The command line: what users type. What the commands do is elsewhere.

mod composed;
mod deploy;
mod image;
mod project;
mod registry;
mod swap;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::ArgPredicate;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::ArgValueCandidates;

pub use self::composed::Composed;
use self::deploy::pause;
pub use self::deploy::{Deploy, DeployApply, DeploySource, DeployTarget, Manifest, Pause};
pub(crate) use self::image::tagged;
pub use self::image::{Image, ImageBase, ImageBuild, ImageCommand, To};
pub use self::project::{Add, BindingsLang, Build, New, Template, Wit};
pub use self::registry::{Access, Key, KeyCommand, Pull, Push, Update};
pub use self::swap::{History, Rollback, Swap};
use self::values::{folder, moment, name, slower, span_id, trace_id};
use crate::client::names::{components, services};
use wasm_host_engine::compile::compiler::CompileComponent;
use wasm_host_limits as limits;
use wasm_host_settings::duration;

/// A host for applications made of WebAssembly components.
///
/// Logs go to standard error; WASM_HOST_LOG=debug shows more.
#[derive(Debug, Parser)]
#[command(name = "wasm-host", version, max_term_width = 100)]
pub struct Cli {
    /// What lines of the log look like.
    #[arg(long, value_enum, global = true, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an application, or one component at /.
    Serve(Serve),
    /// Check everything that `serve` checks, without opening a port.
    Check(Check),
    /// Make a new application with a service, its tests and its build; nothing is fetched.
    New(New),
    /// Add a service to the application in this folder.
    Add(Add),
    /// Print the interfaces that a service is granted, or write them where its bindings are made.
    Wit(Wit),
    /// Build the components of an application by the commands that its file says.
    Build(Build),
    /// Run the test cases of components, alone and without any backend.
    Test(Test),
    /// Show what a component imports and exports, and which grants it needs.
    Inspect(Inspect),
    /// Make an application file of the manifest of an application of Spin.
    Import(Import),
    /// Send a component to a registry, and print what it is called there.
    Push(Push),
    /// Write a component of a registry to a file.
    Pull(Pull),
    /// Ask registries for the tags of the application file anew, and pin what they stand for in wasm-host.lock.
    Update(Update),
    /// Keys that sign components.
    Key(Key),
    /// Make images for containers: of an application, or of this program alone.
    Image(Image),
    /// Show the services of a running host.
    Ps(Ps),
    /// Show what happened to the versions of a service.
    History(History),
    /// Put another version of a service into service, while requests run.
    Swap(Swap),
    /// Put the version before this one into service again.
    Rollback(Rollback),
    /// Show what components printed and what the host said, now and before.
    Logs(Logs),
    /// Show requests that were kept: those that failed or were slow, and a share of the others.
    Traces(Traces),
    /// Show a service: version, grants, limits, instances, health, last failures.
    Describe(Describe),
    /// Keep the next requests of a service of the running host as cases for `wasm-host test`.
    Record(Record),
    /// What was recorded while the host ran, as cases.
    Recordings(Recordings),
    /// Wait until a service is well; also for a host that is not there yet.
    Wait(Wait),
    /// Write what was kept, and what runs, to a zip file for somebody else to look into.
    Export(Export),
    /// Print the link that signs a browser in to the dashboard.
    Dashboard(Dashboard),
    /// Print the application as a manifest in the shape of .NET Aspire's.
    Manifest(Manifest),
    /// Make files for a cluster, for Compose, podman or systemd from the application file; or bring it to a cluster.
    Deploy(Deploy),
    /// Print a script by which a shell completes this program's commands.
    Completion(Completion),
    /// Do nothing for so long, for example 5s: what a container without a shell does before it stops.
    #[command(hide = true)]
    Pause(Pause),
    /// Compile the component on standard input for the host that started this.
    #[command(hide = true)]
    CompileComponent(CompileComponent),
}

/// The application file, or a component to serve by itself.
pub const APPLICATION_FILE: &str = "wasm-host.toml";

#[derive(Args, Debug)]
pub struct Serve {
    /// The application file, or a component file (.wasm).
    #[arg(value_name = "APP.toml | COMPONENT.wasm", default_value = APPLICATION_FILE)]
    pub application: PathBuf,
    /// Address of the public port, instead of the file's. Port 0 takes a free one.
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<SocketAddr>,
    /// Address of the control plane, instead of the file's. Port 0 takes a free one.
    #[arg(long, value_name = "IP:PORT")]
    pub admin: Option<SocketAddr>,
    /// State folder, instead of the file's: database, versions with their history, compiled code.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// The folder in which paths of the application file begin, instead of the file's own.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Build and replace components when their sources or files change.
    #[arg(long)]
    pub watch: bool,
    /// Refuse to start where wasm-host.lock would have to change.
    #[arg(long)]
    pub locked: bool,
    /// Wait for databases with a url that are not there yet, for example 5m, before it is an error.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = pause)]
    pub wait: Duration,
    /// Write each request with all that its component did as a case for `wasm-host test`, in this folder.
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
    /// Leave the values of this header or field out of recordings, beside those that look secret. May be repeated.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub redact: Vec<String>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args, Debug)]
pub struct Check {
    /// The application file.
    #[arg(value_name = "APP.toml", default_value = APPLICATION_FILE)]
    pub application: PathBuf,
    /// Show every bound that the file may set, and what is in effect, instead of checking components.
    #[arg(long)]
    pub limits: bool,
    /// Fail where wasm-host.lock would have to change.
    #[arg(long)]
    pub locked: bool,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args, Debug)]
pub struct Test {
    /// Folders of components, whose cases are in `cases`, or component files (.wasm). Without any, the services of
    /// wasm-host.toml that have a `source`.
    #[arg(value_name = "FOLDER | COMPONENT.wasm")]
    pub paths: Vec<PathBuf>,
    /// The folder of the cases, instead of the components' own.
    #[arg(long, value_name = "DIR")]
    pub cases: Option<PathBuf>,
    /// Run only cases with this text in COMPONENT/CASE.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Rewrite the files of the cases that fail: what was seen becomes what is expected.
    #[arg(long)]
    pub bless: bool,
    /// Let calls come in any order, differ in their details, or not come at all, in every case.
    #[arg(long)]
    pub lenient: bool,
    /// Cases that run at once. [default: the processors, at most 8]
    #[arg(long, value_name = "N", value_parser = jobs)]
    pub jobs: Option<usize>,
    /// Run in an order by chance; the seed, which is printed, gives the same order again.
    #[arg(long, value_name = "SEED")]
    pub shuffle: Option<Option<u64>>,
    /// Real time for each case that does not say its own. [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Write the report as JUnit XML, too.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    #[command(flatten)]
    pub composed: Composed,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args, Debug)]
pub struct Inspect {
    /// A component file, or one of a registry: oci://HOST/REPOSITORY:TAG; with --service an application file.
    #[arg(
        value_name = "COMPONENT.wasm | REFERENCE | APP.toml",
        required = false,
        required_unless_present = "service",
        default_value_if("service", ArgPredicate::IsPresent, APPLICATION_FILE)
    )]
    pub component: PathBuf,
    /// What this service of the application file is put together from.
    #[arg(long, value_name = "NAME", value_parser = name, conflicts_with_all = ["middleware", "with"])]
    pub service: Option<String>,
    #[command(flatten)]
    pub composed: Composed,
    #[command(flatten)]
    pub access: Access,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args, Debug)]
pub struct Import {
    /// The manifest of the application.
    #[arg(value_name = "spin.toml", default_value = "spin.toml")]
    pub manifest: PathBuf,
    /// The application file to write; one that is there is left alone. [default: wasm-host.toml beside the manifest]
    #[arg(short, long, value_name = "APP.toml")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub format: Output,
}

#[derive(Args, Debug)]
pub struct Ps {
    #[command(flatten)]
    pub control: Control,
}

#[derive(Args, Debug)]
pub struct Logs {
    /// The services, as the application file names them. [default: all, and the host]
    #[arg(value_name = "SERVICE", value_parser = name, add = ArgValueCandidates::new(services))]
    pub services: Vec<String>,
    /// Go on with what comes.
    #[arg(short, long, conflicts_with = "until")]
    pub follow: bool,
    /// Not from before this: 10m or 7d ago, or a time such as 2031-02-03T04:05:06Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<String>,
    /// Only what is from before this, in the same ways.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<String>,
    /// Only lines of this level and above.
    #[arg(long, value_enum)]
    pub level: Option<Level>,
    /// Only lines with these words.
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// Only lines of this trace.
    #[arg(long, value_name = "ID", value_parser = trace_id)]
    pub trace: Option<String>,
    /// Only lines of this request.
    #[arg(long, value_name = "ID", value_parser = span_id)]
    pub request: Option<String>,
    /// How many of the last lines.
    #[arg(short = 'n', long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub lines: u32,
    #[command(flatten)]
    pub control: Control,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

#[derive(Args, Debug)]
pub struct Traces {
    /// Show this one, with all that was done for it.
    #[arg(value_name = "TRACE", value_parser = trace_id)]
    pub trace: Option<String>,
    /// Only those that this service had a part in.
    #[arg(long, value_name = "SERVICE", value_parser = name, add = ArgValueCandidates::new(services))]
    pub service: Option<String>,
    /// Only those that failed.
    #[arg(long)]
    pub errors: bool,
    /// Only those that took longer, for example 200ms.
    #[arg(long, value_name = "TIME", value_parser = slower)]
    pub slower: Option<String>,
    /// Only those with these words in a name, a path, a statement or a reason.
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// Not from before this: 10m or 7d ago, or a time such as 2031-02-03T04:05:06Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<String>,
    /// Only what is from before this, in the same ways.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<String>,
    /// How many of the last.
    #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub lines: u32,
    #[command(flatten)]
    pub control: Control,
}

#[derive(Args, Debug)]
pub struct Describe {
    /// The service, as the application file names it.
    #[arg(value_parser = name, add = ArgValueCandidates::new(services))]
    pub service: String,
    #[command(flatten)]
    pub control: Control,
}

#[derive(Args, Debug)]
pub struct Record {
    /// The service, as the application file names it.
    #[arg(value_parser = name, add = ArgValueCandidates::new(components))]
    pub service: String,
    /// How many.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub requests: u32,
    /// Only those that fail: without an answer, with a status of 500 or above, or broken off.
    #[arg(long)]
    pub failures: bool,
    /// Record no more.
    #[arg(long, conflicts_with_all = ["requests", "failures"])]
    pub stop: bool,
    #[command(flatten)]
    pub control: Control,
}

#[derive(Args, Debug)]
pub struct Recordings {
    /// Print the case of this one.
    #[arg(value_name = "ID", value_parser = span_id)]
    pub recording: Option<String>,
    /// Write it to a case file of the component, or of this folder below the application's.
    #[arg(long, value_name = "FOLDER", requires = "recording", value_parser = folder)]
    pub save: Option<Option<String>>,
    #[command(flatten)]
    pub control: Control,
}

#[derive(Args, Debug)]
pub struct Wait {
    /// The service, as the application file names it.
    #[arg(value_parser = name, add = ArgValueCandidates::new(services))]
    pub service: String,
    /// What is waited for.
    #[arg(long = "for", value_enum, default_value_t = Condition::Healthy)]
    pub condition: Condition,
    /// For how long.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub timeout: Duration,
    #[command(flatten)]
    pub control: Control,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Condition {
    /// It serves, and what it is granted answers.
    Healthy,
    /// It serves.
    Running,
}

impl Condition {
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Running => "running",
        }
    }
}

#[derive(Args, Debug)]
pub struct Export {
    /// Where to write it. A file that is there is left alone.
    #[arg(value_name = "OUT.zip")]
    pub file: PathBuf,
    /// Not what is from before this: 1h or 7d ago, or a time such as 2031-02-03T04:05:06Z. [default: all that is kept]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<String>,
    /// Only what is from before this, in the same ways.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<String>,
    /// Only what has to do with this service. [default: all, and the host]
    #[arg(long, value_name = "SERVICE", value_parser = name, add = ArgValueCandidates::new(services))]
    pub service: Option<String>,
    #[command(flatten)]
    pub control: Control,
}

#[derive(Args, Debug)]
pub struct Dashboard {
    #[command(flatten)]
    pub control: Control,
}

#[derive(Args, Debug)]
pub struct Completion {
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Which host is asked, and how its answer is printed.
#[derive(Args, Debug)]
pub struct Control {
    /// The application file of the host, to find its state folder. [default: wasm-host.toml]
    #[arg(long, value_name = "APP.toml")]
    pub app: Option<PathBuf>,
    /// The state folder of the host, instead of the file's.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

fn jobs(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|jobs| (1..=limits::testkit::JOBS_MAX).contains(jobs));
    number.ok_or_else(|| format!("a whole number from 1 to {}", limits::testkit::JOBS_MAX))
}

#[derive(Args, Debug)]
pub struct Output {
    /// How tables are printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line, for programs.
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
