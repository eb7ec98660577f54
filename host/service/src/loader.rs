//! From a component's file to a version that may be published: compile, check, link, try.
//!
//! Whatever is wrong with a component shows here, before any request meets it.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use http::Request;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use crate::version::Version;
use wasm_host_capabilities::body::full;
use wasm_host_capabilities::context::RequestContext;
use wasm_host_engine::Engine;
use wasm_host_engine::compile::{Code, CodeCache, Compiler, ComponentFile};
use wasm_host_engine::compose::Part;
use wasm_host_engine::link::{imports, link};
use wasm_host_engine::state::Grants;
use wasm_host_engine::worker::{CallError, Policy, RequestState};
use wasm_host_limits as limits;
use wasm_host_limits::service::ServiceLimits;
use wasm_host_telemetry::Telemetry;

/// What every load needs of the host.
#[derive(Clone)]
pub struct Loader {
    pub engine: Arc<Engine>,
    pub cache: Arc<CodeCache>,
    pub compiler: Arc<Compiler>,
    /// The runtimes of the threads that serve. None: nothing will be served.
    pub runtimes: Arc<[Handle]>,
    /// Sees what is loaded while others run.
    pub telemetry: &'static Telemetry,
}

/// On what terms a service runs its components. The same for all its versions.
pub struct Terms {
    pub grants: Arc<Grants>,
    /// The same for requests that are observed, watched where they are used. None: no request is.
    pub observed: Option<Arc<Grants>>,
    pub limits: ServiceLimits,
    /// Asked of a version before it is published.
    pub health: Option<String>,
}

impl Loader {
    /// Load a component for a service, and ask it for its health.
    pub async fn load(&self, file: &ComponentFile, terms: &Terms) -> Result<Version> {
        let code = self.compile(file, 0).await?;
        self.load_compiled(file, code, terms).await
    }

    /// All but its health, for a time when the services that it may call are not there yet.
    pub async fn prepare(&self, file: &ComponentFile, terms: &Terms) -> Result<Version> {
        let code = self.compile(file, 0).await?;
        self.start(file, code, terms).await
    }

    /// The code of a component. Given up when this is dropped.
    pub async fn compile(&self, file: &ComponentFile, niceness: i32) -> Result<Arc<Code>> {
        self.compiler.compile(&self.engine, &self.cache, file, niceness).await
    }

    /// Load a component that is compiled, and ask it for its health.
    pub async fn load_compiled(
        &self,
        file: &ComponentFile,
        code: Arc<Code>,
        terms: &Terms,
    ) -> Result<Version> {
        let version = self.start(file, code, terms).await?;
        make_ready(&version, terms).await?;
        Ok(version)
    }

    async fn start(&self, file: &ComponentFile, code: Arc<Code>, terms: &Terms) -> Result<Version> {
        let ComponentFile { digest, path, parts, .. } = file.clone();
        let mut limits = terms.limits.clone();
        limits.per_instance.get_or_insert_with(|| file.per_instance());
        let linked = link(&self.engine, &code, &terms.grants);
        let pre = linked.map_err(|refusal| refusal.of_parts(&parts)).with_context(|| {
            format!("{} cannot be the service {}", path.display(), terms.grants.service)
        })?;
        let imports = imports(&self.engine, &code);
        let engine = Engine::clone(&self.engine);
        let policy =
            Policy::new(pre, engine, terms.grants.clone(), limits).of_version(digest.clone());
        let policy = if parts.is_empty() { policy } else { policy.of_parts() };
        let tried = policy.smoke().await;
        tried.with_context(|| format!("{} does not start", path.display()))?;
        let observed = terms.observed.as_ref().map(|grants| policy.observed(grants.clone()));
        let parts = parts.iter().map(Part::without_bytes).collect();
        let version = Version::new(digest, path, imports, code, &policy, observed, &self.runtimes);
        Ok(version.of_parts(parts))
    }
}

/// Make its warm instances. Fails if it declares a health path and does not answer well there.
pub async fn make_ready(version: &Version, terms: &Terms) -> Result<()> {
    // Before it is asked, because one that is made for the question would take the place of a warm one.
    version.warm_up().await;
    let Some(path) = &terms.health else { return Ok(()) };
    let asked = probe(version, path).await;
    asked.with_context(|| format!("{} is not healthy", version.path.display()))?;
    // Where an instance serves one request, the question has used one up.
    version.warm_up().await;
    Ok(())
}

/// Ask the version itself, before any other request meets it.
async fn probe(version: &Version, path: &str) -> Result<()> {
    let request = Request::get(format!("http://localhost{path}")).body(full(""))?;
    let state = RequestState::new(RequestContext::of_host("health"));
    let until = Instant::now() + limits::PLACE_WAIT;
    let asked = version.call(&state, request, until, || true, false);
    let answer = timeout(limits::HEALTH_TIMEOUT, asked).await;
    state.abandon();
    let status = answer
        .map_err(|_| anyhow!("GET {path} had no answer within {:?}", limits::HEALTH_TIMEOUT))?
        .map_err(|why| {
            if let CallError::Trapped(error) = &why {
                tracing::debug!("{error:?}");
            }
            anyhow!("GET {path} failed: {why}")
        })?
        .status();
    if !status.is_success() {
        bail!("GET {path} answered {status}");
    }
    Ok(())
}
