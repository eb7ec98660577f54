//! Spin's manifest, as far as it means something here.
//!
//! Lenient: Spin itself has judged the file, so that what is not known here is kept by its name and told.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `spin.toml` of version 2.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    pub(super) application: Application,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, Variable>,
    #[serde(default)]
    pub(super) trigger: BTreeMap<String, Vec<Trigger>>,
    #[serde(default)]
    pub(super) component: BTreeMap<String, Component>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Application {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) others: toml::Table,
}

/// A value of the application. One without a default is required.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Variable {
    pub(super) default: Option<String>,
    #[serde(default)]
    pub(super) secret: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Trigger {
    /// A path, or `{ private = true }`.
    pub(super) route: Option<toml::Value>,
    pub(super) component: Option<Named>,
    pub(super) static_response: Option<toml::Value>,
    #[serde(flatten)]
    pub(super) others: toml::Table,
}

/// A component by its id, or where it is used.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Named {
    Id(String),
    Inline(Box<Component>),
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Component {
    pub(super) source: Source,
    /// What it sees: a pattern, or a folder and where that is.
    #[serde(default)]
    pub(super) files: Vec<toml::Value>,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) allowed_outbound_hosts: Vec<String>,
    /// What it was called before.
    #[serde(default)]
    pub(super) allowed_http_hosts: Vec<String>,
    #[serde(default)]
    pub(super) key_value_stores: Vec<String>,
    #[serde(default)]
    pub(super) sqlite_databases: Vec<String>,
    #[serde(default)]
    pub(super) ai_models: Vec<String>,
    pub(super) build: Option<Build>,
    /// What serves its imports, by their names.
    #[serde(default)]
    pub(super) dependencies: toml::Table,
    #[serde(default)]
    pub(super) dependencies_inherit_configuration: bool,
    #[serde(default)]
    pub(super) profile: toml::Table,
    #[serde(flatten)]
    pub(super) others: toml::Table,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Source {
    Path(String),
    Url { url: String, digest: String },
    Registry { registry: Option<String>, package: String, version: String },
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Build {
    pub(super) command: Commands,
    pub(super) workdir: Option<String>,
    #[serde(default)]
    pub(super) watch: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Commands {
    One(String),
    Several(Vec<String>),
}

impl Commands {
    pub(super) fn all(&self) -> Vec<&str> {
        match self {
            Self::One(command) => vec![command],
            Self::Several(commands) => commands.iter().map(String::as_str).collect(),
        }
    }
}

/// Read a manifest. An error is a sentence that says why nothing can be made of it.
pub(super) fn read(text: &str) -> Result<Manifest, String> {
    let table: toml::Table = text.parse().map_err(|error| format!("it is no TOML: {error}"))?;
    let version = table.get("spin_manifest_version").or_else(|| table.get("spin_version"));
    let version = version.and_then(|version| match version {
        toml::Value::Integer(version) => Some(version.to_string()),
        toml::Value::String(version) => Some(version.clone()),
        _ => None,
    });
    match version.as_deref() {
        Some("2") => {}
        Some("1") => {
            return Err(
                "it is a manifest of version 1, which this command does not read; `spin doctor` makes one of version \
                 2 of it"
                    .to_owned(),
            );
        }
        Some(other) => return Err(format!("it is a manifest of version {other}; 2 is read")),
        None => {
            return Err("it is no manifest of Spin: it has no `spin_manifest_version`".to_owned());
        }
    }
    let manifest: Manifest = toml::from_str(text)
        .map_err(|error| format!("it is no manifest that Spin takes: {error}"))?;
    if !manifest.trigger.contains_key("http") {
        let triggers: Vec<_> = manifest.trigger.keys().map(String::as_str).collect();
        let has = if triggers.is_empty() { "none".to_owned() } else { triggers.join(", ") };
        return Err(format!(
            "services of this host answer HTTP, and it has no trigger of that kind, but {has}"
        ));
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_can_be_made_of_is_refused_with_a_sentence() {
        for (text, expected) in [
            ("x", "it is no TOML"),
            ("[application]\nname = \"a\"", "no manifest of Spin"),
            ("spin_manifest_version = \"1\"\nname = \"a\"", "`spin doctor`"),
            ("spin_version = \"1\"\nname = \"a\"", "`spin doctor`"),
            ("spin_manifest_version = 3", "of version 3; 2 is read"),
            ("spin_manifest_version = 2", "no manifest that Spin takes"),
            (
                "spin_manifest_version = 2\n[application]\nname = \"a\"\n[[trigger.redis]]\nchannel = \"c\"\n\
                 component = \"x\"\n[component.x]\nsource = \"x.wasm\"",
                "no trigger of that kind, but redis",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
