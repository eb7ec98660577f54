//! Versions over HTTP: what was asked for, and what came of it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use http::{Request, Response, StatusCode, header};
use serde::Deserialize;
use tokio::sync::SemaphorePermit;

use super::{Admin, body, json, malformed};
use crate::control::versions;
use crate::listener::Arriving;
use wasm_host_capabilities::body::Body;
use wasm_host_engine::compile::ComponentFile;
use wasm_host_limits as limits;
use wasm_host_oci::{Pulled, Reference};
use wasm_host_service::failure::{Failure, Kind};
use wasm_host_service::history::Verdict;
use wasm_host_service::swap::{self, CanaryTerms, SwapError, SwapOutcome};
use wasm_host_settings::diagnostic::nearest;
use wasm_host_settings::duration;

/// Where a component came from that has no path here.
const UPLOAD: &str = "the uploaded file";

/// What asked, unless it says.
const CAUSE: &str = "control plane";

/// What can be asked for beside the component, in the query.
#[derive(Debug, Default, PartialEq)]
struct SwapQuery {
    cause: Option<String>,
    part: Option<String>,
    percent: Option<u8>,
    duration: Option<Duration>,
}

/// A component that the host gets itself.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, untagged)]
enum ComponentSource {
    File { path: PathBuf },
    Registry { reference: String },
}

impl Admin {
    pub(super) fn history(&self, service: &str) -> Result<Response<Body>, Failure> {
        let history = self.swaps.history(service).map_err(|error| self.failure(error))?;
        let attempts: Vec<_> = history.into_iter().map(versions::Attempt::from).collect();
        Ok(json(StatusCode::OK, &attempts))
    }

    pub(super) async fn swap(
        &self,
        service: &str,
        request: Request<Arriving>,
    ) -> Result<Response<Body>, Failure> {
        let asked = asked(request.uri().query())?;
        let canary = asked.canary()?;
        let cause = asked.cause.unwrap_or_else(|| CAUSE.to_string());
        // Before the body: nothing is uploaded for a service that is not there.
        self.swaps.history(service).map_err(|error| self.failure(error))?;
        let Ok(place) = self.uploads.try_acquire() else {
            return Err(busy(format_args!("{} uploads are under way", limits::ADMIN_UPLOADS)));
        };
        let (component, _place) = self.component(request, place).await?;
        let request = swap::SwapRequest { cause, part: asked.part, canary };
        let outcome = self.swaps.swap(service, component, request).await;
        self.outcome(outcome)
    }

    pub(super) async fn rollback<B>(
        &self,
        service: &str,
        request: &Request<B>,
    ) -> Result<Response<Body>, Failure> {
        let asked = asked(request.uri().query())?;
        if asked.percent.is_some() || asked.duration.is_some() {
            return Err(malformed("A rollback has no canary: the version has been in service."));
        }
        if asked.part.is_some() {
            return Err(malformed("A rollback is of all parts: the version has been in service."));
        }
        let cause = asked.cause.unwrap_or_else(|| format!("rollback, {CAUSE}"));
        self.outcome(self.swaps.rollback(service, &cause).await)
    }

    pub(super) fn drain(&self, service: &str) -> Result<Response<Body>, Failure> {
        let instances = self.swaps.drain(service).map_err(|error| self.failure(error))?;
        let drained = serde_json::json!({ "service": service, "instances": instances });
        Ok(json(StatusCode::OK, &drained))
    }

    /// The component of a request; an error of it is a verdict, not a failure of the request. With it comes the place
    /// that it takes until all is over: what registries have takes none from uploads, however slow they are.
    async fn component<'a>(
        &'a self,
        request: Request<Arriving>,
        place: SemaphorePermit<'a>,
    ) -> Result<(Result<ComponentFile>, SemaphorePermit<'a>), Failure> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        match kind.to_ascii_lowercase().as_str() {
            "application/wasm" | "application/octet-stream" => {
                let bytes = body::read(request.into_body(), limits::COMPONENT_FILE_BYTES).await?;
                Ok((digested(bytes, PathBuf::from(UPLOAD)).await, place))
            }
            "application/json" => {
                let text = body::read(request.into_body(), limits::ADMIN_JSON_BYTES).await?;
                match named(&text)? {
                    ComponentSource::File { path } => Ok((ComponentFile::read(&path).await, place)),
                    ComponentSource::Registry { reference } => {
                        let reference = Reference::parse(&reference);
                        let reference = reference.map_err(|it| malformed(it.to_string()))?;
                        drop(place);
                        let Ok(place) = self.pulls.try_acquire() else {
                            return Err(busy(format_args!(
                                "{} components of registries are under way",
                                limits::ADMIN_PULLS
                            )));
                        };
                        Ok((self.pulled(&reference).await, place))
                    }
                }
            }
            _ => Err(Failure::new(
                Kind::MediaType,
                "Send the component as application/wasm, or {\"path\": ...} or {\"reference\": ...} as \
                 application/json.",
            )),
        }
    }

    /// What a registry has, with the host's credentials, and verified where signatures are wanted.
    async fn pulled(&self, reference: &Reference) -> Result<ComponentFile> {
        let Pulled { bytes, pin } = self.registries.pull(reference, None).await?;
        digested(bytes, PathBuf::from(reference.at(pin.manifest).to_string())).await
    }

    fn outcome(&self, outcome: Result<SwapOutcome, SwapError>) -> Result<Response<Body>, Failure> {
        let outcome = outcome.map_err(|error| self.failure(error))?;
        let status = match outcome.record.verdict {
            Verdict::Rejected => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::OK,
        };
        Ok(json(status, &versions::SwapAnswer::from(outcome)))
    }

    fn failure(&self, error: SwapError) -> Failure {
        let kind = match &error {
            SwapError::NoService(name) => {
                let meant = nearest(name, self.swaps.services());
                let known = match meant {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => {
                        let known: Vec<&str> = self.swaps.services().collect();
                        format!("the components are {}", known.join(", "))
                    }
                };
                return Failure::new(Kind::NoService, format!("{error}; {known}"));
            }
            SwapError::NoPart { .. } => return malformed(error.to_string()),
            SwapError::NothingBefore(_) | SwapError::Gone { .. } | SwapError::NotServing(_) => {
                Kind::Conflict
            }
        };
        Failure::new(kind, error.to_string())
    }
}

