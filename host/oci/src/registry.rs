//! One registry, asked over HTTP as the OCI distribution specification has it.
//!
//! It exists so that whatever a registry answers has a bound in time and in bytes, is what its digest says, and comes
//! back as a sentence where it is not. It knows manifests and blobs, and nothing of what is in a blob.

mod auth;
mod failure;
mod upload;

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Method, RequestBuilder, Response, StatusCode, Url};
use tokio::time::timeout;

use self::auth::{Authorization, Scope};
use crate::credentials::{CredentialFiles, Credentials};
use crate::digest::{ContentDigest, Digesting};
use crate::error::{Kind, OciError};
use crate::manifest::{ACCEPTED, Descriptor};
use crate::reference::{DOCKER_HUB, Reference};
use crate::settings::{Hints, RegistryConfig};
use wasm_host_limits::oci::{
    ANSWER_BYTES, CONNECT_TIMEOUT, MANIFEST_BYTES, REDIRECTS, REPOSITORIES, RegistryLimits,
};
use wasm_host_settings::tls;

/// The header in which a registry says which content it means.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// Where Docker's own registry is.
const DOCKER_HUB_SERVER: &str = "registry-1.docker.io";

/// A registry with the connections to it.
pub struct Registry {
    /// As references name it.
    host: String,
    /// Ends with `/v2/`.
    base: Url,
    http: reqwest::Client,
    /// For tokens. It follows nowhere: what it sends may be as good as a password.
    tokens: reqwest::Client,
    limits: RegistryLimits,
    plain_http: bool,
    hints: Hints,
    /// Of the application file.
    own: Option<Credentials>,
    /// Looked at whenever the registry asks for them: logins expire, and are made anew while a host runs.
    files: CredentialFiles,
    /// What the registry is told for each purpose.
    granted: Mutex<HashMap<Scope, Authorization>>,
}

/// A manifest as it came.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub bytes: Bytes,
    pub digest: ContentDigest,
}

