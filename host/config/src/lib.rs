//! The application file `wasm-host.toml`: from text to types that need no further checking.
//!
//! It exists so that every mistake in the file is reported at once, with its line and its fix,
//! before any port is bound, and so that nothing behind it asks "what if this is wrong". It names no capability but
//! goes over all of them, and it never reads the environment itself: that is passed in.
//!
//! Reading goes `kind` (the file) -> `syntax` (text to tables) -> `resolve` (whole file) -> `service` and each
//! capability's own (one table each) -> `references` (names) and `patience` (waits), by the rules of
//! [`settings`](wasm_host_settings).
//!
//! Invariants: a `Config` names only resources and services that exist; its routes are distinct;
//! its paths are joined with the folder of the file; no secret can be printed from it.

mod command;
mod component;
mod cors;
pub mod deploy;
mod hint;
mod http;
mod kind;
mod origin;
mod patience;
mod proxies;
mod record;
mod replicas;
mod resources;
mod references;
mod resolve;
mod route;
mod service;
mod syntax;
mod telemetry;
mod tls;
mod watch;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

pub use self::cors::CorsConfig;
pub use self::deploy::DeployConfig;
pub use self::hint::grant_hint;
pub use self::origin::{HostNames, OriginList};
pub use self::resources::Resources;
pub use self::tls::TlsConfig;
use wasm_host_capabilities::Capability;
use wasm_host_capabilities::outgoing::settings::OutboundConfig;
pub use wasm_host_limits::host::HostLimits;
use wasm_host_limits::host::WatchLimits;
pub use wasm_host_limits::http::HttpLimits;
use wasm_host_limits::replicas::ReplicaLimits;
pub use wasm_host_limits::service::{ServiceLimits, StaticLimits};
use wasm_host_limits::telemetry::TelemetryLimits;
use wasm_host_oci::Reference;
use wasm_host_oci::settings::RegistriesConfig;
use wasm_host_settings::Source;
use wasm_host_settings::bounds::Bound;
use wasm_host_settings::context::Context;
use wasm_host_settings::diagnostic::{Diagnostic, Diagnostics, Problem};
use wasm_host_settings::file::Table;
use wasm_host_settings::named::Named;
use wasm_host_settings::secret::{BackendUrl, EnvironmentValue, Secret};
use wasm_host_settings::tls::Authorities;
use wasm_host_settings::value::{self, Listen};
use wasm_host_settings::{Environment, disk};

/// The folder of cases, in that of a component's sources.
pub const CASES: &str = "cases";

/// A whole application.
#[derive(Clone, Debug)]
pub struct Config {
    pub name: String,
    /// The name of the file as messages show it; `None` when a component is served without one.
    pub file: Option<String>,
    /// The folder that holds `components/`.
    pub folder: PathBuf,
    pub http: HttpConfig,
    pub admin: Listen,
    /// Where orchestrators ask how the host is, without a token. `None`: at `admin` alone.
    pub probes: Option<Listen>,
    pub state_dir: PathBuf,
    /// What services can be granted.
    pub resources: Resources,
    pub services: BTreeMap<String, ServiceConfig>,
    /// How registries are asked for components, and whose signatures those must have.
    pub registries: RegistriesConfig,
    pub watch: WatchConfig,
    pub telemetry: TelemetryConfig,
    /// `None`: there is one host.
    pub replicas: Option<ReplicasConfig>,
    /// The file is for several hosts, and the address of `[replicas]` is empty: here there is one.
    pub is_alone: bool,
    pub deploy: DeployConfig,
    pub limits: HostLimits,
    /// Every bound that the file may set, in the order in which it is read.
    pub bounds: Vec<Bound>,
    /// Headers and fields whose values no recording has, beside those that look secret.
    pub redact: Vec<String>,
    /// All that `${...}` stands for in the file.
    pub secrets: Vec<Secret>,
    /// All files, folders and variables that the file names.
    pub named: Vec<Named>,
    /// Worth a warning, no reason to stop.
    pub warnings: Vec<Diagnostic>,
}

/// `[http]`
#[derive(Clone, Debug)]
pub struct HttpConfig {
    pub listen: Listen,
    pub limits: HttpLimits,
    /// `None`: without encryption.
    pub tls: Option<TlsConfig>,
    /// Names that the public port answers to, beside addresses and those that always mean this machine.
    pub hosts: HostNames,
    /// The proxies that are trusted to say which client asks.
    pub trusted_proxies: Vec<IpNet>,
}

