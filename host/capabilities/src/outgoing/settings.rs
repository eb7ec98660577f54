//! Which hosts outside a component may call: `outbound` of a service.
//!
//! It exists so that a rule is read once, and that no code behind it asks what was meant. It compares
//! names and addresses as they are written. Which addresses are public, and what a name stands for
//! at the moment, is for the code that connects.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use toml::de::DeValue;

use wasm_host_limits::outgoing::OutboundLimits;
use wasm_host_limits::setting::Settings as _;
use wasm_host_settings::authorities::authorities;
use wasm_host_settings::context::{Context, Located};
use wasm_host_settings::diagnostic::{Problem, quoted};
use wasm_host_settings::file::Table;
use wasm_host_settings::tls::Authorities;

/// Beside its settings.
const KEYS: [&str; 2] = ["allow", "ca"];

/// The shortest prefixes that name a network. Shorter ones take in the host's own networks with
/// everything else, which is never what was meant.
const SHORTEST_V4: u8 = 8;
const SHORTEST_V6: u8 = 7;

/// Where a component may send requests, and within what bounds.
#[derive(Clone, Debug, Default)]
pub struct OutboundConfig {
    pub allow: AllowList,
    /// The authorities that are trusted for hosts of `https`, beside the system's.
    pub ca: Option<Authorities>,
    pub limits: OutboundLimits,
}

/// What is not in it is refused.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AllowList(Vec<Rule>);

#[derive(Clone, PartialEq, Eq)]
pub struct Rule {
    scheme: Scheme,
    host: Host,
    port: u16,
}

/// What a rule names, for what is outside of the host and guards the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Public addresses: of a name, or all of them.
    Public,
    /// One address or all of a network.
    Network(IpNet),
}

/// How a host is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

#[derive(Clone, PartialEq, Eq)]
enum Host {
    /// Every name, and every address that is public.
    Any,
    Name(String),
    /// `.example.com`: what ends with it.
    Suffix(String),
    /// One address or all of a network.
    Network(IpNet),
}

/// The key of a service: a rule, a list of them, or a table with `allow` and bounds.
pub fn outbound(cx: &Context<'_>, service: &str, table: &Table<'_>) -> Option<OutboundConfig> {
    let value = table.value("outbound")?;
    let name = format!("[service.{service}.outbound]");
    let (table, allow) = match value.get_ref() {
        DeValue::Table(inner) => {
            let keys = [&KEYS[..], &OutboundLimits::keys()].concat();
            (Table::open(cx, &name, value.span(), inner, &keys), "allow")
        }
        // A short form, when the bounds are right as they are.
        _ => (table.short(&name, "outbound"), "outbound"),
    };
    if !table.has(allow) {
        cx.missing(
            &table.at,
            Problem::new(
                "'outbound' allows nothing",
                "add allow = [\"https://api.example.com\"], or remove it",
            ),
        );
    }
    let rules = table.texts(cx, allow).unwrap_or_default();
    let parse = |rule: &Located<String>| cx.checked(&rule.at, Rule::parse(&rule.value));
    let allow = AllowList(rules.iter().filter_map(parse).collect());
    let ca = authorities(cx, &table);
    if ca.is_some() && !allow.uses_tls() {
        cx.warning(
            &table.at("ca"),
            Problem::new(
                "'ca' means nothing without a host of https://",
                "begin a rule with https://, or remove 'ca'",
            ),
        );
    }
    Some(OutboundConfig { allow, ca, limits: table.settings(cx) })
}

// === impl AllowList ===

impl AllowList {
    /// Whether a host may be called by this name.
    pub fn has_name(&self, scheme: Scheme, name: &str, port: u16) -> bool {
        self.rules(scheme, port).any(|host| match host {
            Host::Any => true,
            Host::Name(known) => known == name,
            Host::Suffix(suffix) => name.len() > suffix.len() && name.ends_with(suffix.as_str()),
            Host::Network(_) => false,
        })
    }

    /// Whether this very address is named, by itself or with its network. Private ones need it.
    pub fn has_address(&self, scheme: Scheme, address: IpAddr, port: u16) -> bool {
        self.rules(scheme, port).any(|host| match host {
            Host::Network(network) => network.contains(&address),
            _ => false,
        })
    }

    /// Whether every public address is allowed.
    pub fn has_any(&self, scheme: Scheme, port: u16) -> bool {
        self.rules(scheme, port).any(|host| *host == Host::Any)
    }

    /// Whether some rule needs certificates.
    pub fn uses_tls(&self) -> bool {
        self.0.iter().any(|rule| rule.scheme == Scheme::Https)
    }

    /// Which addresses and ports its rules lead to.
    pub fn destinations(&self) -> impl Iterator<Item = (Destination, u16)> {
        self.0.iter().map(|rule| match &rule.host {
            Host::Any | Host::Name(_) | Host::Suffix(_) => (Destination::Public, rule.port),
            Host::Network(network) => (Destination::Network(*network), rule.port),
        })
    }

