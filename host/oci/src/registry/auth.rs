//! What a registry wants to be told before it answers: a user with a password, or a token that another server gives.

use std::collections::HashMap;

use http_auth::parser::ChallengeParser;
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use wasm_host_settings::secret::Secret;

use super::{Registry, failure};
use crate::credentials::Credentials;
use crate::error::{Kind, OciError, said};
use crate::reference::Reference;
use wasm_host_limits::oci::ANSWER_BYTES;

/// What something is to be allowed for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    repository: String,
    writes: bool,
}

/// What goes with requests.
#[derive(Clone, Debug)]
pub(super) enum Authorization {
    Basic { username: String, password: Secret },
    Bearer(Secret),
}

/// What a registry says it wants.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

/// What the server of tokens gives.
#[derive(Deserialize)]
struct Granted {
    token: Option<String>,
    access_token: Option<String>,
}

impl Scope {
    pub(super) fn pull(reference: &Reference) -> Self {
        Self { repository: reference.path(), writes: false }
    }

    pub(super) fn push(reference: &Reference) -> Self {
        Self { repository: reference.path(), writes: true }
    }
}

impl Authorization {
    pub(super) fn applied(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Basic { username, password } => {
                request.basic_auth(username, Some(password.expose()))
            }
            Self::Bearer(token) => request.bearer_auth(token.expose()),
        }
    }
}

impl Registry {
    /// What a refused request may be sent again with. Nothing: there is nothing to say.
    pub(super) async fn authorize(
        &self,
        refused: &Response,
        scope: &Scope,
        reference: &Reference,
    ) -> Result<Option<Authorization>, OciError> {
        // Wherever a registry sends on to, its credentials are for itself and the server of tokens that it names.
        if refused.url().origin() != self.base.origin() {
            return Ok(None);
        }
        let wanted = refused.headers().get_all(WWW_AUTHENTICATE);
        let wanted = wanted.into_iter().filter_map(|header| header.to_str().ok());
        let Some(challenge) = wanted.flat_map(challenges).next() else { return Ok(None) };
        let known = self.known(reference).await?;
        match (challenge, known) {
            (Challenge::Basic, Some(Credentials::Basic { username, password })) => {
                Ok(Some(Authorization::Basic { username, password }))
            }
            (Challenge::Basic, _) => Ok(None),
            (Challenge::Bearer { realm, service }, known) => {
                self.token(&realm, service, scope, reference, known).await
            }
        }
    }

    /// With which credentials a repository is asked: the application file's, or those of the user.
    pub(super) async fn known(
        &self,
        reference: &Reference,
    ) -> Result<Option<Credentials>, OciError> {
        match &self.own {
            Some(own) => Ok(Some(own.clone())),
            None => self.files.find(reference).await,
        }
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<String>,
        scope: &Scope,
        reference: &Reference,
        known: Option<Credentials>,
    ) -> Result<Option<Authorization>, OciError> {
        let host = &self.host;
        let refused = |message: String| {
            OciError::new(Kind::Refused, message)
                .hint("correct the host, if it is no registry, or tell whoever runs it")
        };
        let realm = Url::parse(realm).map_err(|_| {
            refused(format!("the registry {host} names no usable server of tokens"))
        })?;
        if realm.scheme() != "https" && !(self.plain_http && realm.scheme() == "http") {
            let message = format!(
                "the registry {host} wants credentials sent without encryption, to {}",
                said(realm.host_str().unwrap_or_default())
            );
            return Err(refused(message));
        }
        let request = self.token_request(realm, service, scope, known);
        let response = self.send_once(request, None, self.limits.answer_timeout).await?;
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            return Err(self.refusal(response, reference, "").await);
        }
        let body = self.whole(response, ANSWER_BYTES, "the token").await?;
        if status != StatusCode::OK {
            let said = failure::said_by(&body).map(|it| format!(" ({it})")).unwrap_or_default();
            let message = format!("the registry {host} gives no token: {status}{said}");
            return Err(refused(message));
        }
        // Without the parser's words, which may quote the token.
        let granted: Granted = serde_json::from_slice(&body).map_err(|_| {
            refused(format!("the registry {host} gives a token that cannot be read"))
        })?;
        let token = granted.token.or(granted.access_token).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| refused(format!("the registry {host} gives no token")))?;
        Ok(Some(Authorization::Bearer(Secret::new(token))))
    }

    fn token_request(
        &self,
        realm: Url,
        service: Option<String>,
        scope: &Scope,
        known: Option<Credentials>,
    ) -> RequestBuilder {
        let actions = if scope.writes { "pull,push" } else { "pull" };
        let scope = format!("repository:{}:{actions}", scope.repository);
        let mut asked: Vec<(&str, String)> = vec![("scope", scope)];
        asked.extend(service.map(|service| ("service", service)));
        match known {
            Some(Credentials::Identity(token)) => {
                asked.push(("grant_type", "refresh_token".to_owned()));
                asked.push(("client_id", "wasm-host".to_owned()));
                asked.push(("refresh_token", token.expose().to_owned()));
                let mut form = realm.clone();
                form.query_pairs_mut().clear().extend_pairs(&asked);
                let body = form.query().unwrap_or_default().to_owned();
                let kind = "application/x-www-form-urlencoded";
                self.tokens.post(realm).header("content-type", kind).body(body)
            }
            Some(Credentials::Basic { username, password }) => {
                self.tokens.get(realm).query(&asked).basic_auth(username, Some(password.expose()))
            }
            None => self.tokens.get(realm).query(&asked),
        }
    }
}

/// What one header asks for, as far as it is known here.
fn challenges(header: &str) -> Vec<Challenge> {
    // Up to the first slip.
    let parsed = ChallengeParser::new(header).map_while(Result::ok);
    let challenges = parsed.filter_map(|challenge| {
        let value = |it: &http_auth::ParamValue<'_>| it.to_unescaped();
        let mut values: HashMap<String, String> = challenge
            .params
            .iter()
            .map(|(key, it)| (key.to_ascii_lowercase(), value(it)))
            .collect();
        match challenge.scheme.to_ascii_lowercase().as_str() {
            "basic" => Some(Challenge::Basic),
            "bearer" => {
                let realm = values.remove("realm")?;
                Some(Challenge::Bearer { realm, service: values.remove("service") })
            }
            _ => None,
        }
    });
    challenges.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_wants_is_read() {
        let docker = r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a:pull""#;
        let bearer = Challenge::Bearer {
            realm: "https://auth.example/token".to_owned(),
            service: Some("registry.example".to_owned()),
        };
        assert_eq!(challenges(docker), [bearer]);
        assert_eq!(challenges(r#"Basic realm="Registry Realm""#), [Challenge::Basic]);
        for nothing in ["", "Negotiate", "Bearer scope=\"x\"", "\u{7f}", "Bearer realm=\"x"] {
            assert_eq!(challenges(nothing), [], "{nothing}");
        }
    }
}
