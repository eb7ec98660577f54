//! `wasm-host serve`: the composition root, the only file that knows all parts.
//!
//! Start: check everything, start backends, load components, bind, tell. Stop: not ready, no new
//! connections, finish what runs, drain versions, stop backends, exit 0.

mod collecting;
mod running;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result};
use tokio::time::timeout;

use self::collecting::{Collected, Collecting, collect};
use self::running::{serve_control, serve_probes, serve_public};
use crate::application::{self, Application};
use crate::backends::{Backends, Embedded};
use crate::build;
use crate::cli::{self, Format};
use crate::colour::told;
use crate::components::Components;
use crate::exit::Exit;
use crate::gauges::Figures;
use crate::recordings::{self, Recordings};
use crate::replicas;
use crate::routes::{self, Routes};
use crate::seen::TelemetryReader;
use crate::shutdown::{SignalAction, Signals};
use crate::status::{Conditions, KeptNames, table};
use crate::watch::Watch;
use wasm_host_config::{Config, TlsConfig};
use wasm_host_engine::Engine;
use wasm_host_engine::compile::CodeCache;
use wasm_host_http::App;
use wasm_host_http::admin::{self, Admin, Sessions, Status as _};
use wasm_host_http::control::{ControlFile, Token};
use wasm_host_http::forwarded::Proxies;
use wasm_host_http::listener::Listener;
use wasm_host_http::origin::Names;
use wasm_host_limits as limits;
use wasm_host_log as log;
use wasm_host_otlp::{Counts, Otlp};
use wasm_host_record::Recorder;
use wasm_host_replicas::replica::Replica;
use wasm_host_service::loader::Loader;
use wasm_host_service::registry::{Registry, RegistryHandle};
use wasm_host_service::store::Store;
use wasm_host_service::swap::Swaps;
use wasm_host_service::traffic::Traffic;
use wasm_host_settings::diagnostic::Diagnostic;
use wasm_host_settings::value::Listen;
use wasm_host_system::computing;
use wasm_host_system::counted::counted;
use wasm_host_system::descriptors;
use wasm_host_system::lock::{self, Lock};
use wasm_host_system::output;
use wasm_host_system::threads::{self, Threads};
use wasm_host_telemetry::Telemetry;

