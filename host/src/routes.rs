//! The routes of an application, and what answers under each.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, anyhow};

use wasm_host_capabilities::ollama::Ollama;
use wasm_host_config::{Config, ServiceKind};
use wasm_host_http::cors::Pages;
use wasm_host_http::files::{Files, KeptFiles};
use wasm_host_http::intake::Intake;
use wasm_host_http::route::Router;
use wasm_host_http::{RouteTarget, Served};
use wasm_host_service::admission::{Admission, Gate};
use wasm_host_service::registry::Registry;
use wasm_host_service::traffic::Traffic;

pub(crate) struct Routes {
    pub(crate) router: Router<Served>,
    /// The requests of each static service.
    pub(crate) files: BTreeMap<String, Arc<Traffic>>,
}

impl Routes {
    /// # Errors
    /// A folder cannot be read.
    pub(crate) fn of(config: &Config, registry: &Registry, intake: &Arc<Intake>) -> Result<Self> {
        let (mut router, mut files) = (Router::default(), BTreeMap::new());
        let kept = Arc::<KeptFiles>::default();
        for service in config.services.values() {
            let Some(route) = &service.route else { continue };
            let target = match &service.kind {
                ServiceKind::Component(component) => RouteTarget::Component {
                    service: registry
                        .find(&service.name)
                        .cloned()
                        .ok_or_else(|| anyhow!("the service {} was not loaded", service.name))?,
                    keeps_path: service.keeps_path,
                    max_body: component.limits.max_body_bytes,
                    has_models: component.grants.of::<Ollama>().is_some(),
                },
                ServiceKind::Static { dir, limits } => {
                    // They take no instance, and so no place of the host's.
                    let host = Gate::new(limits.concurrent, 0);
                    let admission =
                        Admission::new(limits.concurrent, limits.queue, limits.queue_timeout, host);
                    let traffic = Traffic::new(admission);
                    let folder = Files::new(&service.name, dir, traffic, kept.clone())
                        .map_err(|error| anyhow!("cannot serve {}: {error}", dir.display()))?;
                    files.insert(service.name.clone(), folder.traffic().clone());
                    RouteTarget::Static(Arc::new(folder))
                }
            };
            let pages = Arc::new(Pages::new(&service.name, service.cors.as_ref()));
            router.add(&service.name, route, Served { target, pages });
        }
        if let Some(route) = page_route(config) {
            let pages = Arc::new(Pages::new("", None));
            router.add_prefix(
                route,
                Served { target: RouteTarget::PageSpans(intake.clone()), pages },
            );
        }
        Ok(Self { router, files })
    }
}

/// Where pages send their spans, if any are taken.
pub(crate) fn page_route(config: &Config) -> Option<&str> {
    config.telemetry.page_route.as_deref().filter(|_| config.telemetry.is_enabled)
}