    #[cfg(test)]
    pub(crate) fn of(rules: &[&str]) -> AllowList {
        AllowList(rules.iter().map(|rule| Rule::parse(rule).unwrap()).collect())
    }

    fn rules(&self, scheme: Scheme, port: u16) -> impl Iterator<Item = &Host> {
        let fits = move |rule: &&Rule| rule.scheme == scheme && rule.port == port;
        self.0.iter().filter(fits).map(|rule| &rule.host)
    }
}

impl fmt::Debug for AllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(ToString::to_string)).finish()
    }
}

// === impl Scheme ===

impl Scheme {
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

// === impl Rule ===

impl Rule {
    /// `scheme://host`, with an optional port.
    pub fn parse(text: &str) -> Result<Rule, Problem> {
        // A part before `@` may be a password, which a message must not repeat.
        if text.contains('@') {
            return Err(Problem::new(
                "a rule for outgoing requests has no user or password",
                "let the component send them in a header; write \"https://api.example.com\"",
            ));
        }
        let invalid = |hint: &str| {
            Problem::new(format!("{} is not a rule for outgoing requests", quoted(text)), hint)
        };
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("https", rest)) => (Scheme::Https, rest),
            _ => {
                return Err(invalid(
                    "begin it with http:// or https://, as in \"https://api.example.com\"",
                ));
            }
        };
        let (host, port) = split(rest).ok_or_else(|| {
            invalid(
                "after the host there may be a port only, as in \"https://api.example.com:8443\"",
            )
        })?;
        let port = match port.map(str::parse) {
            None => scheme.default_port(),
            Some(Ok(port)) if port > 0 => port,
            Some(_) => return Err(invalid("a port is a number from 1 to 65535")),
        };
        Ok(Rule { scheme, host: Host::parse(host).map_err(|hint| invalid(&hint))?, port })
    }
}

/// Host and port; the host may be a network with a slash in it. `None` if more follows.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    let end = match text.strip_prefix('[') {
        Some(inner) => inner.find(']')? + 2,
        None => text.find([':', '/']).unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at_checked(end)?;
    // The length of a network's prefix, inside or behind the brackets.
    let digits = rest.strip_prefix('/').map_or(0, |rest| {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 { 0 } else { digits + 1 }
    });
    let (_, port) = rest.split_at_checked(digits)?;
    let host = text.get(..host.len() + digits)?;
    match port.strip_prefix(':') {
        Some(port) => Some((host, Some(port))),
        None => port.is_empty().then_some((host, None)),
    }
}

impl Host {
    /// The error is the fix.
    fn parse(text: &str) -> Result<Host, String> {
        if text == "*" {
            return Ok(Host::Any);
        }
        let bare: String = text.chars().filter(|c| !matches!(c, '[' | ']')).collect();
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Host::Network(IpNet::from(address.to_canonical())));
        }
        if bare.contains('/') {
            return network(&bare).map(Host::Network);
        }
        let name = text.to_ascii_lowercase();
        let (is_suffix, labels) = match name.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, name.as_str()),
        };
        if !is_name(labels) {
            return Err(
                "the host is a name, \"*.\" before a name, \"*\", an address, or a network \
                        such as 10.1.0.0/16"
                    .to_owned(),
            );
        }
        if labels == "localhost" || labels.ends_with(".localhost") {
            return Err(
                "a name stands for public addresses only; write http://127.0.0.1".to_owned()
            );
        }
        Ok(if is_suffix { Host::Suffix(format!(".{labels}")) } else { Host::Name(name) })
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let network: IpNet = text
        .parse()
        .map_err(|_| "a network is an address and a length, as in 10.1.0.0/16".to_owned())?;
    let (shortest, whole) = match network {
        IpNet::V4(_) => (SHORTEST_V4, network.trunc()),
        IpNet::V6(_) => (SHORTEST_V6, network.trunc()),
    };
    if network.prefix_len() < shortest {
        return Err(format!(
            "a network of less than /{shortest} takes in private addresses with all others; write \
             \"*\" as the host for every public one"
        ));
    }
    if network != whole {
        return Err(format!("the network that this address is in is {whole}"));
    }
    Ok(network)
}

pub fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b == b'-' || b == b'_' || b.is_ascii_alphanumeric())
    };
    // Four numbers are an address with a mistake in it.
    let last_is_number =
        text.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= 253 && !last_is_number && text.split('.').all(label)
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.name())?;
        match &self.host {
            Host::Any => f.write_str("*")?,
            Host::Name(name) => f.write_str(name)?,
            Host::Suffix(suffix) => write!(f, "*{suffix}")?,
            Host::Network(IpNet::V4(network)) => write!(f, "{network}")?,
            Host::Network(IpNet::V6(network)) => write!(f, "[{network}]")?,
        }
        write!(f, ":{}", self.port)
    }
}
