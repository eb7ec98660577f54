//! The application file of this host for a manifest of Spin. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::hosts::{Hosts, hosts};
use super::manifest::{Application, Build, Component, Manifest, Named, Source, Trigger};
use super::{build, route, variables};
use wasm_host_settings::value::sanitised_name;

/// What there is to write, and what could not be carried over, a line each.
pub(super) struct Written {
    pub(super) text: String,
    pub(super) told: Vec<String>,
}

/// The resource that stands for all models of a manifest.
const MODELS: &str = "models";

/// The resource that stands for the server of PostgreSQL that components may reach.
const DATABASE: &str = "db";

/// `folder` is the manifest's, where the file is written elsewhere.
pub(super) fn written(manifest: &Manifest, folder: Option<&Path>) -> Written {
    let mut writer = Writer {
        manifest,
        folder,
        resources: BTreeSet::new(),
        told: Vec::new(),
        parts: BTreeSet::new(),
    };
    let services = writer.services();
    let mut text = format!(
        "# Made of a manifest of Spin by `wasm-host import`.\nname = {}\n",
        quoted(&sanitised_name(&manifest.application.name))
    );
    for resource in &writer.resources {
        text.push_str(&format!("\n{resource}"));
    }
    text.push_str(&services);
    Written { text, told: writer.told }
}

struct Writer<'m> {
    manifest: &'m Manifest,
    folder: Option<&'m Path>,
    /// Tables that services are granted, as they are written.
    resources: BTreeSet<String>,
    told: Vec<String>,
    /// Components that serve imports of others.
    parts: BTreeSet<&'m str>,
}

/// A component where it is used: its id, and what it is reached by.
struct Use<'m> {
    id: String,
    component: &'m Component,
    /// None: other components alone reach it.
    route: Option<&'m str>,
}

impl<'m> Writer<'m> {
    fn services(&mut self) -> String {
        let Application { others, .. } = &self.manifest.application;
        self.others("application", others, &["authors", "description", "version"]);
        for (kind, triggers) in &self.manifest.trigger {
            if kind != "http" {
                let count = triggers.len();
                self.tell(format!(
                    "{count} of trigger {kind} are left out: services of this host answer HTTP"
                ));
            }
        }
        let mut used: BTreeMap<String, usize> = BTreeMap::new();
        let mut text = String::new();
        for one in self.uses() {
            let count = used.entry(one.id.clone()).or_default();
            *count += 1;
            let name = match *count {
                1 => service_name(&one.id),
                // Each route is a service of its own here.
                several => service_name(&format!("{}-{several}", one.id)),
            };
            text.push('\n');
            text.push_str(&self.service(&name, &one));
        }
        let manifest = self.manifest;
        for (id, component) in manifest.component.iter().filter(|(id, _)| !used.contains_key(*id)) {
            if !self.parts.contains(id.as_str()) {
                self.tell(format!(
                    "the component {id} is left out: no HTTP trigger that is carried over leads to it"
                ));
                continue;
            }
            self.own_keys(id, component, "it is a part of another component");
            if !component.files.is_empty() {
                self.tell(format!("{id}: its files are left out: components see none"));
            }
        }
        text
    }

