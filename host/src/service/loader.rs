//! From a component's file to a version that may be published: compile, check, link, try.
//!
//! Whatever is wrong with a component shows here, before any request meets it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use http::Request;
use tokio::time::timeout;

use crate::capability::context::RequestContext;
use crate::engine::Engine;
use crate::engine::compile::{CodeCache, compile};
use crate::engine::link::link;
use crate::engine::state::Grants;
use crate::engine::worker::{InstanceLimits, Policy, Slot};
use crate::failure::respond::full;
use crate::limits;
use crate::service::version::Version;

/// What every load needs of the host.
#[derive(Clone)]
pub struct Loader {
    pub engine: Arc<Engine>,
    pub cache: Arc<CodeCache>,
}

impl Loader {
    /// Load the component in `path` for a service with these grants.
    pub async fn load(
        &self,
        path: &Path,
        grants: Arc<Grants>,
        limits: InstanceLimits,
        health: Option<&str>,
    ) -> Result<Version> {
        let compiled = compile(self.engine.clone(), self.cache.clone(), path).await?;
        let pre = link(&self.engine, &compiled.component, &grants).with_context(|| {
            format!("{} cannot be the service {}", path.display(), grants.service)
        })?;
        let policy = Policy::new(pre, self.engine.wasmtime().clone(), grants, limits);
        timeout(limits::SMOKE_TIMEOUT, policy.smoke())
            .await
            .map_err(|_| anyhow!("it did not start within {:?}", limits::SMOKE_TIMEOUT))
            .and_then(|tried| tried.map_err(anyhow::Error::from))
            .with_context(|| format!("{} does not start", path.display()))?;
        let version = Version::new(compiled.digest, compiled.path, policy);
        if let Some(path) = health {
            probe(&version, path)
                .await
                .with_context(|| format!("{} is not healthy", version.path.display()))?;
        }
        Ok(version)
    }
}

/// Ask the version itself, before anybody else meets it.
async fn probe(version: &Version, path: &str) -> Result<()> {
    let request = Request::get(format!("http://localhost{path}")).body(full(""))?;
    let slot = Slot::new(RequestContext::new("health".to_string(), 0));
    let answer =
        timeout(limits::HEALTH_TIMEOUT, version.handler.handle(slot.clone(), request)).await;
    slot.abandon();
    let status = answer
        .map_err(|_| anyhow!("GET {path} had no answer within {:?}", limits::HEALTH_TIMEOUT))?
        .map_err(|error| anyhow!("GET {path} failed: {error:#}"))?
        .status();
    if !status.is_success() {
        bail!("GET {path} answered {status}");
    }
    Ok(())
}
