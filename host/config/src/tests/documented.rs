//! The page that describes the application file, against the tables that are read.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const PAGE: &str = include_str!("../../../../docs/application-file.md");

/// Tables: the heading of each, how one begins in a file, and the settings that it may have.
const TABLES: [(&str, &str, &[&str]); 17] = [
    ("http", "[http]", &["http"]),
    ("admin", "[admin]", &[]),
    ("state", "[state]", &[]),
    ("postgres.NAME", "[postgres.x]", &["postgres", "databases of the host's own"]),
    ("ollama.NAME", "[ollama.x]", &["ollama"]),
    (
        "keyvalue.NAME",
        "[keyvalue.x]",
        &["buckets", "buckets of the host's own", "buckets on Redis"],
    ),
    ("sqlite.NAME", "[sqlite.x]", &["sqlite"]),
    ("registry.HOST", "[registry.x]", &["registry"]),
    ("trust", "[trust]", &[]),
    ("limits", "[limits]", &["limits"]),
    ("telemetry", "[telemetry]", &["telemetry"]),
    ("record", "[record]", &[]),
    ("replicas", "[replicas]", &["replicas"]),
    ("watch", "[watch]", &["watch"]),
    ("service.NAME", "[service.x]", &["components"]),
    ("deploy", "[deploy]", &["deploy"]),
    ("", "", &[]),
];

/// Tables below those of services, whose other keys are in the rows of the services' own.
const INNER: [(&str, &str); 2] = [
    ("outbound", "[service.x]\ncomponent = \"guests/other.wasm\"\n[service.x.outbound]"),
    ("cors", "[service.x]\ncomponent = \"guests/other.wasm\"\n[service.x.cors]"),
];

/// A part of another one.
const STATIC: &str = "static files";

/// The keys that rows of tables describe: by the heading above them, or as settings by their name.
fn described() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut described: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
    let (mut heading, mut settings) = (String::new(), None);
    for line in PAGE.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title.trim_matches(['`', '[', ']']).to_owned();
        } else if let Some(begin) = line.strip_prefix("<!-- settings of ") {
            settings = begin.split_once(", written").map(|(name, _)| settings_of(name));
        } else if line.starts_with("<!-- end of settings") {
            settings = None;
        } else if let Some((keys, _)) =
            line.strip_prefix("| `").and_then(|row| row.split_once(" |"))
        {
            let keys = keys.split(", ").map(|key| key.trim_matches('`'));
            let place = settings.clone().unwrap_or_else(|| heading.clone());
            described.entry(place).or_default().extend(keys);
        }
    }
    described
}

fn settings_of(name: &str) -> String {
    format!("settings of {name}")
}

/// The keys that a table may have, as they are told where it has another one.
fn known(table: &str) -> BTreeSet<String> {
    let text = match table {
        "" => "frobnicate = 1\nname = \"x\"\n".to_owned(),
        table => format!("name = \"x\"\n{table}\nfrobnicate = 1\n"),
    };
    let told = Application::new().rejected(&text);
    let line = told.lines().find(|line| line.contains("unknown key 'frobnicate'"));
    let keys = line.and_then(|line| line.split_once(" may have: "));
    let (_, keys) = keys.unwrap_or_else(|| panic!("{table}: {told}"));
    keys.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_page_describes_every_key_that_a_table_may_have_and_no_other() {
    let described = described();
    for (heading, table, settings) in TABLES {
        let settings = settings.iter().map(|name| settings_of(name));
        let places = [heading.to_owned()].into_iter().chain(settings);
        let rows = places.filter_map(|place| described.get(&place)).flatten();
        let mut rows: BTreeSet<String> = rows.map(|key| (*key).to_owned()).collect();
        if heading.is_empty() {
            // The keys of all other tables are its own.
            let headings = TABLES.iter().filter_map(|(heading, ..)| heading.split('.').next());
            rows.extend(headings.filter(|heading| !heading.is_empty()).map(str::to_owned));
        }
        assert_eq!(known(table), rows, "[{heading}]");
    }
    for (name, table) in INNER {
        let rows = &described[&settings_of(name)];
        for key in known(table).iter().filter(|key| !rows.contains(key.as_str())) {
            let is_told = [format!("{key} = "), format!("`{key}`")];
            assert!(is_told.iter().any(|told| PAGE.contains(told)), "{name}: {key}");
        }
    }
}

#[test]
fn every_table_of_settings_is_that_of_a_table_of_the_file() {
    let of_tables = TABLES.iter().flat_map(|(_, _, settings)| settings.iter().copied());
    let inner = INNER.map(|(name, _)| name);
    let all: BTreeSet<_> = of_tables.chain(inner).chain([STATIC]).collect();
    assert_eq!(all, BTreeSet::from(limits::tables().map(|(name, _)| name)));
}