impl Registry {
    pub fn new(
        host: &str,
        config: &RegistryConfig,
        files: CredentialFiles,
    ) -> Result<Self, OciError> {
        let RegistryConfig { plain_http, ca, credentials, limits, hints } = config;
        let scheme = if *plain_http { "http" } else { "https" };
        let server = if host == DOCKER_HUB { DOCKER_HUB_SERVER } else { host };
        let local = |error: &dyn std::fmt::Display| {
            OciError::new(Kind::Local, format!("the registry {host} cannot be asked: {error}"))
        };
        let base = Url::parse(&format!("{scheme}://{server}/v2/")).map_err(|it| local(&it))?;
        tls::install();
        let own = ca.as_ref().map(|ca| Certificate::from_pem_bundle(ca.pem())).transpose();
        let own = own.map_err(|it| local(&it))?;
        let client = |redirects| {
            let client = reqwest::Client::builder()
                .user_agent(concat!("wasm-host/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .redirect(redirects);
            let client = match own.clone() {
                Some(own) => client.tls_certs_merge(own),
                // The system's certificates are not needed, and a small machine may have none.
                None if *plain_http => client.tls_certs_only([]),
                None => client,
            };
            client.build().map_err(|it| local(&it))
        };
        Ok(Self {
            host: host.to_owned(),
            base,
            http: client(redirects(*plain_http))?,
            tokens: client(Policy::none())?,
            limits: limits.clone(),
            plain_http: *plain_http,
            hints: *hints,
            own: credentials.clone(),
            files,
            granted: Mutex::default(),
        })
    }

    /// A manifest, verified against the reference's digest where it has one.
    pub async fn manifest(&self, reference: &Reference) -> Result<Fetched, OciError> {
        let response = self.ask_manifest(Method::GET, reference).await?;
        let claimed = claimed_digest(&response);
        let what = format!("the manifest of {reference}");
        let bytes = self.whole(response, MANIFEST_BYTES, &what).await?;
        let digest = ContentDigest::of(&bytes);
        for expected in [reference.digest, claimed].into_iter().flatten() {
            if expected != digest {
                return Err(wrong_digest(&what, expected, digest));
            }
        }
        Ok(Fetched { bytes, digest })
    }

    /// The digest of the manifest that a reference stands for at the moment.
    pub async fn resolve(&self, reference: &Reference) -> Result<ContentDigest, OciError> {
        let response = self.ask_manifest(Method::HEAD, reference).await?;
        match claimed_digest(&response) {
            Some(digest) => Ok(digest),
            // Not all registries say it.
            None => Ok(self.manifest(reference).await?.digest),
        }
    }

    /// A blob, verified against its descriptor, within the time for a whole component.
    pub async fn blob(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        bytes_max: u64,
    ) -> Result<Vec<u8>, OciError> {
        let what = format!("{} of {}", blob.digest.short(), reference.place());
        if blob.size > bytes_max {
            let message = format!("{what} has {} bytes, more than {bytes_max}", blob.size);
            return Err(OciError::new(Kind::Damaged, message));
        }
        let deadline = self.limits.pull_timeout;
        let read = timeout(deadline, self.blob_now(reference, blob, &what)).await;
        read.unwrap_or_else(|_| Err(late(&what, &self.host, deadline, self.hints)))
    }

    async fn blob_now(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        what: &str,
    ) -> Result<Vec<u8>, OciError> {
        let url = self.url(reference, &["blobs", &blob.digest.to_string()])?;
        let request = self.http.get(url);
        let scope = Scope::pull(reference);
        let response = self.send(request, &scope, reference, self.limits.answer_timeout).await?;
        if response.status() != StatusCode::OK {
            return Err(self.refusal(response, reference, what).await);
        }
        let mut response = response;
        let mut digesting = Digesting::default();
        let mut bytes = Vec::new();
        loop {
            let came = bytes.len() as u64;
            let piece = self.piece(&mut response, what, came, Some(blob.size)).await?;
            let Some(piece) = piece else { break };
            if came + piece.len() as u64 > blob.size {
                let message =
                    format!("{what} is larger than the {} bytes that its manifest says", blob.size);
                return Err(OciError::new(Kind::Damaged, message));
            }
            digesting.update(&piece);
            bytes.extend_from_slice(&piece);
        }
        let came = bytes.len() as u64;
        if came < blob.size {
            return Err(cut(what, came, Some(blob.size)));
        }
        let digest = digesting.finish();
        match digest == blob.digest {
            true => Ok(bytes),
            false => Err(wrong_digest(what, blob.digest, digest)),
        }
    }

    async fn ask_manifest(
        &self,
        method: Method,
        reference: &Reference,
    ) -> Result<Response, OciError> {
        let url = self.url(reference, &["manifests", &reference.target()])?;
        let mut request = self.http.request(method, url);
        for accepted in ACCEPTED {
            request = request.header(ACCEPT, HeaderValue::from_static(accepted));
        }
        let scope = Scope::pull(reference);
        let response = self.send(request, &scope, reference, self.limits.answer_timeout).await?;
        match response.status() {
            StatusCode::OK => Ok(response),
            _ => Err(self.refusal(response, reference, &reference.to_string()).await),
        }
    }

    /// Ask, with what the registry wants to be told. A request whose body cannot be sent twice must come behind another
    /// one of its scope.
    async fn send(
        &self,
        request: RequestBuilder,
        scope: &Scope,
        reference: &Reference,
        deadline: Duration,
    ) -> Result<Response, OciError> {
        let again = request.try_clone();
        let granted = self.granted.lock().get(scope).cloned();
        let response = self.send_once(request, granted.as_ref(), deadline).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let Some(again) = again else { return Ok(response) };
        let Some(authorization) = self.authorize(&response, scope, reference).await? else {
            return Ok(response);
        };
        self.grant(scope, authorization.clone());
        self.send_once(again, Some(&authorization), deadline).await
    }

    fn grant(&self, scope: &Scope, authorization: Authorization) {
        let mut granted = self.granted.lock();
        if granted.len() >= REPOSITORIES {
            granted.clear();
        }
        granted.insert(scope.clone(), authorization);
    }

    async fn send_once(
        &self,
        request: RequestBuilder,
        authorization: Option<&Authorization>,
        deadline: Duration,
    ) -> Result<Response, OciError> {
        let request = match authorization {
            Some(authorization) => authorization.applied(request),
            None => request,
        };
        let answer = timeout(deadline, request.send()).await;
        let answer = answer.map_err(|_| silent(&self.host, deadline))?;
        answer.map_err(|error| self.unreachable(error))
    }

    /// All of a body that has a bound.
    async fn whole(
        &self,
        response: Response,
        bytes_max: u64,
        what: &str,
    ) -> Result<Bytes, OciError> {
        // Small as they are, they could come in single bytes.
        let deadline = self.limits.pull_timeout;
        let read = timeout(deadline, self.whole_now(response, bytes_max, what)).await;
        read.unwrap_or_else(|_| Err(late(what, &self.host, deadline, self.hints)))
    }

    async fn whole_now(
        &self,
        mut response: Response,
        bytes_max: u64,
        what: &str,
    ) -> Result<Bytes, OciError> {
        let length = content_length(&response);
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece(&mut response, what, bytes.len() as u64, length).await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > bytes_max {
                let message = format!("{what} has more than {bytes_max} bytes");
                return Err(OciError::new(Kind::Damaged, message));
            }
        }
        Ok(bytes.into())
    }

    async fn piece(
        &self,
        response: &mut Response,
        what: &str,
        came: u64,
        size: Option<u64>,
    ) -> Result<Option<Bytes>, OciError> {
        let idle = self.limits.idle_timeout;
        let piece = timeout(idle, response.chunk()).await.map_err(|_| {
            let message = format!("{what} stands still: nothing came for {idle:?}");
            OciError::new(Kind::Away, message)
        })?;
        piece.map_err(|_| cut(what, came, size))
    }

    /// What a refusal says, as far as it is text.
    async fn reason(&self, response: Response) -> Vec<u8> {
        let text = self.whole(response, ANSWER_BYTES, "the reason").await;
        text.unwrap_or_default().to_vec()
    }

    fn url(&self, reference: &Reference, steps: &[&str]) -> Result<Url, OciError> {
        let path = format!("{}/{}", reference.path(), steps.join("/"));
        // Of characters that mean nothing in a URL.
        self.base.join(&path).map_err(|error| {
            OciError::new(Kind::Local, format!("{reference} is no usable address: {error}"))
        })
    }
}

/// Followed a few steps, and never from an encrypted place to one in clear text.
fn redirects(plain_http: bool) -> Policy {
    Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECTS {
            return attempt.error("it sends on and on");
        }
        match attempt.url().scheme() {
            "https" => attempt.follow(),
            "http" if plain_http => attempt.follow(),
            _ => attempt.error("it sends on to a place without encryption"),
        }
    })
}

