//! `[ollama.<name>]`: one table, read.

mod forward;
mod url;

use toml::de::DeTable;

pub use forward::ForwardList;
use forward::ForwardRule;
use wasm_host_limits::ollama::OllamaLimits;
use wasm_host_limits::setting::Settings as _;
use wasm_host_settings::authorities::authorities;
use wasm_host_settings::context::{Context, Located, Span};
use wasm_host_settings::diagnostic::Problem;
use wasm_host_settings::file::Table;
use wasm_host_settings::resource::{Declared, Resource, ResourcePlace, StandIn, Wait};
use wasm_host_settings::secret::BackendUrl;
use wasm_host_settings::tls::Authorities;

/// Beside its settings.
const KEYS: [&str; 4] = ["url", "ca", "fallback", "forward"];

/// The variable that Ollama itself and its clients read.
const OLLAMA_HOST: &str = "OLLAMA_HOST";

/// `[ollama.<name>]`
#[derive(Clone, Debug)]
pub struct OllamaConfig {
    /// Without a slash at its end; `/api/...` is appended. May have a user name and a password.
    pub url: BackendUrl,
    /// Where that address comes from.
    pub url_from: UrlFrom,
    /// The authorities that are trusted for the server, beside the system's.
    pub ca: Option<Authorities>,
    /// The component that answers when nothing listens at `url`.
    pub fallback: Option<String>,
    pub forward: ForwardList,
    pub limits: OllamaLimits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlFrom {
    /// The application file.
    File,
    /// The variable `OLLAMA_HOST`.
    OllamaHost,
    /// Neither: where Ollama listens by default.
    Default,
}

impl OllamaConfig {
    pub(super) fn read<'t>(
        cx: &Context<'_>,
        name: &str,
        at: Span,
        table: &'t DeTable<'t>,
    ) -> Declared<Self> {
        let keys = [&KEYS[..], &OllamaLimits::keys()].concat();
        let table = Table::open(cx, &format!("[ollama.{name}]"), at, table, &keys);
        let fallback = table.text(cx, "fallback");
        let forward = match table.texts(cx, "forward") {
            Some(items) => {
                let parse = |item: &Located<String>| {
                    cx.checked(&item.at, ForwardRule::parse_item(&item.value)).unwrap_or_default()
                };
                ForwardList::written(name, items.iter().flat_map(parse).collect())
            }
            None => ForwardList::default_of(name),
        };
        let limits = table.settings(cx);
        let ca = authorities(cx, &table);
        let resource = address(cx, &table).map(|(url, url_from)| Self {
            url,
            url_from,
            ca,
            fallback: fallback.as_ref().map(|fallback| fallback.value.clone()),
            forward,
            limits,
        });
        let what = "a component that answers as Ollama does";
        let stand_in = fallback.map(|service| StandIn { service, what });
        Declared { resource, stand_in }
    }
}

impl Resource for OllamaConfig {
    fn url(&self) -> Option<&BackendUrl> {
        Some(&self.url)
    }

    fn place(&self) -> ResourcePlace<'_> {
        match self.url_from {
            UrlFrom::File => ResourcePlace::Server { url: &self.url, port: 11_434 },
            UrlFrom::OllamaHost | UrlFrom::Default => ResourcePlace::Beside,
        }
    }

    fn first_byte(&self) -> Wait {
        let limits = &self.limits;
        let before = limits.queue_timeout + limits.connect_timeout;
        let key = OllamaLimits::first_byte_timeout().key;
        Wait { key, bound: limits.first_byte_timeout, before }
    }

    fn pause(&self) -> Option<Wait> {
        Some(self.first_byte())
    }

    fn stand_in(&self) -> Option<&str> {
        self.fallback.as_deref()
    }
}

fn address(cx: &Context<'_>, table: &Table<'_>) -> Option<(BackendUrl, UrlFrom)> {
    if table.has("url") {
        let text = table.interpolated(cx, "url")?;
        let url = cx.checked(&text.at, url::parse(&text.value))?;
        return Some((url, UrlFrom::File));
    }
    let variable = cx.environment(OLLAMA_HOST).filter(|value| !value.trim().is_empty());
    let from = if variable.is_some() { UrlFrom::OllamaHost } else { UrlFrom::Default };
    let url = url::from_environment(variable.as_deref()).map_err(|problem| Problem {
        message: format!("in the environment variable {OLLAMA_HOST} {}", problem.message),
        hint: problem.hint,
    });
    Some((cx.checked(&table.at, url)?, from))
}
