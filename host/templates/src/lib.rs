//! What a new application consists of, and the interfaces that a service is granted, as files.
//!
//! Pure: files come as paths with texts, and what becomes of them is for the caller. All of it is in the program, so
//! that nothing is fetched.

pub mod application;
pub mod bindings;
mod language;
mod render;
mod vendor;
pub mod wit;

use std::path::PathBuf;

pub use language::Language;

use render::Values;

/// The folder of the services of an application.
pub const SERVICES: &str = "services";

/// The model that services ask: small, and in Ollama's library.
const MODEL: &str = "tinyllama";

/// The module of a service in Go, and the folder of its bindings.
const GO_BINDINGS: &str = "service/bindings";

/// What is in the program is not as it was made.
#[derive(Debug, thiserror::Error)]
#[error("the templates in this program are damaged: {0}")]
pub struct Damaged(String);

impl Damaged {
    fn new(why: String) -> Self {
        Self(why)
    }
}

/// A file of a new application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Below the application's folder.
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    /// The library that it is a part of, which services share: one that is there already is left as it is, all of it.
    pub library: Option<&'static str>,
}

impl NewFile {
    /// A file that belongs to one service, or to the application.
    pub fn text(path: PathBuf, text: String) -> Self {
        Self { path, bytes: text.into_bytes(), library: None }
    }
}

/// What a service is granted beside WASI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct With {
    pub postgres: bool,
    pub ollama: bool,
    /// A bucket.
    pub keyvalue: bool,
    /// Values of the application file.
    pub config: bool,
}

impl With {
    /// The keys of those that are capabilities.
    fn capabilities(self) -> Vec<&'static str> {
        let keys =
            [("postgres", self.postgres), ("ollama", self.ollama), ("keyvalue", self.keyvalue)];
        keys.into_iter().filter_map(|(key, is_granted)| is_granted.then_some(key)).collect()
    }
}

/// A service that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    pub application: &'a str,
    pub name: &'a str,
    pub language: Language,
    /// Normalised.
    pub route: &'a str,
    pub with: With,
}

/// The files of an application that its services share, but for the application file.
pub fn of_application(application: &str, port: u16) -> Vec<NewFile> {
    let address = format!("http://127.0.0.1:{port}/");
    let values = Values::new([("application", application), ("address", &address)], &[]);
    render::folder("application", "", &values)
}

/// The files of a service, with those of its application that only its language needs.
///
/// # Errors
/// What is in the program is not as it was made: a defect of the program.
pub fn of_service(service: &Service<'_>) -> Result<Vec<NewFile>, Damaged> {
    let folder = format!("{SERVICES}/{}", service.name);
    let paths = paths(service);
    let mut values = vec![
        ("application", service.application),
        ("name", service.name),
        ("model", MODEL),
        ("paths", &paths),
    ];
    values.extend(language::VERSIONS);
    let config = service.with.config;
    let capabilities = service.with.capabilities();
    let on: Vec<_> = capabilities.iter().copied().chain(config.then_some("config")).collect();
    let values = Values::new(values, &on);
    let mut files = render::folder("service", &folder, &values);
    files.extend(render::folder(service.language.name(), &folder, &values));
    match service.language {
        Language::Rust => files.extend(vendor::rust::files(service.name, &folder)?),
        Language::Go => files.extend(vendor::go::files()),
        Language::JavaScript => files.push(vendor::npm::lock(service.name, &folder)),
        Language::Python | Language::C => {}
    }
    if let Some(style) = service.language.interfaces() {
        let granted = wit::Granted {
            capabilities: &capabilities,
            configuration: config,
            ..wit::Granted::default()
        };
        let below = |place: &str, (path, text): (PathBuf, String)| {
            NewFile::text(PathBuf::from(&folder).join(place).join(path), text)
        };
        let interfaces = wit::files(service.name, style, granted);
        files.extend(interfaces.into_iter().map(|file| below("wit", file)));
        let bindings = match service.language {
            Language::C => bindings::c(service.name, style, granted)?,
            Language::Go => bindings::go(service.name, style, granted, GO_BINDINGS)?,
            Language::Rust | Language::Python | Language::JavaScript => Vec::new(),
        };
        files.extend(bindings.into_iter().map(|file| below("bindings", file)));
    }
    Ok(files)
}

/// A sentence about what the service answers.
fn paths(service: &Service<'_>) -> String {
    let below = if service.route == "/" { "" } else { service.route };
    let mut parts = vec![format!("`{below}/` greets")];
    if service.with.postgres {
        parts.push(format!("`{below}/greetings` reads the table that `init.sql` makes"));
    }
    if service.with.ollama {
        parts.push(format!("`POST {below}/chat` streams what the model `{MODEL}` says"));
    }
    if service.with.keyvalue {
        parts.push(format!("`POST {below}/visits` counts in the bucket `{}`", service.name));
    }
    if service.with.config {
        parts.push(format!("`{below}/motto` says what `wasm-host.toml` configures"));
    }
    format!("{}.", parts.join(", "))
}

#[cfg(test)]
mod tests;
