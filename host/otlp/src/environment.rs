//! The variables of OpenTelemetry: where telemetry goes, and how.
//!
//! What is wrong is one sentence with the variable, what is wrong with it and the fix. No value is repeated in it that may
//! be a secret: headers are, and an address may have a password. It must not know how anything is sent.

mod list;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use wasm_host_limits::telemetry as limits;
use wasm_host_settings::disk;
use wasm_host_settings::secret::Secret;
use wasm_host_settings::tls::{Authorities, NoAuthority};

use crate::signal::Signal;

/// That collectors have for gRPC.
const GRPC_PORT: u16 = 4317;

/// What the environment asks for.
#[derive(Debug)]
pub(super) struct Environment {
    pub targets: Vec<SignalEndpoint>,
    /// What the host itself is called, unless it is `wasm-host`.
    pub name: Option<String>,
    /// What every resource has.
    pub attributes: Vec<(String, String)>,
}

/// Where one signal goes.
#[derive(Clone, Debug)]
pub(super) struct SignalEndpoint {
    pub signal: Signal,
    pub protocol: Protocol,
    pub address: Address,
    pub headers: HeaderMap,
    pub timeout: Duration,
    pub is_compressed: bool,
    /// That are trusted besides those of the system.
    pub authorities: Option<Authorities>,
    /// Nothing says the protocol but the port.
    pub is_by_port: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    Http,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http/protobuf",
        }
    }
}

impl fmt::Display for SignalEndpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signal, address, protocol, .. } = self;
        let why = if self.is_by_port { ", by its port" } else { "" };
        write!(formatter, "{} go to {address} ({}{why})", signal.items(), protocol.name())
    }
}

/// Where requests go. What is printed is scheme, host and port: passwords and queries are secret, and some collectors have
/// their keys in paths.
#[derive(Clone, Debug)]
pub(super) struct Address {
    url: Secret,
    shown: String,
}

impl Address {
    fn new(url: &Url) -> Self {
        Self { url: Secret::new(url.as_str()), shown: url.origin().ascii_serialization() }
    }

    pub(super) fn expose(&self) -> &str {
        self.url.expose()
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.shown.starts_with("https:")
    }

    /// It has the port that collectors have for gRPC.
    pub(super) fn has_port_of_grpc(&self) -> bool {
        Url::parse(&self.shown).is_ok_and(|url| url.port() == Some(GRPC_PORT))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

/// The value of a variable, and its name.
struct Set {
    name: String,
    value: String,
}

impl Set {
    fn wrong(&self, what: &str) -> String {
        format!("{}: {what}", self.name)
    }
}

struct Variables<F>(F);

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    /// One that is empty is as if it were not there, as OpenTelemetry has it.
    fn get(&self, name: &str) -> Option<Set> {
        let value = (self.0)(name)?.trim().to_owned();
        (!value.is_empty()).then(|| Set { name: name.to_owned(), value })
    }

    /// That of the signal, else that of all.
    fn of(&self, signal: Signal, what: &str) -> Option<Set> {
        self.own(signal, what).or_else(|| self.get(&format!("OTEL_EXPORTER_OTLP_{what}")))
    }

    fn own(&self, signal: Signal, what: &str) -> Option<Set> {
        self.get(&format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.variable()))
    }
}

/// None: nothing is to be sent.
pub(super) fn read(read: impl Fn(&str) -> Option<String>) -> Result<Option<Environment>, String> {
    let variables = Variables(read);
    if is_disabled(&variables)? {
        return Ok(None);
    }
    let mut targets = Vec::new();
    for signal in Signal::ALL {
        targets.extend(target(&variables, signal)?);
    }
    if targets.is_empty() {
        return Ok(None);
    }
    let mut attributes = match variables.get("OTEL_RESOURCE_ATTRIBUTES") {
        Some(set) => list::attributes(&set.value).map_err(|what| set.wrong(&what))?,
        None => Vec::new(),
    };
    let mut name = variables.get("OTEL_SERVICE_NAME").map(|set| set.value);
    attributes.retain(|(key, value)| {
        let is_name = key == "service.name";
        if is_name {
            name.get_or_insert_with(|| value.clone());
        }
        !is_name
    });
    Ok(Some(Environment { targets, name, attributes }))
}

fn is_disabled(variables: &Variables<impl Fn(&str) -> Option<String>>) -> Result<bool, String> {
    let Some(set) = variables.get("OTEL_SDK_DISABLED") else { return Ok(false) };
    match set.value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(set.wrong("it is neither `true` nor `false`; write `true` to send nothing")),
    }
}

