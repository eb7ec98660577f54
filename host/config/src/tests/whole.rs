//! Files that are accepted, and what becomes of them.

use super::*;

#[test]
fn the_reference_application_is_accepted_without_a_warning() {
    let application = Application::new();
    let config = application.config(REFERENCE);
    assert_eq!(warnings(&config), "");
    assert_eq!(config.name, "aspiring-ollama");
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin.to_string(), "127.0.0.1:8081");
    assert_eq!(config.state_dir, application.path(".wasm-host"));
    let build = ["cargo", "xtask", "guests"].map(str::to_owned).to_vec();
    let build_timeout = Duration::from_secs(600);
    assert_eq!(config.watch, WatchConfig { build: Some(build), build_timeout });

    let weather = database(&config, "weather");
    assert!(weather.url.is_none());
    assert_eq!(weather.init, [application.path("components/weather/sql/init.sql")]);
    assert_eq!(weather.pool, limits::postgres::PoolConfig::default());

    let local = models(&config, "local");
    assert_eq!((local.url.expose(), local.url_from), ("http://127.0.0.1:11434", UrlFrom::Default));
    assert_eq!(local.fallback.as_deref(), Some("demo-ollama"));

    let apiservice = &config.services["apiservice"];
    assert_eq!(apiservice.route.as_deref(), Some("/weather"));
    assert_eq!(apiservice.line, 10);
    let component = apiservice.component().unwrap();
    assert_eq!(component.source, ComponentSource::Crate("weather".to_owned()));
    assert_eq!(component.grants.of::<Postgres>(), Some("weather"));
    assert_eq!(component.grants.of::<Ollama>(), None);
    assert_eq!(component.limits.concurrent, ServiceLimits::concurrent().default);
    assert_eq!(component.limits.reuse, None);

    assert_eq!(config.services["demo-ollama"].route, None);
    let react = &config.services["react"];
    assert_eq!(react.route.as_deref(), Some("/"));
    let ServiceKind::Static { dir, limits: bounds } = &react.kind else { panic!("{react:?}") };
    assert_eq!(*dir, application.path("web/dist"));
    assert_eq!(bounds.concurrent, StaticLimits::concurrent().default);
    assert_eq!(bounds.queue, StaticLimits::queue().default);
}