/// `[telemetry]`
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// Whether anything is seen and kept.
    pub is_enabled: bool,
    /// Whether what is said to models and by them is kept, too.
    pub captures_messages: bool,
    /// What lets programs send telemetry to the control plane, beside its token.
    pub intake_key: Option<Secret>,
    /// A normalised path prefix of the public port, to which pages send their spans. `None`: they send none.
    pub page_route: Option<String>,
    pub limits: TelemetryLimits,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        let (intake_key, page_route, limits) = Default::default();
        Self { is_enabled: true, captures_messages: false, intake_key, page_route, limits }
    }
}

/// `[replicas]`
#[derive(Clone, Debug)]
pub struct ReplicasConfig {
    /// A `postgres://` URI, checked.
    pub url: BackendUrl,
    /// Trusted beside the system's; the database must then prove its name.
    pub ca: Option<Authorities>,
    /// Whether a replica whose lease has ended takes no requests.
    pub fences: bool,
    pub limits: ReplicaLimits,
}

/// `[watch]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchConfig {
    /// A program and its arguments, run in the folder of the file. `None` if nothing is built.
    pub build: Option<Vec<String>>,
    pub build_timeout: Duration,
}

/// `[service.<name>]`
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    pub name: String,
    /// Of the table header; 0 without a file.
    pub line: usize,
    /// A normalised path prefix. `None`: only other services reach it.
    pub route: Option<String>,
    /// The component sees its route as a part of the path.
    pub keeps_path: bool,
    /// Which pages of other origins may use it. `None`: none may.
    pub cors: Option<CorsConfig>,
    pub kind: ServiceKind,
}

#[derive(Clone, Debug)]
pub enum ServiceKind {
    Component(Box<ComponentConfig>),
    /// Files of a folder that exists.
    Static {
        dir: PathBuf,
        limits: StaticLimits,
    },
}

#[derive(Clone, Debug)]
pub struct ComponentConfig {
    pub source: ComponentSource,
    /// A program and its arguments that make the component's file, run in `sources`. `None`: nothing does, or it is
    /// a crate, which the one of `[watch]` builds.
    pub build: Option<Vec<String>>,
    /// Where its sources are, with its cases. `None`: the file does not say it.
    pub sources: Option<PathBuf>,
    /// What stands in front of it, the outermost first.
    pub middleware: Vec<PartConfig>,
    /// Which interfaces that it or another part imports are served by which component.
    pub with: Vec<(String, PartConfig)>,
    pub grants: Grants,
    /// Hosts outside that it may call. `None`: nothing.
    pub outbound: Option<OutboundConfig>,
    pub environment: BTreeMap<String, EnvironmentValue>,
    /// What it is told by `wasi:config`.
    pub configuration: BTreeMap<String, EnvironmentValue>,
    /// Asked for on the component itself before a new version is published.
    pub health: Option<String>,
    pub limits: ServiceLimits,
}

/// A component that another one is put together with, and where the file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartConfig {
    pub source: ComponentSource,
    /// As it stands in the file.
    pub written: String,
    pub line: usize,
    pub column: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComponentSource {
    /// The crate `components/<name>`.
    Crate(String),
    /// A `.wasm` file.
    File(PathBuf),
    /// What a registry has.
    Registry(Reference),
}

/// All that a component may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Each resource that is granted, by the key of its capability and its name.
    pub resources: BTreeSet<(&'static str, String)>,
    pub services: BTreeSet<String>,
}

/// A service as far as a file tells that may have mistakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedService {
    pub name: String,
    pub is_component: bool,
}

/// The one spelling of a route, or what is wrong with it.
pub fn normalised_route(text: &str) -> Result<String, Problem> {
    route::normalised(text)
}

// === impl Config ===

impl Config {
    /// Everything that must not be seen: what the file inserts, and how to log in at its backends.
    pub fn known_secrets(&self) -> Vec<Secret> {
        let urls = self.resources.all().filter_map(|(_, _, resource)| resource.url());
        let urls = urls.chain(self.replicas.iter().map(|replicas| &replicas.url));
        let passwords = urls.filter_map(|url| {
            let url = url::Url::parse(url.expose()).ok()?;
            wasm_host_settings::percent::decoded(url.password()?).map(Secret::new)
        });
        self.secrets.iter().cloned().chain(passwords).collect()
    }