fn target(
    variables: &Variables<impl Fn(&str) -> Option<String>>,
    signal: Signal,
) -> Result<Option<SignalEndpoint>, String> {
    let asked = match variables.get(&format!("OTEL_{}_EXPORTER", signal.variable())) {
        Some(set) => match exporter(&set, signal)? {
            false => return Ok(None),
            true => true,
        },
        None => false,
    };
    let own = variables.own(signal, "ENDPOINT");
    let general = variables.get("OTEL_EXPORTER_OTLP_ENDPOINT");
    if own.is_none() && general.is_none() && !asked {
        return Ok(None);
    }
    let said = variables.of(signal, "PROTOCOL");
    let is_by_port = said.is_none()
        && own.as_ref().or(general.as_ref()).is_some_and(|set| means_grpc(&set.value));
    let protocol = match said {
        None if is_by_port => Protocol::Grpc,
        None => Protocol::Http,
        Some(set) => match set.value.as_str() {
            "grpc" => Protocol::Grpc,
            "http/protobuf" => Protocol::Http,
            "http/json" => {
                let fix = "`http/json` is not spoken here; write `http/protobuf`, which collectors take at the same address";
                return Err(set.wrong(fix));
            }
            _ => {
                return Err(set.wrong("there is no such protocol; write `grpc` or `http/protobuf`"));
            }
        },
    };
    let address = match (&own, &general) {
        (Some(set), _) => address(set, protocol, signal, true)?,
        (None, Some(set)) => address(set, protocol, signal, false)?,
        (None, None) => {
            let port = if protocol == Protocol::Grpc { GRPC_PORT } else { 4318 };
            let (name, value) =
                ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), format!("http://localhost:{port}"));
            address(&Set { name, value }, protocol, signal, false)?
        }
    };
    let headers = match variables.of(signal, "HEADERS") {
        Some(set) => headers(&set)?,
        None => HeaderMap::new(),
    };
    let timeout = match variables.of(signal, "TIMEOUT") {
        Some(set) => timeout(&set)?,
        None => limits::EXPORT_TIMEOUT,
    };
    let is_compressed = match variables.of(signal, "COMPRESSION") {
        None => false,
        Some(set) => match set.value.as_str() {
            "gzip" => true,
            "none" => false,
            _ => return Err(set.wrong("there is no such compression; write `gzip` or `none`")),
        },
    };
    let authorities =
        variables.of(signal, "CERTIFICATE").map(|set| authorities(&set)).transpose()?;
    Ok(Some(SignalEndpoint {
        signal,
        protocol,
        address,
        headers,
        timeout,
        is_compressed,
        authorities,
        is_by_port,
    }))
}

/// Whether an address is one of gRPC where nothing else says it: by the port that collectors have for that, and without
/// a path, which only HTTP has.
fn means_grpc(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| url.port() == Some(GRPC_PORT) && url.path() == "/")
}

/// Whether a signal is sent.
fn exporter(set: &Set, signal: Signal) -> Result<bool, String> {
    let mut is_sent = false;
    for name in set.value.split(',').map(str::trim) {
        match (name, signal) {
            ("otlp", _) => is_sent = true,
            ("none", _) => {}
            // Figures can be had that way without being sent.
            ("prometheus", Signal::Metrics) => {}
            _ => return Err(set.wrong("there is no such exporter here; write `otlp` or `none`")),
        }
    }
    Ok(is_sent)
}

fn address(set: &Set, protocol: Protocol, signal: Signal, is_own: bool) -> Result<Address, String> {
    let form = match protocol {
        Protocol::Grpc => "http://HOST:4317",
        Protocol::Http => "http://HOST:4318",
    };
    // What the parser says may quote the address.
    let mut url = Url::parse(&set.value)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            set.wrong(&format!("it is not an address with its scheme; write it as {form}"))
        })?;
    match (protocol, is_own) {
        (Protocol::Grpc, _) if url.path() != "/" => {
            let what = "an address of gRPC has no path; remove it, or write `http/protobuf` into OTEL_EXPORTER_OTLP_PROTOCOL";
            return Err(set.wrong(what));
        }
        (Protocol::Grpc, _) => url.set_path(signal.method()),
        // The address of one signal is taken as it is, that of all gets the path of each.
        (Protocol::Http, true) => {}
        (Protocol::Http, false) => {
            let path = format!("{}/{}", url.path().trim_end_matches('/'), signal.path());
            url.set_path(&path);
        }
    }
    Ok(Address::new(&url))
}

fn headers(set: &Set) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let pairs = list::pairs(&set.value).map_err(|what| set.wrong(&what))?;
    for (number, (name, value)) in pairs.into_iter().enumerate() {
        let wrong = |what: &str| set.wrong(&format!("header {} {what}", number + 1));
        let name = HeaderName::try_from(name).map_err(|_| {
            wrong("has a name that no header can have; write NAME=VALUE,NAME=VALUE")
        })?;
        let mut value = HeaderValue::try_from(value).map_err(|_| {
            wrong("has a value that no header can have; it must be one line of text")
        })?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn timeout(set: &Set) -> Result<Duration, String> {
    let most = limits::EXPORT_TIMEOUT_MAX.as_millis();
    let millis: Option<u64> = set.value.parse().ok();
    millis
        .filter(|millis| (1..=most).contains(&u128::from(*millis)))
        .map(Duration::from_millis)
        .ok_or_else(|| {
            set.wrong(&format!(
                "it is not a number of milliseconds from 1 to {most}; write 10000 for ten seconds"
            ))
        })
}

fn authorities(set: &Set) -> Result<Authorities, String> {
    let wrong = |what: &str, fix: &str| set.wrong(&format!("{what}; {fix}"));
    let pem = disk::pem(Path::new(&set.value));
    let pem = pem.map_err(|problem| set.wrong(&problem.to_string()))?;
    Authorities::new(&pem).map_err(|NoAuthority(what, fix)| wrong(what, fix))
}