#[test]
#[allow(clippy::needless_update, reason = "settings that are added need not be added here")]
fn every_key_can_be_set() {
    let application = Application::new().with("DB", "postgres://u@h/d");
    let config = application.config(
        r#"
name = "shop-2"
admin.listen = "LOCALHOST:0"
[http]
listen = "[::1]:0"
hosts = ["App.example.com", "*.example.org"]
connections = 2
connections-per-client = 1
keep-alive = "3s"
handshake-timeout = "4s"
header-timeout = "5s"
max-header = "16KiB"
max-headers = 20
body-idle = "6s"
write-idle = "7s"
streams = 8
drain = "0s"
trusted-proxies = ["127.0.0.1", "fd00::/8"]
[state]
dir = "var/state"
[postgres.main]
url = "${DB}"
init = "components/weather/sql/init.sql"
pool = 2
acquire-timeout = "250ms"
connect-timeout = "20s"
statement-timeout = "30s"
[ollama.gpu]
url = "https://gpu.example.com/ollama/"
forward = "GET /api/tags"
connect-timeout = "1s"
first-byte-timeout = "2m"
concurrent = 3
queue = 4
queue-timeout = "5s"
[service.a]
component = "guests/other.wasm"
postgres = "main"
ollama = "gpu"
services = ["b", "a"]
environment = { GREETING = "hi", PRICE = "$$5" }
health = "/health/"
concurrent = 1
queue = 0
queue-timeout = "1ms"
first-byte-timeout = "3m"
timeout = "4m"
stream-idle-timeout = "5m"
cpu-timeout = "6s"
drain = "0s"
max-body = 0
memory = "1MiB"
memory-total = "2MiB"
log-lines = 10
log-lines-per-request = 11
instances = 7
per-instance = 8
reuse = 9
idle = "10s"
warm = 3
[service.b]
component = "weather"
route = "/b/%c3%a4/%7e"
cors = { origins = ["https://app.example.com"], methods = ["DELETE"], headers = [], expose = ["X-Total"], credentials = true, max-age = "0s" }
[watch]
build = ["make", "guests"]
build-timeout = "90s"
[limits]
concurrent = 11
queue = 12
memory = "1GiB"
instances = 13
threads = 3
compute-threads = 5
compile-cpu-timeout = "14s"
compile-memory = "512MiB"
"#,
    );
    assert_eq!(warnings(&config), "");
    let build = Some(vec!["make".to_owned(), "guests".to_owned()]);
    assert_eq!(config.watch, WatchConfig { build, build_timeout: Duration::from_secs(90) });
    assert_eq!(config.http.listen, Listen { host: "::1".to_owned(), port: 0 });
    assert_eq!(config.http.listen.to_string(), "[::1]:0");
    assert_eq!(config.http.hosts, HostNames::parse(&["app.example.com", "*.example.org"]).unwrap());
    let cors = CorsConfig {
        origins: OriginList::parse(&["https://app.example.com"]).unwrap(),
        methods: vec!["DELETE".to_owned()],
        headers: Some(Vec::new()),
        expose: vec!["x-total".to_owned()],
        credentials: true,
        max_age: Duration::ZERO,
    };
    assert_eq!(config.services["b"].cors, Some(cors));
    let expected = HttpLimits {
        connections: 2,
        connections_per_client: 1,
        keep_alive: Duration::from_secs(3),
        handshake_timeout: Duration::from_secs(4),
        header_timeout: Duration::from_secs(5),
        header_bytes: 16 << 10,
        headers: 20,
        body_idle: Duration::from_secs(6),
        write_idle: Duration::from_secs(7),
        streams: 8,
        drain: Duration::ZERO,
        ..HttpLimits::default()
    };
    assert_eq!(config.http.limits, expected);
    let proxies = ["127.0.0.1/32", "fd00::/8"].map(|network| network.parse().unwrap());
    assert_eq!(config.http.trusted_proxies, proxies);
    assert_eq!(config.admin.host, "localhost");
    assert_eq!(config.state_dir, application.path("var/state"));
    let main = database(&config, "main");
    assert_eq!((main.line, main.init.len(), main.pool.connections), (21, 1, 2));
    assert_eq!(main.pool.acquire_timeout, Duration::from_millis(250));
    assert_eq!(main.pool.connect_timeout, Duration::from_secs(20));
    assert_eq!(main.pool.statement_timeout, Duration::from_secs(30));
    let gpu = models(&config, "gpu");
    assert_eq!((gpu.url.expose(), gpu.url_from), ("https://gpu.example.com/ollama", UrlFrom::File));
    assert_eq!(gpu.forward.check("GET", "/api/tags"), Ok(()));
    assert!(gpu.forward.check("GET", "/api/ps").is_err());
    assert_eq!(gpu.limits.connect_timeout, Duration::from_secs(1));
    assert_eq!(
        (gpu.limits.first_byte_timeout, gpu.limits.concurrent),
        (Duration::from_secs(120), 3)
    );
    assert_eq!((gpu.limits.queue, gpu.limits.queue_timeout), (4, Duration::from_secs(5)));
    let a = config.services["a"].component().unwrap();
    assert_eq!(a.source, ComponentSource::File(application.path("guests/other.wasm")));
    assert_eq!(a.grants.services, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    assert_eq!(a.environment["GREETING"].expose(), "hi");
    assert_eq!(a.environment["PRICE"].expose(), "$5");
    assert_eq!(a.health.as_deref(), Some("/health/"));
    let expected = ServiceLimits {
        concurrent: 1,
        queue: 0,
        queue_timeout: Duration::from_millis(1),
        first_byte_timeout: Duration::from_secs(180),
        timeout: Duration::from_secs(240),
        stream_idle_timeout: Duration::from_secs(300),
        cpu_timeout: Duration::from_secs(6),
        drain: Duration::ZERO,
        max_body_bytes: 0,
        memory_bytes: 1 << 20,
        memory_total_bytes: 2 << 20,
        log_lines: 10,
        log_lines_per_request: 11,
        instances: 7,
        per_instance: Some(8),
        reuse: Some(9),
        idle: Duration::from_secs(10),
        warm: 3,
        ..ServiceLimits::default()
    };
    assert_eq!(a.limits, expected);
    let expected = HostLimits {
        concurrent: 11,
        queue: 12,
        memory_bytes: 1 << 30,
        instances: 13,
        threads: 3,
        compute_threads: 5,
        compile_cpu: Duration::from_secs(14),
        compile_memory_bytes: 512 << 20,
        ..HostLimits::default()
    };
    assert_eq!(config.limits, expected);
    assert_eq!(config.services["a"].route.as_deref(), Some("/a"));
    assert_eq!(config.services["b"].route.as_deref(), Some("/b/%C3%A4/~"));
}

#[test]
fn what_is_declared_in_vain_is_a_warning() {
    let config = Application::new().config(
        r#"
name = "shop"
[postgres.x]
[admin]
listen = "0.0.0.0:0"
[service.a]
component = "weather"
concurrent = 2000
environment = { DB_PASSWORD = "hunter2" }
[service.i]
component = "ollama"
internal = true
"#,
    );
    assert_eq!(
        warnings(&config),
        r#"wasm-host.toml:3:1: warning: no service uses [postgres.x]; add postgres = "x" to a service, or remove it
wasm-host.toml:5:10: warning: other machines can reach [admin], and its token goes to it in clear; listen on 127.0.0.1
wasm-host.toml:8:1: warning: 'concurrent' is 2000 but the instances have room for 1024; raise 'instances' or 'per-instance', or lower 'concurrent'
wasm-host.toml:9:31: warning: 'DB_PASSWORD' looks like a secret that stands in the file; take it from the environment with ${NAME} or from a file with ${file:/path}
wasm-host.toml:10:1: warning: service 'i' is internal and nothing calls it; add services = ["i"] to a service, or remove it"#
    );
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn a_build_for_no_crate_is_a_warning() {
    let text = "name = 'a'\n[service.a]\ncomponent = 'guests/other.wasm'\n";
    let config = Application::new().config(text);
    assert_eq!((warnings(&config), config.watch.build), (String::new(), None));
    let config = Application::new().config(&format!("{text}[watch]\nbuild = 'make'\n"));
    assert_eq!(
        warnings(&config),
        "wasm-host.toml:4:2: warning: 'build' is never run: no service has a crate under components/; name one as a 'component', or remove it; .wasm files are watched without it"
    );
}

#[test]
fn a_component_is_served_without_a_file() {
    for (path, name) in [
        ("target/My_Shop.v2.wasm", "my-shop-v2"),
        ("42 answers.wasm", "answers"),
        ("ä.wasm", "app"),
        ("localhost.wasm", "app"),
    ] {
        let config = Config::single(Path::new(path));
        let service = &config.services[name];
        assert_eq!((service.name.as_str(), service.route.as_deref()), (name, Some("/")));
        let component = service.component().unwrap();
        assert_eq!(component.source, ComponentSource::File(PathBuf::from(path)));
        assert_eq!(component.grants, Grants::default());
    }
}