    /// Where the cases of a service are: in `cases` of the folder of its sources, and there in a folder of its own where
    /// another component has the same sources. `None`: the file does not say where its sources are.
    pub fn cases_of(&self, service: &str) -> Option<PathBuf> {
        let own = self.services.get(service)?.component()?;
        let folder = own.sources.as_ref()?;
        let is_shared = self
            .services
            .values()
            .filter_map(ServiceConfig::component)
            .any(|other| other.sources.as_ref() == Some(folder) && other.source != own.source);
        let cases = folder.join(CASES);
        Some(if is_shared { cases.join(service) } else { cases })
    }

    /// Reads and checks the application file at `path`.
    pub fn read(path: &Path, environment: &Environment<'_>) -> Result<Config, Diagnostics> {
        Config::read_within(path, path.parent().unwrap_or(Path::new("")), environment)
    }

    /// The same, with paths that begin in `folder`, wherever the file is.
    pub fn read_within(
        path: &Path,
        folder: &Path,
        environment: &Environment<'_>,
    ) -> Result<Config, Diagnostics> {
        let file = path.display().to_string();
        let text = kind::read(path).map_err(|problem| Diagnostics::of_file(&file, problem))?;
        if let Some(problem) = kind::of_text(path, &text) {
            return Err(Diagnostics::of_file(&file, problem));
        }
        Config::parse(&Source { text: &text, file: &file, folder, environment })
    }

    /// Checks a text. Looks whether the files that it names exist, and reads only those that it
    /// names with `${file:...}`.
    pub fn parse(source: &Source<'_>) -> Result<Config, Diagnostics> {
        resolve::config(source.text, Context::new(source))
    }

    /// The same of an application that runs elsewhere: secrets need not be here, nor certificate and key of the public port.
    pub fn parse_elsewhere(source: &Source<'_>) -> Result<Config, Diagnostics> {
        resolve::config(source.text, Context::elsewhere(source))
    }

