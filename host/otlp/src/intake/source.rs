//! What sends: the service that it is, as far as it is believed.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use parking_lot::Mutex;

use super::attributes::{name, string};
use super::{By, Rules};
use wasm_host_limits::intake as limits;

/// What all pages are: whatever else they say, they are no service of the application.
pub const BROWSER: &str = "browser";

/// As OpenTelemetry has it for what does not say its name.
const UNKNOWN: &str = "unknown_service";

/// The same, of which there is one.
static PAGES: LazyLock<Arc<str>> = LazyLock::new(|| BROWSER.into());

/// The names of services of which something was taken so far. That of pages is none of them: it always has its place.
#[derive(Debug, Default)]
pub struct Services(Mutex<HashSet<Arc<str>>>);

#[derive(Clone, Debug)]
pub(super) struct TelemetrySource {
    /// As it calls itself. None: it is a page.
    name: Option<String>,
    /// Of the service.
    pub(super) version: Option<String>,
    pub(super) scope: Cow<'static, str>,
    /// It is this host, whose telemetry comes back from a collector.
    pub(super) is_own: bool,
}

impl Services {
    /// None: it is one more than are told apart.
    fn named(&self, name: &str) -> Option<Arc<str>> {
        let mut all = self.0.lock();
        if let Some(known) = all.get(name) {
            return Some(known.clone());
        }
        if all.len() >= limits::INTAKE_SERVICES {
            return None;
        }
        let new: Arc<str> = name.into();
        all.insert(new.clone());
        Some(new)
    }
}

impl TelemetrySource {
    /// Of what a resource says, the rest is not kept: it may have a command line with a password in it.
    pub(super) fn of(resource: &Resource, rules: &Rules) -> Self {
        let of = |key: &str| string(&resource.attributes, key);
        let called = (rules.by == By::Key).then(|| {
            let own = of("service.name").map(name).filter(|name| !name.is_empty());
            own.unwrap_or_else(|| UNKNOWN.to_owned())
        });
        let version = of("service.version").map(name).filter(|_| rules.by == By::Key);
        let instance = of("service.instance.id");
        let is_own = instance.is_some() && instance == rules.own_instance.as_deref();
        Self { name: called, version, scope: BROWSER.into(), is_own }
    }

    /// The same by one of its libraries.
    pub(super) fn with(&self, scope: &InstrumentationScope, rules: &Rules) -> Self {
        match rules.by {
            By::Page => self.clone(),
            By::Key => Self { scope: name(&scope.name).into(), ..self.clone() },
        }
    }

    /// The service that it is. To be asked once something of it is taken, as it is told apart from then on.
    pub(super) fn service(&self, rules: &Rules) -> Result<Arc<str>, &'static str> {
        match &self.name {
            None => Ok(PAGES.clone()),
            Some(name) => rules.services.named(name).ok_or("there are too many names of services"),
        }
    }
}
