//! Names as browsers say them: origins of pages (`cors`), and the names of this host (`hosts`).
//!
//! It exists so that each is read once into the spelling that a browser sends, and that no code behind it asks what was
//! meant. It must not know requests.

use std::net::IpAddr;

use url::Url;

use wasm_host_capabilities::outgoing::settings::is_name;
use wasm_host_settings::diagnostic::{Problem, quoted};

/// Which pages may do something. What is not in it may not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginList(Vec<Origin>);

/// The names that can be pointed at this host, and that it answers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostNames(Vec<HostName>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Every page.
    Any,
    /// As it is sent, without the default port of its scheme.
    One(String),
    /// `https://` and `.example.com:8443`: what has something in between.
    Below { scheme: String, rest: String },
    /// `app://`: what an application of its own, such as one of Electron, shows from its own files.
    Scheme(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostName {
    One(String),
    /// `.example.com`: what ends with it.
    Below(String),
}

// === impl OriginList ===

impl OriginList {
    pub(super) fn new(origins: Vec<Origin>) -> OriginList {
        OriginList(origins)
    }

    /// Whether it has this origin, as a browser says it.
    pub fn has(&self, origin: &str) -> bool {
        self.0.iter().any(|known| known.is(origin))
    }

    /// Whether every page is in it, also one that does not say where it comes from.
    pub fn has_any(&self) -> bool {
        self.0.contains(&Origin::Any)
    }

    /// # Errors
    /// One of them is not an origin.
    pub fn parse(origins: &[&str]) -> Result<OriginList, Problem> {
        origins.iter().map(|origin| Origin::parse(origin)).collect::<Result<_, _>>().map(OriginList)
    }
}

impl Origin {
    pub(super) fn parse(text: &str) -> Result<Origin, Problem> {
        let invalid =
            |hint: String| Problem::new(format!("{} is not an origin", quoted(text)), hint);
        let example = "write a scheme and a host, as in \"https://app.example.com\"";
        match text {
            "*" => return Ok(Origin::Any),
            "null" => {
                return Err(invalid(
                    "every sandboxed frame and local file calls itself so; serve the page over \
                     http, and list that origin"
                        .to_owned(),
                ));
            }
            _ => {}
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            let guess = Url::parse(&format!("https://{text}")).ok().filter(|_| text.contains('.'));
            return Err(invalid(match guess {
                Some(url) => {
                    format!("did you mean {}?", quoted(&url.origin().ascii_serialization()))
                }
                None => example.to_owned(),
            }));
        };
        let scheme = scheme.to_ascii_lowercase();
        if !is_scheme(&scheme) {
            return Err(invalid(example.to_owned()));
        }
        if !matches!(scheme.as_str(), "http" | "https") {
            return Origin::of_application(scheme, rest)
                .ok_or_else(|| invalid("write \"app://name\", or \"app://\" for all".to_owned()));
        }
        let url = Url::parse(text).map_err(|_| invalid(example.to_owned()))?;
        let sent = url.origin().ascii_serialization();
        if rest.contains(['/', '?', '#', '@', '\\']) {
            return Err(invalid(format!(
                "it has no path and no user; did you mean {}?",
                quoted(&sent)
            )));
        }
        let host = url.host_str().unwrap_or_default();
        match host.strip_prefix("*.") {
            Some(below) if is_name(below) => {
                let rest = sent.split_once('*').map_or("", |(_, rest)| rest).to_owned();
                Ok(Origin::Below { scheme: format!("{scheme}://"), rest })
            }
            None if !host.contains('*') => Ok(Origin::One(sent)),
            _ => Err(invalid(
                "a '*' may stand alone, for every page, or before a name, as in \
                 \"https://*.example.com\""
                    .to_owned(),
            )),
        }
    }

    /// Of a scheme that is not the web's, and about which no standard says much.
    fn of_application(scheme: String, rest: &str) -> Option<Origin> {
        if rest.is_empty() || rest == "*" {
            return Some(Origin::Scheme(format!("{scheme}://")));
        }
        let plain = rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:[]".contains(&b));
        plain.then(|| Origin::One(format!("{scheme}://{}", rest.to_ascii_lowercase())))
    }

    fn is(&self, origin: &str) -> bool {
        match self {
            Origin::Any => true,
            Origin::One(known) => known.eq_ignore_ascii_case(origin),
            Origin::Scheme(scheme) => starts_with(origin, scheme).is_some(),
            Origin::Below { scheme, rest } => {
                let host = starts_with(origin, scheme);
                let below = host
                    .and_then(|host| host.split_at_checked(host.len().checked_sub(rest.len())?));
                below.is_some_and(|(below, end)| end.eq_ignore_ascii_case(rest) && is_labels(below))
            }
        }
    }
}

// === impl HostNames ===

impl HostNames {
    pub(super) fn new(names: Vec<HostName>) -> HostNames {
        HostNames(names)
    }

    /// Whether it has this name, which is without a port.
    pub fn has(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        self.0.iter().any(|known| match known {
            HostName::One(known) => known.eq_ignore_ascii_case(name),
            HostName::Below(rest) => {
                let below = name.split_at_checked(name.len().saturating_sub(rest.len()));
                below.is_some_and(|(below, end)| is_labels(below) && end.eq_ignore_ascii_case(rest))
            }
        })
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// # Errors
    /// One of them is not the name of a host.
    pub fn parse(names: &[&str]) -> Result<HostNames, Problem> {
        names.iter().map(|name| HostName::parse(name)).collect::<Result<_, _>>().map(HostNames)
    }
}

impl HostName {
    pub(super) fn parse(text: &str) -> Result<HostName, Problem> {
        let invalid = |hint: String| {
            Problem::new(format!("{} is not the name of a host", quoted(text)), hint)
        };
        let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
        let bare = bare.split(['/', ':']).next().unwrap_or_default();
        if text.parse::<IpAddr>().is_ok() || bare.parse::<IpAddr>().is_ok() || text.contains('[') {
            return Err(invalid("addresses are answered anyway; remove it".to_owned()));
        }
        let name = bare.to_ascii_lowercase();
        let below = name.strip_prefix("*.");
        if !is_name(below.unwrap_or(&name)) {
            let hint = match name.as_str() {
                "*" => "name each one, or write \"*.example.com\" for all below a name of yours",
                _ => "write a name as it stands in an address, as in \"app.example.com\"",
            };
            return Err(invalid(hint.to_owned()));
        }
        if bare != text {
            return Err(invalid(format!(
                "it has no scheme, port or path; did you mean {}?",
                quoted(&name)
            )));
        }
        Ok(match below {
            Some(below) => HostName::Below(format!(".{below}")),
            None => HostName::One(name),
        })
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// What may stand before the dot of a name. Nothing of an origin but its host has these characters only.
fn is_labels(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// What is left behind `start`, in whatever case.
fn starts_with<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    let (found, rest) = text.split_at_checked(start.len())?;
    found.eq_ignore_ascii_case(start).then_some(rest)
}
