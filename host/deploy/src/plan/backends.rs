//! Backends: a server for each table without a url, and a way to all others.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};
use wasm_host_capabilities::ollama::Ollama;
use wasm_host_capabilities::outgoing::settings::Destination;
use wasm_host_capabilities::postgres::Postgres;
use wasm_host_capabilities::{self as capability, Capability as _};
use wasm_host_config::{Config, ServiceConfig};
use wasm_host_limits::deploy::{self as limits, DeployLimits};
use wasm_host_limits::replicas::MEMBERS;
use wasm_host_settings::resource::{Resource, ResourcePlace};
use wasm_host_settings::secret::BackendUrl;

use super::read::Problems;
use super::{Database, ModelServer};
use crate::placeholders::{UNKNOWN, variable};
use crate::within::LocatedBackend;

/// Something outside that the host connects to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Egress {
    pub to: To,
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    /// A host by name, which may be in the cluster or outside.
    Anywhere,
    /// A name of `outbound`, which stands for public addresses only.
    Public,
    Network(IpNet),
}

/// What of the backends runs beside the host.
#[derive(Default)]
pub(super) struct Backends {
    pub databases: Vec<Database>,
    pub models: Vec<ModelServer>,
    pub egress: BTreeSet<Egress>,
    pub found: Vec<LocatedBackend>,
}

impl Backends {
    pub(super) fn of(config: &Config, names: &mut Names, problems: &mut Problems) -> Self {
        let mut backends = Self::default();
        for capability in capability::ALL {
            for (resource, declared) in config.resources.of_key(capability.key()) {
                backends.resource(config, names, problems, (capability.key(), resource), declared);
            }
        }
        if let Some(replicas) = &config.replicas {
            backends.elsewhere(problems, "[replicas]", &replicas.url, 5432);
            backends.registries(problems, config);
        }
        let DeployLimits { replicas, replicas_max, .. } = config.deploy.limits;
        if config.replicas.is_some() && replicas.max(replicas_max.unwrap_or_default()) > MEMBERS {
            problems.error(
                format!("[deploy] has more hosts than [replicas] takes, which is {MEMBERS}"),
                format!("let 'replicas' and 'replicas-max' be at most {MEMBERS}"),
            );
        }
        if config.replicas.is_none() && (replicas > 1 || replicas_max.is_some()) {
            problems.warning(
                "several hosts are to run, and there is no [replicas]: a swap reaches the one that is asked, and none \
                 that starts later; to have it reach all, write [replicas] with url = \"${REPLICAS_URL}\", a Postgres \
                 database that no service is granted"
                    .to_owned(),
            );
        }
        for service in config.services.values().filter_map(ServiceConfig::component) {
            if let Some(outbound) = &service.outbound {
                backends.egress.extend(outbound.allow.destinations().map(|(to, port)| {
                    let to = match to {
                        Destination::Public => To::Public,
                        Destination::Network(network) => To::Network(network),
                    };
                    Egress { to, port }
                }));
            }
        }
        backends
    }