    fn uses(&mut self) -> Vec<Use<'m>> {
        let manifest = self.manifest;
        let mut uses = Vec::new();
        for (place, trigger) in manifest.trigger.get("http").into_iter().flatten().enumerate() {
            let Trigger { route, component, static_response, others } = trigger;
            let path = match route {
                Some(route) => route.as_str(),
                None => Some("/..."),
            };
            if static_response.is_some() {
                let path = path.unwrap_or_default();
                self.tell(format!("the static response at {path} is left out"));
                continue;
            }
            if is_wagi(others) {
                let path = path.unwrap_or_default();
                self.tell(format!(
                    "the route {path} is left out: its executor is wagi, and services of this host are no programs of CGI"
                ));
                continue;
            }
            let place_of = format!("trigger.http at {}", path.unwrap_or("no route"));
            self.others(&place_of, others, &["executor", "id"]);
            match component {
                Some(Named::Id(id)) => match manifest.component.get(id) {
                    Some(component) => uses.push(Use { id: id.clone(), component, route: path }),
                    None => self.tell(format!("there is no component {id}; its route is left out")),
                },
                Some(Named::Inline(component)) => {
                    let id = format!("component-{}", place + 1);
                    uses.push(Use { id, component, route: path });
                }
                None => self.tell("a trigger without a component is left out".to_owned()),
            }
        }
        uses
    }

    fn service(&mut self, name: &str, one: &Use<'m>) -> String {
        let Use { id, component, route } = one;
        let mut lines = vec![format!("[service.{name}]")];
        if let Some(folder) = static_folder(component) {
            lines.push(format!("static = {}", quoted(&self.path(folder))));
            self.route(id, *route, false, &mut lines);
            self.own_keys(id, component, "this host serves the folder itself");
            if component.others.contains_key("exclude_files") {
                self.tell(format!(
                    "{id}: exclude_files is left out: every file below {folder} is served, those as well"
                ));
            }
            return lines.join("\n") + "\n";
        }
        lines.push(format!("component = {}", quoted(&self.source(id, component))));
        self.with(id, component, &mut lines);
        self.build(id, component, &mut lines);
        self.route(id, *route, true, &mut lines);
        self.grants(id, component, &mut lines);
        self.left_out(id, component);
        if !component.environment.is_empty() {
            let pairs = component.environment.iter();
            let pairs = pairs.map(|(name, value)| format!("{} = {}", key(name), as_it_is(value)));
            let pairs: Vec<_> = pairs.collect();
            lines.push(format!("environment = {{ {} }}", pairs.join(", ")));
        }
        self.config(id, name, component, &mut lines);
        lines.join("\n") + "\n"
    }

    fn source(&mut self, id: &str, component: &Component) -> String {
        match &component.source {
            Source::Path(path) => self.path(path),
            Source::Url { url, digest } => {
                let file = format!("{id}.wasm");
                self.tell(format!(
                    "{id}: its component is at {url}, and nothing is loaded from there; fetch it as {file} and compare \
                     its digest ({digest})"
                ));
                self.path(&file)
            }
            Source::Registry { registry, package, version } => {
                let file = format!("{id}.wasm");
                let place = registry.as_deref().unwrap_or("the default registry");
                self.tell(format!(
                    "{id}: its component is {package}@{version} of {place}; fetch it as {file}, or name it as \
                     oci://HOST/REPOSITORY:TAG"
                ));
                self.path(&file)
            }
        }
    }

    fn build(&mut self, id: &str, component: &Component, lines: &mut Vec<String>) {
        let Some(Build { command, workdir, watch }) = &component.build else { return };
        if !matches!(component.source, Source::Path(_)) {
            self.tell(format!("{id}: its build is left out: its component is not what that makes"));
            return;
        }
        lines.push(format!("build = {}", list(&build::words(&command.all()))));
        let source = workdir.as_ref().map(|workdir| self.path(workdir));
        // It is the folder of the application file, where nothing else is said.
        let source = source.or(self.folder.map(|folder| folder.display().to_string()));
        lines.extend(source.map(|source| format!("source = {}", quoted(&source))));
        for outside in watch.iter().filter(|pattern| pattern.split('/').any(|part| part == "..")) {
            self.tell(format!(
                "{id}: `serve --watch` builds it when something below its `source` changes, and {outside} is not there"
            ));
        }
    }

    fn route(
        &mut self,
        id: &str,
        route: Option<&str>,
        is_component: bool,
        lines: &mut Vec<String>,
    ) {
        let Some(route) = route else {
            lines.push("internal = true".to_owned());
            return;
        };
        let prefix = route::prefix(route);
        if let Some(told) = prefix.told {
            self.tell(format!("{id}: {told}"));
        }
        lines.push(format!("route = {}", quoted(&prefix.path)));
        if prefix.path != "/" && is_component {
            // Spin takes nothing off the path.
            lines.push("keep-path = true".to_owned());
        }
    }

    fn grants(&mut self, id: &str, component: &Component, lines: &mut Vec<String>) {
        let rules = component.allowed_outbound_hosts.iter().chain(&component.allowed_http_hosts);
        let Hosts { outbound, services, has_postgres, told } = hosts(rules.map(String::as_str));
        told.into_iter().for_each(|line| self.tell(format!("{id}: {line}")));
        if has_postgres {
            self.resources.insert(format!("[postgres.{DATABASE}]\nurl = \"${{DATABASE_URL}}\"\n"));
            self.tell(format!(
                "{id}: it reaches PostgreSQL, which is granted as [postgres.{DATABASE}] with the url in DATABASE_URL; \
                 the component opens that very address, or \"{DATABASE}\""
            ));
            lines.push(format!("postgres = \"{DATABASE}\""));
        }
        if !component.ai_models.is_empty() {
            self.resources.insert(format!("[ollama.{MODELS}]\n"));
            lines.push(format!("ollama = \"{MODELS}\""));
            let models = component.ai_models.join(", ");
            self.tell(format!(
                "{id}: its models are asked of Ollama, which must have them: {models}"
            ));
        }
        self.stores(id, component, lines);
        if !services.is_empty() {
            let services: Vec<_> = services.iter().map(|it| service_name(it)).collect();
            lines.push(format!("services = {}", list(&services)));
        }
        if !outbound.is_empty() {
            lines.push(format!("outbound = {}", list(&Vec::from_iter(outbound))));
        }
    }

    fn stores(&mut self, id: &str, component: &Component, lines: &mut Vec<String>) {
        for (kind, labels) in
            [("keyvalue", &component.key_value_stores), ("sqlite", &component.sqlite_databases)]
        {
            let names: Vec<_> = labels.iter().map(|label| service_name(label)).collect();
            self.resources.extend(names.iter().map(|name| format!("[{kind}.{name}]\n")));
            for (label, name) in labels.iter().zip(&names).filter(|(label, name)| label != name) {
                self.tell(format!(
                    "{id}: what it opens as {label} is [{kind}.{name}] here, and is opened as {name}"
                ));
            }
            match names.as_slice() {
                [] => {}
                [one] => lines.push(format!("{kind} = {}", quoted(one))),
                several => lines.push(format!("{kind} = {}", list(several))),
            }
        }
    }

    /// The components that serve its imports.
    fn with(&mut self, id: &str, component: &'m Component, lines: &mut Vec<String>) {
        let mut with = Vec::new();
        for (import, dependency) in &component.dependencies {
            let text = |key| dependency.get(key).and_then(toml::Value::as_str);
            let path = text("path").or_else(|| self.file_of(text("component")?));
            let is_as_named = dependency.get("export").is_none() && import.contains('/');
            let Some(path) = path.filter(|_| is_as_named) else {
                self.tell(format!(
                    "{id}: the dependency {import} is left out; name the file that serves it in `with`, by the interface \
                     that it exports"
                ));
                continue;
            };
            with.push(format!("{} = {}", quoted(import), quoted(&self.path(path))));
            if text("path").is_none() {
                self.parts.extend(text("component"));
            }
            // A list of what it inherits is less than all.
            let inherits = match dependency.get("inherit_configuration") {
                Some(inherits) => inherits.as_bool() == Some(true),
                None => component.dependencies_inherit_configuration,
            };
            if !inherits {
                self.tell(format!(
                    "{id}: {path}, which serves {import}, may use what {id} is granted, as all parts of a service"
                ));
            }
        }
        if !with.is_empty() {
            lines.push(format!("with = {{ {} }}", with.join(", ")));
        }
    }

    /// Where another component of the manifest is.
    fn file_of(&self, id: &str) -> Option<&'m str> {
        match &self.manifest.component.get(id)?.source {
            Source::Path(path) => Some(path),
            Source::Url { .. } | Source::Registry { .. } => None,
        }
    }

    /// `[service.NAME.config]`, with the values of the application that those of the component are made of.
    fn config(&mut self, id: &str, name: &str, component: &Component, lines: &mut Vec<String>) {
        if component.variables.is_empty() {
            return;
        }
        lines.push(format!("\n[service.{name}.config]"));
        for (name, template) in &component.variables {
            match variables::value(template, &self.manifest.variables) {
                Ok(value) => lines.push(format!("{} = {}", key(name), quoted(&value))),
                Err(why) => self.tell(format!("{id}: the variable {name} is left out: {why}")),
            }
        }
    }

    fn left_out(&mut self, id: &str, component: &Component) {
        if !component.files.is_empty() {
            self.tell(format!(
                "{id}: its files are left out: components see none; serve a folder by a service with `static`"
            ));
        }
        for profile in component.profile.keys() {
            self.tell(format!("{id}: the profile {profile} is left out"));
        }
        self.others(id, &component.others, &["description", "exclude_files"]);
    }

    /// What a component has that is not carried over, where what stands for it has no such keys.
    fn own_keys(&mut self, id: &str, component: &Component, why: &str) {
        let keys = [
            ("environment", !component.environment.is_empty()),
            ("variables", !component.variables.is_empty()),
            ("build", component.build.is_some()),
            ("dependencies", !component.dependencies.is_empty()),
            ("allowed_outbound_hosts", !component.allowed_outbound_hosts.is_empty()),
            ("allowed_http_hosts", !component.allowed_http_hosts.is_empty()),
            ("key_value_stores", !component.key_value_stores.is_empty()),
            ("sqlite_databases", !component.sqlite_databases.is_empty()),
            ("ai_models", !component.ai_models.is_empty()),
            ("profile", !component.profile.is_empty()),
        ];
        for (key, _) in keys.into_iter().filter(|(_, has)| *has) {
            self.tell(format!("{id}: {key} is left out: {why}"));
        }
        self.others(id, &component.others, &["description", "exclude_files"]);
    }

    /// What this command makes nothing of, but for keys that change nothing here.
    fn others(&mut self, place: &str, keys: &toml::Table, idle: &[&str]) {
        for key in keys.keys().filter(|key| !idle.contains(&key.as_str())) {
            self.tell(format!("{place}: {key} is left out: this command makes nothing of it"));
        }
    }

    /// A path of the manifest, from the folder of the application file.
    fn path(&self, path: &str) -> String {
        match self.folder {
            Some(folder) => folder.join(path).display().to_string(),
            None => path.to_owned(),
        }
    }

    fn tell(&mut self, line: String) {
        if !self.told.contains(&line) {
            self.told.push(line);
        }
    }
}