/// Run an application until a signal stops it.
pub async fn serve(args: cli::Serve) -> Result<(), Exit> {
    let mut signals = Signals::listen()?;
    let mut collecting = None;
    // A start can take minutes: a database to fetch, scripts to run. It is given up at once.
    let started = tokio::select! {
        started = start(&args, &mut collecting) => started,
        signal = signals.while_starting() => {
            tracing::info!("{signal} while starting");
            collecting::stop(collecting).await;
            return Ok(());
        }
    };
    let started = match started {
        Ok(started) => started,
        Err(exit) => {
            // Where it is started again and again, the reason stands where all else does.
            if let (Some(collecting), Some(why)) = (&collecting, exit.why()) {
                collecting.say(&why);
            }
            collecting::stop(collecting).await;
            return Err(exit);
        }
    };
    let Started { host, admin, login, public, control, probes, control_file, .. } = started;
    let Started { watch, embedded, threads, lock, .. } = started;
    let public = serve_public(&host, public, threads.clone());
    let control = serve_control(admin.clone(), control, &public.connections);
    let probes = probes.map(|probes| serve_probes(admin.clone(), probes, &public.connections));
    announce(&host, &login, args.output.format);
    let watching = watch.map(|watch| watch.start(host.registry.clone(), host.swaps.clone()));
    // Looks at every backend once, so that the log says from the start what stands in for what.
    tokio::spawn({
        let host = host.clone();
        async move { host.backends.unavailable().await }
    });

    let signal = stop(&mut signals, host.config.http.tls.as_ref()).await;
    signals.exit_on_next({
        let host = host.clone();
        let interrupt = embedded.as_ref().map(Embedded::interrupt);
        move || {
            host.tell_what_is_cut();
            if let Some(interrupt) = interrupt {
                interrupt();
            }
        }
    });
    let drain = host.config.http.limits.drain;
    tracing::info!("{signal}: finishing what runs, for at most {drain:?}");
    host.stopping.store(true, Ordering::Release);
    host.swaps.stop();
    // The others do not wait for it from now on.
    let leaving =
        host.replica.clone().map(|replica| tokio::spawn(async move { replica.stop().await }));
    let watching = async {
        if let Some(watching) = watching {
            watching.stop().await;
        }
    };
    // The control plane says to the end that the host is on its way down.
    let (finished, ()) = tokio::join!(public.finish(drain), watching);
    match finished {
        true => tracing::info!("every accepted request was finished"),
        false => {
            tracing::warn!("cutting what still runs after {drain:?}");
            host.tell_what_is_cut();
            host.files.values().for_each(|files| files.close());
            // Before their connections, on which their clients are told.
            let told = async { tokio::join!(host.registry.cut(), public.connections.closed()) };
            let _ = timeout(limits::http::CUT_CONNECTIONS, told).await;
            public.cut().await;
        }
    }
    if let Some(ends) = public.connections.ends().summary() {
        tracing::info!("clients that were cut off: {ends}");
    }
    admin.stop();
    for asked in [Some(control), probes].into_iter().flatten() {
        if !asked.finish(limits::http::ADMIN_STOP).await {
            asked.cut().await;
        }
    }
    drop(control_file);
    if let Some(leaving) = leaving {
        let _ = timeout(limits::replicas::LEAVE, leaving).await;
    }
    let cut = host.registry.drain(limits::INSTANCE_DRAIN).await;
    if cut > 0 {
        let requests = counted(cut, "request");
        tracing::warn!("cut {requests} that still ran {:?} later", limits::INSTANCE_DRAIN);
    }
    host.recorder.close().await;
    match host.registry.live_instances() {
        0 => tracing::info!("all instances have ended"),
        left => tracing::warn!("{} did not end", counted(left, "instance")),
    }
    host.backends.close().await;
    // First what runs elsewhere and belongs to these threads.
    computing::stop();
    threads.stop();
    if let Some(embedded) = embedded {
        embedded.stop().await;
    }
    // The last of all: what was said until now is kept, and then sent.
    collecting::stop(collecting).await;
    drop(lock);
    Ok(())
}

/// Wait for a signal to stop; returns its name. Until then what has changed is read again when a signal says so.
async fn stop(signals: &mut Signals, tls: Option<&TlsConfig>) -> &'static str {
    loop {
        match (signals.next(tls.is_some()).await, tls) {
            (SignalAction::Stop(name), _) => return name,
            // A disk that hangs does not keep the host from being stopped.
            (SignalAction::Renew, Some(tls)) => tokio::select! {
                () = renew(tls.clone()) => {}
                name = signals.stopped() => return name,
            },
            (SignalAction::Renew, None) => {}
        }
    }
}

async fn renew(tls: TlsConfig) {
    match tokio::task::spawn_blocking(move || tls.renew()).await {
        Ok(Ok(())) => tracing::info!(
            "SIGHUP: certificate and key of [http] were read anew; connections from now on have them"
        ),
        Ok(Err(why)) => tracing::warn!("SIGHUP: the certificate stays the one of before: {why}"),
        Err(error) => tracing::warn!("SIGHUP: the certificate stays the one of before: {error}"),
    }
}

/// A host whose parts are all there and whose addresses are bound.
struct Started {
    host: Arc<Host>,
    admin: Arc<Admin>,
    /// The link that signs a browser in to the dashboard.
    login: String,
    public: Listener,
    control: Listener,
    /// None: orchestrators ask the control plane.
    probes: Option<Listener>,
    /// Tells commands where the control plane is. Removed when it is dropped.
    control_file: ControlFile,
    watch: Option<Watch>,
    embedded: Option<Embedded>,
    threads: Arc<Threads>,
    /// On the state folder.
    lock: Lock,
}