    /// One table of a capability, by its key and name.
    fn resource(
        &mut self,
        config: &Config,
        names: &mut Names,
        problems: &mut Problems,
        (key, resource): (&'static str, &str),
        declared: &dyn Resource,
    ) {
        let owner = format!("[{key}.{resource}]");
        match declared.place() {
            ResourcePlace::Server { url, port } => self.elsewhere(problems, &owner, url, port),
            ResourcePlace::Beside if key == Postgres::KEY => {
                let database = config.resources.find_of::<Postgres>(resource);
                self.database(names, problems, resource, database.and_then(|it| it.size_bytes));
            }
            ResourcePlace::Beside if key == Ollama::KEY => self.models(names, problems, resource),
            ResourcePlace::Beside => problems.error(
                format!("{owner} has no url, and there is no server of its kind to put beside the host"),
                "write the url of one",
            ),
            ResourcePlace::StateFolder { instead } => problems.warning(format!(
                "{owner} is a file in the state folder of its host: other hosts do not see it, and in Kubernetes that \
                 folder begins empty with each pod; to keep it, {instead} instead"
            )),
            ResourcePlace::Memory => {}
        }
    }

    fn models(&mut self, names: &mut Names, problems: &mut Problems, resource: &str) {
        let name = names.take(problems, Ollama::KEY, resource);
        self.found.push(LocatedBackend {
            key: Ollama::KEY,
            resource: resource.to_owned(),
            url: format!("http://{name}:11434"),
        });
        self.models.push(ModelServer { resource: resource.to_owned(), name });
    }

    fn database(
        &mut self,
        names: &mut Names,
        problems: &mut Problems,
        resource: &str,
        size: Option<u64>,
    ) {
        let name = names.take(problems, "postgres", resource);
        let stem = variable(resource);
        let password = format!("POSTGRES_{stem}_PASSWORD");
        // A role may have any name where it stands in quotes; in a URL nothing of it has to be encoded.
        let url = format!("postgresql://{resource}:${{{password}}}@{name}:5432/{resource}");
        self.found.push(LocatedBackend { key: "postgres", resource: resource.to_owned(), url });
        self.databases.push(Database {
            resource: resource.to_owned(),
            name,
            password,
            admin_password: format!("POSTGRES_{stem}_ADMIN_PASSWORD"),
            storage_bytes: size.unwrap_or_default() + limits::DATABASE_SPARE_BYTES,
        });
    }

    /// A way to the registries of the file: a swap names components of theirs, and where keys are trusted, each replica
    /// looks for signatures there. A host alone serves what is in its image.
    fn registries(&mut self, problems: &mut Problems, config: &Config) {
        let used = config.references().into_iter().map(|reference| &reference.host);
        let hosts: BTreeSet<&String> = used.chain(config.registries.registries.keys()).collect();
        for name in hosts {
            let scheme = if config.registries.of(name).plain_http { "http" } else { "https" };
            let Ok(url) = Url::parse(&format!("{scheme}://{name}")) else { continue };
            let to = match url.host() {
                Some(Host::Domain(name)) if !is_this_machine(name) => Some(To::Anywhere),
                Some(Host::Ipv4(address)) => network(address.into()),
                Some(Host::Ipv6(address)) => network(address.into()),
                _ => None,
            };
            match to.zip(url.port_or_known_default()) {
                Some((to, port)) => _ = self.egress.insert(Egress { to, port }),
                None => problems.warning(format!(
                    "the registry {name} is on this machine, and in a container that is the container itself: \
                     there no swap to a component of it is possible"
                )),
            }
        }
    }

    /// A way to the server of a url.
    fn elsewhere(&mut self, problems: &mut Problems, owner: &str, url: &BackendUrl, usual: u16) {
        let parsed = Url::parse(url.expose()).ok();
        let host = parsed.as_ref().and_then(Url::host);
        let port = parsed.as_ref().and_then(Url::port_or_known_default).unwrap_or(usual);
        let to = match host {
            Some(Host::Domain(name)) if name.contains(UNKNOWN) => {
                problems.warning(format!(
                    "the address of {owner} is a secret: the NetworkPolicy lets the host reach port {port} \
                     anywhere; if it has another one, add that to the policy"
                ));
                To::Anywhere
            }
            Some(Host::Domain(name)) if is_this_machine(name) => {
                return problems.this_machine(owner);
            }
            Some(Host::Domain(name)) => match name.parse() {
                // Schemes that are no web's keep addresses as texts.
                Ok(address) => return self.address(problems, owner, address, port),
                Err(_) => To::Anywhere,
            },
            Some(Host::Ipv4(address)) => {
                return self.address(problems, owner, address.into(), port);
            }
            Some(Host::Ipv6(address)) => {
                return self.address(problems, owner, address.into(), port);
            }
            None => return problems.this_machine(owner),
        };
        self.egress.insert(Egress { to, port });
    }

    fn address(&mut self, problems: &mut Problems, owner: &str, address: IpAddr, port: u16) {
        match network(address) {
            Some(to) => _ = self.egress.insert(Egress { to, port }),
            None => problems.this_machine(owner),
        }
    }
}

/// None: it is this machine.
fn network(address: IpAddr) -> Option<To> {
    let is_here = address.is_loopback() || address.is_unspecified();
    (!is_here).then(|| To::Network(address.into()))
}

fn is_this_machine(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

/// Names of what runs, each of them once.
pub(super) struct Names(BTreeSet<String>);

impl Names {
    pub(super) fn new(taken: impl IntoIterator<Item = String>) -> Self {
        Self(taken.into_iter().collect())
    }

    /// The plain name of a resource, or, where a service has it, with its key in front.
    fn take(&mut self, problems: &mut Problems, key: &str, resource: &str) -> String {
        let names = [resource.to_owned(), format!("{key}-{resource}")];
        let free = names.iter().find(|name| !self.0.contains(*name));
        let name = free.unwrap_or(resource_of(&names)).clone();
        if free.is_none() {
            problems.error(
                format!("[{key}.{resource}] has no name of its own left: a service has '{name}'"),
                "rename one of them",
            );
        }
        problems.name(&format!("[{key}.{resource}]"), &name);
        self.0.insert(name.clone());
        name
    }
}

fn resource_of(names: &[String; 2]) -> &String {
    let [_, with_key] = names;
    with_key
}