    /// The application file at `path`, for an application that runs elsewhere, with the text of the file: secrets need not
    /// be here, nor certificate and key of the public port.
    pub fn read_elsewhere(
        path: &Path,
        environment: &Environment<'_>,
    ) -> Result<(Config, String), Diagnostics> {
        let file = path.display().to_string();
        let text = kind::read(path).map_err(|problem| Diagnostics::of_file(&file, problem))?;
        if let Some(problem) = kind::of_text(path, &text) {
            return Err(Diagnostics::of_file(&file, problem));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let source = Source { text: &text, file: &file, folder, environment };
        let config = Config::parse_elsewhere(&source)?;
        Ok((config, text))
    }

    /// The state folder that the application file at `path` names, for commands that talk to a host which
    /// has read all of it: they need not have its secrets, nor does the rest have to be right.
    pub fn state_dir_of(path: &Path) -> Result<PathBuf, Diagnostics> {
        let file = path.display().to_string();
        let wrong = |problem| Diagnostics::of_file(&file, problem);
        let text = kind::read(path).map_err(wrong)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let named = syntax::text_at(&text, "state", "dir");
        Ok(folder.join(named.unwrap_or_else(|| resolve::STATE_DIR.to_owned())))
    }

    /// The services that the application file at `path` names, whatever else is wrong with it.
    pub fn services_of(path: &Path) -> Result<Vec<NamedService>, Diagnostics> {
        let wrong = |problem| Diagnostics::of_file(&path.display().to_string(), problem);
        Ok(syntax::services(&kind::read(path).map_err(wrong)?))
    }

    /// Whether the application file at `path` has telemetry on, whatever else is wrong with it. None: it does not say.
    pub fn keeps_telemetry(path: &Path) -> Option<bool> {
        syntax::keeps_telemetry(&kind::read(path).ok()?)
    }

    /// The state folder without an application file.
    pub fn state_dir_alone() -> PathBuf {
        PathBuf::from(resolve::STATE_DIR)
    }

    /// `wasm-host.lock`: of the name of the application file, where its paths begin. `None`: there is no file.
    pub fn pins_file(&self) -> Option<PathBuf> {
        let name = Path::new(self.file.as_ref()?).file_name()?;
        Some(self.folder.join(name).with_extension("lock"))
    }

    /// All references of services to registries, each once.
    pub fn references(&self) -> BTreeSet<&Reference> {
        let components = self.services.values().filter_map(ServiceConfig::component);
        components
            .flat_map(ComponentConfig::sources)
            .filter_map(ComponentSource::reference)
            .collect()
    }

    /// One component at "/", with no grants and no file.
    pub fn single(component: &Path) -> Config {
        let stem = component.file_stem().unwrap_or_default().to_string_lossy();
        let name = value::sanitised_name(&stem);
        // Bounds have one way in: that they are read.
        let cx = Context::new(&Source {
            text: "",
            file: "",
            folder: Path::new(""),
            environment: &|_| None,
        });
        let absent = |table: &str| Table::absent(table, 0..0);
        let host_limits = absent("[limits]").settings(&cx);
        let service_limits = component::service_limits(&cx, &absent(&format!("[service.{name}]")));
        let (_, bounds) = cx.into_found();
        let service = ServiceConfig {
            name: name.clone(),
            line: 0,
            route: Some("/".to_owned()),
            keeps_path: false,
            cors: None,
            kind: ServiceKind::Component(Box::new(ComponentConfig {
                source: ComponentSource::File(component.to_owned()),
                build: None,
                sources: None,
                middleware: Vec::new(),
                with: Vec::new(),
                grants: Grants::default(),
                outbound: None,
                environment: BTreeMap::new(),
                configuration: BTreeMap::new(),
                health: None,
                limits: service_limits,
            })),
        };
        Config {
            name: name.clone(),
            file: None,
            folder: PathBuf::new(),
            http: HttpConfig::default(),
            admin: Listen::local(http::ADMIN_PORT),
            probes: None,
            state_dir: Config::state_dir_alone(),
            resources: Resources::default(),
            services: BTreeMap::from([(name, service)]),
            registries: RegistriesConfig::default(),
            watch: WatchConfig::default(),
            telemetry: TelemetryConfig::default(),
            replicas: None,
            is_alone: false,
            deploy: DeployConfig::default(),
            limits: host_limits,
            bounds,
            redact: Vec::new(),
            secrets: Vec::new(),
            named: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

// === impl Grants ===

impl Grants {
    /// The name of the resource that is granted of a capability, or of the first one.
    pub fn of<C: Capability>(&self) -> Option<&str> {
        let mut all = self.resources.iter();
        all.find(|(key, _)| *key == C::KEY).map(|(_, name)| name.as_str())
    }
}

// === impl ComponentConfig ===

impl ComponentConfig {
    /// Where all components come from that it is put together from: middleware, its own, what serves imports.
    pub fn sources(&self) -> impl Iterator<Item = &ComponentSource> {
        let middleware = self.middleware.iter().map(|part| &part.source);
        let with = self.with.iter().map(|(_, part)| &part.source);
        middleware.chain([&self.source]).chain(with)
    }

    /// Whether it is more than one component.
    pub fn is_composed(&self) -> bool {
        !(self.middleware.is_empty() && self.with.is_empty())
    }
}

// === impl ComponentSource ===

impl ComponentSource {
    pub fn reference(&self) -> Option<&Reference> {
        match self {
            ComponentSource::Registry(reference) => Some(reference),
            ComponentSource::Crate(_) | ComponentSource::File(_) => None,
        }
    }
}

// === impl ServiceConfig ===

impl ServiceConfig {
    pub fn component(&self) -> Option<&ComponentConfig> {
        match &self.kind {
            ServiceKind::Component(component) => Some(component),
            ServiceKind::Static { .. } => None,
        }
    }
}

impl Default for HttpConfig {
    fn default() -> HttpConfig {
        let listen = Listen::local(http::HTTP_PORT);
        let (limits, hosts, trusted_proxies) = Default::default();
        HttpConfig { listen, limits, tls: None, hosts, trusted_proxies }
    }
}

impl Default for WatchConfig {
    fn default() -> WatchConfig {
        WatchConfig { build: None, build_timeout: WatchLimits::build_timeout().default }
    }
}
