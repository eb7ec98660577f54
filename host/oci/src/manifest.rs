//! Manifests as registries keep them: what an artifact consists of, each part by its digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::ContentDigest;

pub const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What a registry is told that this program reads.
pub(crate) const ACCEPTED: [&str; 4] = [IMAGE_MANIFEST, IMAGE_INDEX, DOCKER_MANIFEST, DOCKER_LIST];

const SCHEMA_VERSION: u32 = 2;

/// An image manifest: of a component, of a signature, or of a container's image. The order of its fields and maps is
/// fixed, so that the same content has the same digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    pub config: Descriptor,
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: ContentDigest,
    /// In bytes.
    pub size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: ContentDigest::of(bytes),
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        }
    }
}

impl Manifest {
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            media_type: Some(IMAGE_MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            annotations: BTreeMap::new(),
        }
    }

    /// As it is sent, and what its digest is of.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Plain data always has a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// # Errors
    /// What it is instead, in words.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        // Without the parser's words, which repeat what it found.
        let unreadable = |error: serde_json::Error| {
            let (line, column) = (error.line(), error.column());
            format!(
                "its manifest cannot be read: line {line}, column {column} is not what it should be"
            )
        };
        let kind: Kind = serde_json::from_slice(bytes).map_err(unreadable)?;
        if kind.manifests.is_some() {
            return Err("it is an index of several images, not a component".to_owned());
        }
        if kind.schema_version != SCHEMA_VERSION {
            return Err(format!("its manifest has the old form {}", kind.schema_version));
        }
        serde_json::from_slice(bytes).map_err(unreadable)
    }
}

/// As much of a manifest of any kind as tells which it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    schema_version: u32,
    manifests: Option<serde::de::IgnoredAny>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_written_in_one_way_and_reads_again() {
        let mut layer = Descriptor::of("application/wasm", b"wasm");
        layer.annotations.insert("b".to_owned(), "2".to_owned());
        layer.annotations.insert("a".to_owned(), "1".to_owned());
        let manifest = Manifest::new(Descriptor::of("x/config", b"{}"), vec![layer]);
        let text = String::from_utf8(manifest.to_bytes()).unwrap();
        assert!(text.starts_with(
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"x/config","digest":"sha256:44136f"#
        ));
        assert!(text.ends_with(r#""size":4,"annotations":{"a":"1","b":"2"}}]}"#), "{text}");
        assert_eq!(Manifest::from_bytes(text.as_bytes()), Ok(manifest));
    }

    #[test]
    fn what_is_no_manifest_of_one_image_is_named() {
        for (text, why) in [
            ("", "cannot be read"),
            ("[]", "cannot be read"),
            (r#"{"schemaVersion":2}"#, "cannot be read"),
            (r#"{"schemaVersion":1,"name":"x"}"#, "the old form 1"),
            (r#"{"schemaVersion":2,"manifests":[]}"#, "an index of several images"),
            (
                r#"{"schemaVersion":2,"config":{"mediaType":"x","digest":"sha256:0","size":1}}"#,
                "cannot be read",
            ),
            (
                r#"{"schemaVersion":2,"config":{"mediaType":"x","digest":"../../etc","size":1}}"#,
                "cannot be read",
            ),
        ] {
            let told = Manifest::from_bytes(text.as_bytes()).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }

    #[test]
    fn nothing_of_a_manifest_is_repeated_that_cannot_be_read() {
        let words = "\u{1b}[2J".repeat(1000);
        let wrong = serde_json::json!({ "schemaVersion": 2, "config": words });
        for wrong in [serde_json::json!({ "schemaVersion": words }), wrong] {
            let told = Manifest::from_bytes(wrong.to_string().as_bytes()).unwrap_err();
            assert!(told.starts_with("its manifest cannot be read: line 1, column "), "{told}");
            assert!(told.len() < 100, "{told}");
        }
    }
}