/// The folder that Spin's own component for files serves, which a service of this host does without a component.
fn static_folder(component: &Component) -> Option<&str> {
    const FILE_SERVER: &str = "spin_static_fs";
    let is_file_server = match &component.source {
        Source::Url { url, .. } => url.contains(FILE_SERVER),
        Source::Path(path) => path.contains(FILE_SERVER),
        Source::Registry { .. } => false,
    };
    let [files] = component.files.as_slice() else { return None };
    let is_root = files.get("destination").and_then(toml::Value::as_str) == Some("/");
    let source = files.get("source").and_then(toml::Value::as_str);
    source.filter(|_| is_file_server && is_root)
}

/// Whether a trigger runs its component as a program of CGI.
fn is_wagi(trigger: &toml::Table) -> bool {
    let kind = trigger.get("executor").and_then(|executor| executor.get("type"));
    kind.and_then(toml::Value::as_str) == Some("wagi")
}

/// Ids of Spin have capitals and `_`, too.
fn service_name(id: &str) -> String {
    sanitised_name(id)
}

/// A key of a table in TOML.
fn key(name: &str) -> String {
    let is_bare =
        !name.is_empty() && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// A text in TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Texts in TOML.
fn list(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A text in TOML where an application file may insert values: a dollar sign is doubled.
fn as_it_is(text: &str) -> String {
    quoted(&text.replace('$', "$$"))
}

#[cfg(test)]
mod tests;
