//! What goes to a registry: blobs, then the manifest that names them.

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Response, StatusCode, Url};
use tokio::task::spawn_blocking;

use super::{Registry, Scope};
use crate::digest::ContentDigest;
use crate::error::{Kind, OciError, said};
use crate::reference::Reference;
use wasm_host_limits::oci::UPLOAD_TIMEOUT;

impl Registry {
    /// Send a blob, unless it is there already. Returns its digest.
    pub async fn put_blob(
        &self,
        reference: &Reference,
        blob: impl Into<Bytes>,
    ) -> Result<ContentDigest, OciError> {
        let blob = blob.into();
        // The digest of a large one takes a while.
        let digested = spawn_blocking({
            let blob = blob.clone();
            move || ContentDigest::of(&blob)
        });
        let digest =
            digested.await.map_err(|error| OciError::new(Kind::Local, error.to_string()))?;
        if self.has_blob(reference, digest).await? {
            return Ok(digest);
        }
        let what = format!("the upload to {}", reference.place());
        let scope = Scope::push(reference);
        let begin = self.url(reference, &["blobs", "uploads", ""])?;
        let begin = self.http.post(begin).header(CONTENT_LENGTH, 0);
        let begun = self.send(begin, &scope, reference, self.limits.answer_timeout).await?;
        if begun.status() != StatusCode::ACCEPTED {
            return Err(self.refusal(begun, reference, &what).await);
        }
        let mut place = self.location(&begun)?;
        place.query_pairs_mut().append_pair("digest", &digest.to_string());
        let request = self
            .http
            .put(place.clone())
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(blob);
        let sent = match place.origin() == self.base.origin() {
            true => self.send(request, &scope, reference, UPLOAD_TIMEOUT).await?,
            // What lets it in there stands in the address; credentials are for the registry alone.
            false => self.send_once(request, None, UPLOAD_TIMEOUT).await?,
        };
        match sent.status() {
            StatusCode::CREATED => Ok(digest),
            _ => Err(self.refusal(sent, reference, &what).await),
        }
    }

    /// Send a manifest whose blobs are there. With a tag in the reference, that one is its name from now on.
    pub async fn put_manifest(
        &self,
        reference: &Reference,
        media_type: &str,
        manifest: impl Into<Bytes>,
    ) -> Result<ContentDigest, OciError> {
        let manifest = manifest.into();
        let digest = ContentDigest::of(&manifest);
        let name = reference.tag.clone().unwrap_or_else(|| digest.to_string());
        let url = self.url(reference, &["manifests", &name])?;
        let request = self.http.put(url).header(CONTENT_TYPE, media_type).body(manifest);
        let scope = Scope::push(reference);
        let sent = self.send(request, &scope, reference, self.limits.answer_timeout).await?;
        match sent.status() {
            StatusCode::CREATED => Ok(digest),
            _ => Err(self.refusal(sent, reference, &reference.to_string()).await),
        }
    }

    async fn has_blob(
        &self,
        reference: &Reference,
        digest: ContentDigest,
    ) -> Result<bool, OciError> {
        let url = self.url(reference, &["blobs", &digest.to_string()])?;
        let request = self.http.head(url);
        // An account that may not look may be allowed to write, and is told then.
        let scope = Scope::push(reference);
        let answer = self.send(request, &scope, reference, self.limits.answer_timeout).await?;
        Ok(answer.status() == StatusCode::OK)
    }

    /// Where an upload goes on. It may be elsewhere, but never without encryption where that is expected.
    fn location(&self, begun: &Response) -> Result<Url, OciError> {
        let host = &self.host;
        let refused =
            |message: String, hint: &str| OciError::new(Kind::Refused, message).hint(hint);
        let location = begun.headers().get(LOCATION).and_then(|place| place.to_str().ok());
        let place = location.and_then(|place| begun.url().join(place).ok());
        let place = place.ok_or_else(|| {
            let message = format!("the registry {host} does not say where an upload goes");
            refused(message, "correct the host, if it is no registry, or tell whoever runs it")
        })?;
        match place.scheme() {
            "https" => Ok(place),
            "http" if self.plain_http => Ok(place),
            _ => Err(refused(
                format!(
                    "the registry {host} wants the upload sent without encryption, to {}",
                    said(place.host_str().unwrap_or_default())
                ),
                "if a proxy speaks TLS for it, that must set X-Forwarded-Proto: https, or the registry be told its \
                 address (http.host in its configuration)",
            )),
        }
    }
}