fn busy(what: fmt::Arguments<'_>) -> Failure {
    Failure::new(Kind::Busy, format!("{what}; try again in a moment."))
}

/// The digest of a large file takes a while.
async fn digested(bytes: Vec<u8>, origin: PathBuf) -> Result<ComponentFile> {
    let digested = move || ComponentFile::from_bytes(bytes, origin);
    tokio::task::spawn_blocking(digested).await.unwrap_or_else(|error| Err(error.into()))
}

/// What a body of JSON names, if it can be meant.
fn named(text: &[u8]) -> Result<ComponentSource, Failure> {
    let wanted = "Send {\"path\": \"/where/it/is.wasm\"}, or {\"reference\": \"oci://HOST/REPOSITORY:TAG\"}.";
    let named = serde_json::from_slice(text).map_err(|error| malformed(wanted).because(error))?;
    match &named {
        ComponentSource::File { path } if !path.is_absolute() => {
            Err(malformed("The path must be absolute: the host has a folder of its own."))
        }
        _ => Ok(named),
    }
}

fn asked(query: Option<&str>) -> Result<SwapQuery, Failure> {
    let mut asked = SwapQuery::default();
    for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*key {
            "cause" => asked.cause = Some(cause(&value)),
            "part" => asked.part = Some(cause(&value)),
            "canary" => asked.percent = Some(swap::percent(&value).map_err(malformed)?),
            "for" => asked.duration = Some(duration(&value).map_err(malformed)?),
            _ => {
                return Err(malformed(format!(
                    "There is no {key:?}; there are cause, part, canary and for."
                )));
            }
        }
    }
    Ok(asked)
}

/// One line of a table.
fn cause(text: &str) -> String {
    let visible = |character: char| if character.is_control() { ' ' } else { character };
    text.chars().take(limits::CAUSE_CHARACTERS).map(visible).collect()
}

impl SwapQuery {
    fn canary(&self) -> Result<Option<CanaryTerms>, Failure> {
        let (default, min, max) = (limits::CANARY, limits::CANARY_MIN, limits::CANARY_MAX);
        match (self.percent, self.duration) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(malformed("for=... is the time of a canary; add canary=10%.")),
            (Some(percent), duration) => {
                let duration = duration.unwrap_or(default);
                if duration < min || duration > max {
                    return Err(malformed(format!("A canary takes from {min:?} to {max:?}.")));
                }
                Ok(Some(CanaryTerms { percent, duration }))
            }
        }
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_from_the_query() {
        let all = asked(Some("canary=10%25&for=30s&cause=a%0Ab")).unwrap();
        assert_eq!(all.cause.as_deref(), Some("a b"));
        let canary = all.canary().unwrap().unwrap();
        assert_eq!((canary.percent, canary.duration), (10, Duration::from_secs(30)));
        let alone = asked(Some("canary=5")).unwrap().canary().unwrap().unwrap();
        assert_eq!((alone.percent, alone.duration), (5, limits::CANARY));
        assert_eq!(asked(None).unwrap(), SwapQuery::default());
    }

    #[test]
    fn what_means_nothing_is_told() {
        for wrong in ["canary=0", "canary=100%25", "canary=x", "for=soon", "canaries=1"] {
            assert_eq!(asked(Some(wrong)).unwrap_err().kind, Kind::Malformed, "{wrong}");
        }
        for wrong in ["for=30s", "canary=1&for=0s", "canary=1&for=1000h"] {
            assert!(asked(Some(wrong)).unwrap().canary().is_err(), "{wrong}");
        }
    }
}