fn warn(warnings: &[Diagnostic]) {
    for warning in warnings {
        match log::is_json() {
            true => {
                eprint!("{}", log::object("warn", &warning.to_string(), serde_json::Value::Null))
            }
            false => eprintln!("{}", told(&warning.to_string())),
        }
    }
}

/// `collecting`: what is stopped last, also where the start does not come to its end.
async fn start(args: &cli::Serve, collecting: &mut Option<Collecting>) -> Result<Started, Exit> {
    let mut config = read(args)?;
    warn(&config.warnings);
    config.http.limits.connections = descriptors::raise(config.http.limits.connections);
    let config = Arc::new(config);
    if args.watch {
        build::missing(&config).await?;
    }
    // Two of them would take each other's control plane, versions and history.
    let lock = lock::hold(&config.state_dir)?;
    // Before telemetry opens the first file with SQLite.
    wasm_host_capabilities::sqlite::count_memory().map_err(anyhow::Error::msg)?;
    let figures = Figures::default();
    let Collected { telemetry, collecting: begun, intake } = collect(&config, &figures)?;
    let Collecting { pipeline, otlp, .. } = &*collecting.insert(begun);
    let handle = RegistryHandle::default();
    let recorder = recordings::recorder(args, &config)?;
    let (backends, embedded) = Backends::start(&config, &handle, args.wait).await?;
    computing::most_threads(config.limits.compute_threads);
    // Before components are loaded: each thread makes the instances that are to be warm.
    let threads = Threads::start(threads::count(config.limits.threads));
    let threads = Arc::new(threads.context("the threads that serve do not start")?);
    let loader = Loader {
        engine: Arc::new(Engine::new(config.limits.instances)?),
        cache: Arc::new(CodeCache::new(&config.state_dir)),
        compiler: application::compiler(&config)?,
        runtimes: threads.runtimes(),
        telemetry,
    };
    let store = Store::new(&config.state_dir)
        .with_context(|| format!("cannot use the state folder {}", config.state_dir.display()))?;
    let store = Arc::new(store);
    // The first look comes before components are read, so that no change falls in between.
    let recorded = args.record.as_deref();
    let watch = if args.watch { Some(Watch::new(&config, recorded).await) } else { None };
    let components = Components::new(&config, args.locked);
    let (kept, observer) = (Some(&store), Some(&recorder));
    let load = application::load(&config, &backends, &handle, &loader, &components, kept, observer);
    let loaded = load.await?;
    warn(&loaded.crowded(&config));
    let Application { registry, slots } = loaded;
    let swaps = Swaps::new(slots, loader, store);
    let replica = replicas::join(&config, &swaps, components.registries())?;
    let bind = async |listen: &Listen, write_idle| {
        Listener::bind(&listen.host, listen.port, write_idle).await
    };
    let public = bind(&config.http.listen, config.http.limits.write_idle).await?;
    let control = bind(&config.admin, limits::http::ADMIN_WRITE_IDLE).await?;
    let probes = match &config.probes {
        Some(probes) => Some(bind(probes, limits::http::ADMIN_WRITE_IDLE).await?),
        None => None,
    };
    let scheme = if config.http.tls.is_some() { "https" } else { "http" };

    let Routes { router, files } = Routes::of(&config, &registry, &intake)?;
    let host = Arc::new(Host {
        address: format!("{scheme}://{}/", public.address()),
        control_address: format!("http://{}/", control.address()),
        probes_address: probes.as_ref().map(|probes| format!("http://{}/", probes.address())),
        app: App::new(
            router,
            Names::new(config.http.hosts.clone(), public.address()),
            config.http.limits.body_idle,
            Proxies::new(config.http.trusted_proxies.clone()),
            telemetry,
            routes::page_route(&config),
        )
        .with_gate(replica.as_ref().map(replicas::gate)),
        config,
        backends,
        registry,
        files,
        recorder,
        swaps,
        replica,
        telemetry,
        sent: otlp.as_ref().map(Otlp::counts),
        seen: TelemetryReader(pipeline.reader()),
        conditions: Conditions::default(),
        kept: KeptNames::default(),
        began: Instant::now(),
        stopping: AtomicBool::new(false),
    });
    figures.are_of(&host);
    let token = Token::new()?;
    let control_file = ControlFile::write(&host.config.state_dir, control.address(), &token)?;
    let login = format!("{}login?t={}", host.control_address, token.expose());
    let sessions = Sessions::open(&host.config.state_dir)?;
    let recordings = Arc::new(Recordings::new(&host));
    let seen = admin::telemetry::TelemetrySources { reader: pipeline.reader(), recordings };
    let swaps = host.swaps.clone();
    let registries = components.registries();
    let admin = Admin::new(host.clone(), swaps, registries, token, sessions, seen, intake);
    let admin = Arc::new(admin);
    Ok(Started {
        host,
        admin,
        login,
        public,
        control,
        probes,
        control_file,
        watch,
        embedded,
        threads,
        lock,
    })
}

