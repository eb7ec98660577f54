//! Values that must not be seen, and the one way to read them.
//!
//! It exists so that a secret cannot reach an output by accident: the types here have a `Debug` and
//! a `Display` that hide, and no `Serialize`. It must not know where a secret came from.

use std::fmt;

/// What is shown in place of a secret.
pub const HIDDEN: &str = "[secret]";

/// A password, a token, or anything that was built from one.
#[derive(Clone)]
pub struct Secret(String);

/// The address of a backend. Printing it shows where it is, never how to log in.
#[derive(Clone)]
pub struct BackendUrl {
    url: Secret,
    shown: String,
}

/// A variable of a component's environment.
#[derive(Clone, Debug)]
pub enum EnvironmentValue {
    Plain(String),
    Secret(Secret),
}

// === impl Secret ===

impl Secret {
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }

    /// The value itself. Call it where it is used, and keep no copy.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

// === impl BackendUrl ===

impl BackendUrl {
    /// `shown` holds only text that stands in the application file or is public anyway.
    pub fn new(url: String, shown: String) -> BackendUrl {
        BackendUrl { url: Secret(url), shown }
    }

    /// The whole address, with its user name and password.
    pub fn expose(&self) -> &str {
        self.url.expose()
    }
}

impl fmt::Debug for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Display for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

// === impl EnvironmentValue ===

impl EnvironmentValue {
    pub fn expose(&self) -> &str {
        match self {
            EnvironmentValue::Plain(value) => value,
            EnvironmentValue::Secret(value) => value.expose(),
        }
    }
}