fn claimed_digest(response: &Response) -> Option<ContentDigest> {
    response.headers().get(CONTENT_DIGEST)?.to_str().ok()?.parse().ok()
}

fn content_length(response: &Response) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A registry that says nothing.
pub(crate) fn silent(host: &str, deadline: Duration) -> OciError {
    OciError::new(Kind::Away, format!("the registry {host} did not answer within {deadline:?}"))
}

/// What did not come within its whole time.
pub(crate) fn late(what: &str, host: &str, deadline: Duration, hints: Hints) -> OciError {
    let error = OciError::new(Kind::Away, format!("{what} did not come within {deadline:?}"));
    match hints {
        Hints::File => error
            .hint(format!("raise pull-timeout below [registry.\"{host}\"], if it is that large")),
        Hints::Options => error.hint("try again, over a faster line"),
    }
}

fn wrong_digest(what: &str, expected: ContentDigest, came: ContentDigest) -> OciError {
    let message = format!(
        "{what} is not what it should be: its digest is {came}, and {expected} was asked for"
    );
    OciError::new(Kind::Damaged, message)
        .hint("something between here and there changes it, or the registry's disk is damaged")
}

fn cut(what: &str, came: u64, size: Option<u64>) -> OciError {
    let of = size.map(|size| format!(" of {size}")).unwrap_or_default();
    OciError::new(Kind::Damaged, format!("{what} broke off after {came}{of} bytes"))
        .hint("try again")
}