/// A running application.
pub(crate) struct Host {
    pub(crate) config: Arc<Config>,
    pub(crate) swaps: Arc<Swaps>,
    /// None: there is one host.
    pub(crate) replica: Option<Arc<Replica>>,
    pub(crate) backends: Backends,
    pub(crate) registry: Arc<Registry>,
    /// The requests of each static service.
    pub(crate) files: BTreeMap<String, Arc<Traffic>>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) app: App,
    pub(crate) telemetry: &'static Telemetry,
    /// What went to a collector elsewhere.
    pub(crate) sent: Option<Counts>,
    pub(crate) seen: TelemetryReader,
    pub(crate) conditions: Conditions,
    pub(crate) kept: KeptNames,
    /// By no clock that is set.
    pub(crate) began: Instant,
    /// The public address.
    pub(crate) address: String,
    pub(crate) control_address: String,
    pub(crate) probes_address: Option<String>,
    pub(crate) stopping: AtomicBool,
}

/// The application file with what the command line says instead.
fn read(args: &cli::Serve) -> Result<Config, Exit> {
    let mut config = application::read_within(&args.application, args.folder.as_deref())?;
    if let Some(listen) = args.listen {
        config.http.listen = listen_on(listen);
    }
    if let Some(admin) = args.admin {
        config.admin = listen_on(admin);
    }
    if let Some(state) = &args.state {
        config.state_dir.clone_from(state);
    }
    Ok(config)
}

fn listen_on(address: SocketAddr) -> Listen {
    Listen { host: address.ip().to_string(), port: address.port() }
}

/// Say that everything is up, and what there is.
fn announce(host: &Host, login: &str, format: Format) {
    let services = host.services();
    let mut places = Vec::new();
    // What is no terminal may be kept by others, and the link signs in whoever has it.
    places.push(match std::io::stderr().is_terminal() && !log::is_json() {
        true => format!("Dashboard on {login}"),
        false => {
            "Dashboard: `wasm-host dashboard` prints the link that signs a browser in".to_owned()
        }
    });
    places.push(format!("Control plane on {}", host.control_address));
    places.extend(host.probes_address.iter().map(|probes| format!("Probes on {probes}")));
    places.push(format!("Serving HTTP on {}", host.address));
    // One write, so that a program that waits for the first line never finds half a table.
    let mut text = String::new();
    for place in places {
        match log::is_json() {
            true => text.push_str(&log::object("info", &place, serde_json::Value::Null)),
            false => text.push_str(&format!("{place}\n")),
        }
    }
    match format {
        Format::Table if log::is_json() => {
            let services = serde_json::json!({ "services": services });
            text.push_str(&log::object("info", "the services of the application", services));
        }
        Format::Table => text.push_str(&table(&services)),
        Format::Json => {
            let json = serde_json::to_string_pretty(&services).unwrap_or_default();
            output::show(&format!("{json}\n"));
        }
    }
    // A terminal that has gone meanwhile is no reason to fail.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

impl Host {
    fn tell_what_is_cut(&self) {
        for service in self.services() {
            let requests = service.in_flight + service.queued;
            if requests > 0 {
                tracing::warn!("cutting {} of {}", counted(requests, "request"), service.service);
            }
        }
    }
}
