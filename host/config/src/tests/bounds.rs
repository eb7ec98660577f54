//! What `check --limits` shows.

use std::collections::BTreeSet;

use super::*;

fn bound<'c>(config: &'c Config, table: &str, key: &str) -> &'c Bound {
    let found = config.bounds.iter().find(|bound| bound.table == table && bound.key == key);
    found.unwrap_or_else(|| panic!("[{table}] {key} in {:#?}", config.bounds))
}

#[test]
fn every_bound_is_told_with_what_is_in_effect() {
    let config = Application::new().config(
        "name = \"shop\"\n[service.a]\ncomponent = \"guests/other.wasm\"\nmemory = \"64MiB\"\n\
         [service.b]\nstatic = \"web/dist\"\n[limits]\nqueue = 7\n",
    );
    let expected = Bound {
        table: "service.a".to_owned(),
        key: "memory".to_owned(),
        value: "64MiB".to_owned(),
        default: "256MiB".to_owned(),
        minimum: "1MiB".to_owned(),
        maximum: "4GiB".to_owned(),
        line: Some(4),
    };
    assert_eq!(*bound(&config, "service.a", "memory"), expected);
    assert_eq!(bound(&config, "limits", "queue").value, "7");
    let idle = bound(&config, "service.a", "idle");
    assert_eq!((idle.value.as_str(), idle.line), ("1s", None));
    // What depends on the component is shown as such.
    let shared = bound(&config, "service.a", "per-instance");
    assert_eq!((&*shared.value, &*shared.default), ("16 in Rust, else 1", "16 in Rust, else 1"));
    // Also where the file has no such table.
    assert_eq!(bound(&config, "watch", "build-timeout").value, "10m");
    let of_files = config.bounds.iter().filter(|bound| bound.table == "service.b");
    let of_files: Vec<_> = of_files.map(|bound| (&*bound.key, &*bound.value)).collect();
    assert_eq!(of_files, [("concurrent", "512"), ("queue", "512"), ("queue-timeout", "10s")]);
}

#[test]
fn the_size_of_a_database_is_bounded_where_its_server_is_the_host_s() {
    let text = |keys: &str| {
        format!(
            "name = \"shop\"\n[postgres.main]\n{keys}[service.a]\ncomponent = \"guests/other.wasm\"\n\
             postgres = \"main\"\n"
        )
    };
    let application = Application::new();
    let config = application.config(&text(""));
    assert_eq!(database(&config, "main").size_bytes, Some(10 << 30));
    let config = application.config(&text("size = \"2GiB\"\n"));
    assert_eq!(database(&config, "main").size_bytes, Some(2 << 30));
    let size = bound(&config, "postgres.main", "size");
    assert_eq!((&*size.value, &*size.default, size.line), ("2GiB", "10GiB", Some(3)));
    assert_eq!((&*size.minimum, &*size.maximum), ("32MiB", "16384GiB"));
    for (size, told) in [
        ("\"31MiB\"", "'size' is too small; the minimum is 32MiB"),
        ("\"20000GiB\"", "'size' is too large; the maximum is 16384GiB"),
        ("\"2GB\"", "'2GB' is not a size; did you mean '2GiB'?"),
    ] {
        let rejected = application.rejected(&text(&format!("size = {size}\n")));
        assert!(rejected.starts_with("wasm-host.toml:3:8: error: "), "{rejected}");
        assert!(rejected.ends_with(told), "{rejected}");
    }
    let url = "url = \"postgres://u@h/d\"\n";
    assert_eq!(
        application.rejected(&text(&format!("{url}size = \"2GiB\"\n"))),
        "wasm-host.toml:4:1: error: 'size' means nothing for a database with a url, whose server is not the host's; \
         remove it, or remove the url to have a database of the host's own"
    );
    let config = application.config(&text(url));
    assert_eq!(database(&config, "main").size_bytes, None);
    assert!(
        !config.bounds.iter().any(|bound| bound.table == "postgres.main" && bound.key == "size")
    );
}

#[test]
fn files_have_bounds_of_their_own() {
    let text = "name = \"x\"\n[service.web]\nstatic = \"web/dist\"\nconcurrent = 5\nqueue = 0\n";
    let config = Application::new().config(text);
    let ServiceKind::Static { limits, .. } = &config.services["web"].kind else { panic!() };
    assert_eq!((limits.concurrent, limits.queue), (5, 0));
    assert_eq!(bound(&config, "service.web", "concurrent").value, "5");
    assert_eq!(bound(&config, "service.web", "queue-timeout").value, "10s");
}

#[test]
fn a_component_without_a_file_has_the_same_bounds() {
    let config = Config::single(Path::new("greeter.wasm"));
    assert_eq!(bound(&config, "service.greeter", "concurrent").value, "256");
    assert_eq!(bound(&config, "limits", "instances").value, "1000");
}

