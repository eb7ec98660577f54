//! `cors` of a service: which pages of other origins may use it, and how.
//!
//! It exists to turn one table into what the public port answers a browser with. What browsers ask, and when, is not
//! its business.

use std::time::Duration;

use super::origin::{Origin, OriginList};
use wasm_host_limits::service::CorsLimits;
use wasm_host_limits::setting::Settings as _;
use wasm_host_settings::context::{Context, Located};
use wasm_host_settings::diagnostic::{Problem, quoted};
use wasm_host_settings::file::Table;

/// Beside its settings.
const KEYS: [&str; 5] = ["origins", "methods", "headers", "expose", "credentials"];

const EXAMPLE: &str = "cors = { origins = [\"https://app.example.com\"] }";

/// What a page may do without asking first, and the one header that makes a request with JSON.
const METHODS: [&str; 3] = ["GET", "HEAD", "POST"];
const HEADERS: [&str; 1] = ["content-type"];

/// What pages of other origins may do with a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsConfig {
    pub origins: OriginList,
    /// In capitals.
    pub methods: Vec<String>,
    /// Of a request, in small letters. `None`: whichever the page asks for.
    pub headers: Option<Vec<String>>,
    /// Of an answer, in small letters, beside those that every page may read.
    pub expose: Vec<String>,
    /// Whether it may act as the user whose cookies the browser has.
    pub credentials: bool,
    /// How long a browser need not ask again.
    pub max_age: Duration,
}

pub(super) fn cors(cx: &Context<'_>, service: &str, table: &Table<'_>) -> Option<CorsConfig> {
    let (at, inner) = table.table(cx, "cors", EXAMPLE)?;
    let keys = [&KEYS[..], &CorsLimits::keys()].concat();
    let table = Table::open(cx, &format!("[service.{service}.cors]"), at, inner, &keys);
    let origins = origins(cx, &table);
    let credentials = table.flag(cx, "credentials").unwrap_or(false);
    if credentials && origins.has_any() {
        cx.error(
            &table.at("credentials"),
            Problem::new(
                "with 'credentials' and the origin '*', every page could act as whoever looks at it",
                "list the origins that may, or remove 'credentials'",
            ),
        );
    }
    let methods = words(cx, &table, "methods", method).unwrap_or_else(|| owned(&METHODS));
    let headers = match table.texts(cx, "headers") {
        Some(written) if matches!(&*written, [only] if only.value == "*") => None,
        Some(_) => words(cx, &table, "headers", header),
        None => Some(owned(&HEADERS)),
    };
    let expose = words(cx, &table, "expose", header).unwrap_or_default();
    let CorsLimits { max_age } = table.settings(cx);
    Some(CorsConfig { origins, methods, headers, expose, credentials, max_age })
}

fn origins(cx: &Context<'_>, table: &Table<'_>) -> OriginList {
    let written = table.texts(cx, "origins").unwrap_or_default();
    if written.is_empty() {
        let at = table.at("origins");
        cx.missing(&at, Problem::new("'cors' lets nobody in", format!("as in {EXAMPLE}")));
    }
    let parse = |origin: &Located<String>| cx.checked(&origin.at, Origin::parse(&origin.value));
    OriginList::new(written.iter().filter_map(parse).collect())
}

/// A list of words of HTTP.
fn words(
    cx: &Context<'_>,
    table: &Table<'_>,
    key: &str,
    read: impl Fn(&str) -> Result<String, Problem>,
) -> Option<Vec<String>> {
    let written = table.texts(cx, key)?;
    Some(written.iter().filter_map(|word| cx.checked(&word.at, read(&word.value))).collect())
}

fn method(text: &str) -> Result<String, Problem> {
    let capitals = text.to_ascii_uppercase();
    if is_token(text) && text == capitals {
        return Ok(capitals);
    }
    let hint = match is_token(text) {
        true => format!("did you mean {}?", quoted(&capitals)),
        false => "name each one, as in [\"GET\", \"POST\", \"DELETE\"]".to_owned(),
    };
    Err(Problem::new(format!("{} is not a method", quoted(text)), hint))
}

fn header(text: &str) -> Result<String, Problem> {
    if is_token(text) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Problem::new(
        format!("{} is not the name of a header", quoted(text)),
        "name each one, as in [\"content-type\", \"authorization\"]",
    ))
}

/// A token of HTTP, except `*`, which stands for something else here.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&b))
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