/// The constants that the files of limits have, as the text of the files says.
fn written() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../limits/src");
    let mut files = vec![];
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap();
        let module = if module == "lib" { String::new() } else { format!("{module}::") };
        files.push((module, path));
    }
    let mut written = BTreeSet::new();
    for (module, path) in files {
        for line in fs::read_to_string(path).unwrap().lines() {
            // In whatever place it stands, and whatever code may see it; units are private.
            if let Some((_, constant)) = line.split_once("pub const ")
                && let Some((name, _)) = constant.split_once(':')
                && name.starts_with(|first: char| first.is_ascii_uppercase())
            {
                written.insert(format!("{module}{name}"));
            }
        }
    }
    written
}

fn listed() -> BTreeSet<String> {
    let all = limits::all().map(|bound| match bound.module {
        "" => bound.name.to_owned(),
        module => format!("{module}::{}", bound.name),
    });
    all.collect()
}

#[test]
fn every_constant_of_the_files_of_limits_is_listed() {
    let (written, listed) = (written(), listed());
    assert!(written.len() > 200, "{written:?}");
    let missing: Vec<_> = written.symmetric_difference(&listed).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

#[test]
fn every_fixed_bound_is_shown_with_what_it_is() {
    let all = FixedBound::all();
    let shown: BTreeSet<_> = all.iter().map(|bound| bound.name.clone()).collect();
    assert_eq!(shown, listed());
    for bound in &all {
        assert!(!bound.what.is_empty(), "{bound:?}");
    }
    let find = |name: &str| {
        let found = all.iter().find(|bound| bound.name == name).unwrap();
        (found.value.as_str(), found.what.as_str())
    };
    assert_eq!(find("HOP_LIMIT"), ("8", "Calls from service to service in one chain"));
    assert_eq!(find("ollama::LINE_BYTES"), ("8MiB", "Bytes of one line of a streamed answer"));
    assert_eq!(find("computing::LONG_TURN").0, "250us");
    assert_eq!(find("TRIAL_MARGIN").0, "0.05");
    // The second one of a pair.
    assert_eq!(find("ADMIN_BODY_TIMEOUT").1, find("ADMIN_BODY_PAUSE").1);
    assert_eq!(find("http::LINGER").0, "2s");
}

/// A setting is shown when the application file is read. One that no table reads would be shown nowhere.
#[test]
fn every_setting_is_read_from_its_table() {
    let tables = BTreeMap::from(limits::tables());
    let mut unread: BTreeSet<_> = tables.keys().copied().collect();
    let mut expected = Vec::new();
    let mut at_most = |table: &str, documented: &str| {
        let mut text = String::new();
        unread.remove(documented);
        for row in &tables[documented] {
            let is_number = row.maximum.bytes().all(|byte| byte.is_ascii_digit());
            let quote = if is_number { "" } else { "\"" };
            text += &format!("{} = {quote}{}{quote}\n", row.key, row.maximum);
            expected.push((table.to_owned(), row.key.to_owned(), row.maximum.clone()));
        }
        text
    };
    let text = format!(
        "name = \"shop\"\n[http]\n{}[postgres.p]\n{}{}[ollama.o]\n{}[keyvalue.own]\n{}{}\
         [keyvalue.redis]\nurl = \"redis://store\"\n{}{}[sqlite.s]\n{}[service.a]\n{}\
         component = \"guests/other.wasm\"\n[service.a.cors]\norigins = \"*\"\n{}\
         [service.a.outbound]\nallow = \"https://example.com\"\n{}\
         [service.f]\nstatic = \"web/dist\"\n{}[registry.localhost]\n{}[watch]\n{}\
         [limits]\n{}[telemetry]\n{}[replicas]\nurl = \"postgres://app@db/x\"\n{}[deploy]\n{}",
        at_most("http", "http"),
        at_most("postgres.p", "databases of the host's own"),
        at_most("postgres.p", "postgres"),
        at_most("ollama.o", "ollama"),
        at_most("keyvalue.own", "buckets"),
        at_most("keyvalue.own", "buckets of the host's own"),
        at_most("keyvalue.redis", "buckets"),
        at_most("keyvalue.redis", "buckets on Redis"),
        at_most("sqlite.s", "sqlite"),
        at_most("service.a", "components"),
        at_most("service.a.cors", "cors"),
        at_most("service.a.outbound", "outbound"),
        at_most("service.f", "static files"),
        at_most("registry.localhost", "registry"),
        at_most("watch", "watch"),
        at_most("limits", "limits"),
        at_most("telemetry", "telemetry"),
        at_most("replicas", "replicas"),
        at_most("deploy", "deploy"),
    );
    assert_eq!(unread, BTreeSet::new());
    let config = Application::new().config(&text);
    let read = config.bounds.into_iter().map(|bound| (bound.table, bound.key, bound.value));
    let read: BTreeSet<_> = read.collect();
    assert_eq!(read, BTreeSet::from_iter(expected));
}

/// A list in place of a table has the bounds of the table, apart from the service's own.
#[test]
fn the_short_form_of_outbound_has_its_own_bounds() {
    let config = Application::new().config(
        "name = \"x\"\n[service.a]\ncomponent = \"guests/other.wasm\"\n\
         outbound = \"https://example.com\"\nconcurrent = 7\n",
    );
    assert_eq!(bound(&config, "service.a", "concurrent").value, "7");
    assert_eq!(bound(&config, "service.a.outbound", "concurrent").value, "64");
}
