//! An image: layers, and the configuration that says how they are run.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use wasm_host_limits::image::BASE_LAYERS;
use wasm_host_oci::digest::ContentDigest;
use wasm_host_oci::error::said;
use wasm_host_oci::manifest::{Descriptor, IMAGE_CONFIG, Manifest};

use crate::layer::{LAYER, Layer};

/// What labels of images begin with.
const LABEL: &str = "org.opencontainers.image.";

/// When everything here was made: a time of its own would make every image another one.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// How Docker calls a compressed layer.
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// An image with all its bytes.
#[derive(Clone, Debug)]
pub struct Image {
    config: Map<String, Value>,
    layers: Vec<Blob>,
}

/// Bytes and what they are.
#[derive(Clone, Debug)]
pub struct Blob {
    pub descriptor: Descriptor,
    pub bytes: Bytes,
}

impl Image {
    /// An image without layers, for the machine that this program is for.
    pub fn new(run: Map<String, Value>) -> Self {
        let config = json!({
            "architecture": architecture(),
            "config": run,
            "created": CREATED,
            "history": [],
            "os": "linux",
            "rootfs": { "type": "layers", "diff_ids": [] },
        });
        let Value::Object(config) = config else { return Self::empty() };
        Self { config, layers: Vec::new() }
    }

    fn empty() -> Self {
        Self { config: Map::new(), layers: Vec::new() }
    }

    /// One that was read.
    ///
    /// # Errors
    /// Why nothing can be put onto it, in words.
    pub fn read(config: &[u8], layers: Vec<Blob>) -> Result<Self, String> {
        let read: Map<String, Value> = serde_json::from_slice(config).map_err(|error| {
            format!("line {} of its configuration cannot be read", error.line())
        })?;
        let mut image = Self { config: read, layers };
        let ids =
            image.config.get("rootfs").and_then(|it| it.get("diff_ids")).and_then(Value::as_array);
        if ids.map(Vec::len) != Some(image.layers.len()) {
            return Err("its configuration and its manifest name different layers".to_owned());
        }
        let text = |key| image.config.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("os") != "linux" || text("architecture") != architecture() {
            let (os, architecture_of) = (text("os"), text("architecture"));
            return Err(format!(
                "it is for {}, and this program for linux/{}",
                said(&format!("{os}/{architecture_of}")),
                architecture()
            ));
        }
        if image.layers.len() > BASE_LAYERS {
            return Err(format!("it has more than {BASE_LAYERS} layers"));
        }
        for layer in &mut image.layers {
            match layer.descriptor.media_type.as_str() {
                DOCKER_LAYER => layer.descriptor.media_type = LAYER.to_owned(),
                kind if kind.starts_with("application/vnd.oci.image.layer.v1.tar") => {}
                other => return Err(format!("it has a layer of the kind {}", said(other))),
            }
        }
        Ok(image)
    }

    /// Put a layer on top. `said` is what the image's history says of it.
    pub fn add(&mut self, layer: Layer, said: &str) {
        let Layer { descriptor, diff_id, bytes } = layer;
        let ids = self.config.get_mut("rootfs").and_then(|rootfs| rootfs.get_mut("diff_ids"));
        if let Some(ids) = ids.and_then(Value::as_array_mut) {
            ids.push(diff_id.to_string().into());
        }
        let history = self.config.entry("history").or_insert_with(|| json!([]));
        if let Some(history) = history.as_array_mut() {
            history.push(json!({ "created": CREATED, "created_by": said }));
        }
        self.layers.push(Blob { descriptor, bytes });
    }

    /// Set a label of those that all images have, such as `title`.
    pub fn label(&mut self, key: &str, value: &str) {
        let run = self.config.entry("config").or_insert_with(|| json!({}));
        let Some(run) = run.as_object_mut() else { return };
        let labels = run.entry("Labels").or_insert_with(|| json!({}));
        if labels.is_null() {
            *labels = json!({});
        }
        if let Some(labels) = labels.as_object_mut() {
            labels.insert(format!("{LABEL}{key}"), value.into());
        }
    }

    /// How it is run.
    pub fn run(&self) -> Option<&Map<String, Value>> {
        self.config.get("config")?.as_object()
    }

    /// The configuration as it is sent.
    pub fn config(&self) -> Blob {
        let bytes = serde_json::to_vec(&self.config).unwrap_or_default();
        Blob { descriptor: Descriptor::of(IMAGE_CONFIG, &bytes), bytes: bytes.into() }
    }

    pub fn layers(&self) -> &[Blob] {
        &self.layers
    }

    pub fn manifest(&self) -> Manifest {
        let layers = self.layers.iter().map(|layer| layer.descriptor.clone()).collect();
        Manifest::new(self.config().descriptor, layers)
    }

    pub fn digest(&self) -> ContentDigest {
        ContentDigest::of(&self.manifest().to_bytes())
    }

    /// Bytes of all layers, as they are sent.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.descriptor.size).sum()
    }
}

/// As images name what this program was built for.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Draft;

    fn blob(kind: &str) -> Blob {
        Blob { descriptor: Descriptor::of(kind, b"x"), bytes: Bytes::from_static(b"x") }
    }

    fn config(architecture: &str, layers: usize) -> Vec<u8> {
        let ids = vec![ContentDigest::of(b"x"); layers];
        let config = json!({
            "architecture": architecture, "os": "linux", "variant": "kept",
            "config": { "Labels": null, "User": "1" }, "rootfs": { "type": "layers", "diff_ids": ids },
        });
        config.to_string().into_bytes()
    }

    #[test]
    fn what_another_image_says_stays_below_what_is_put_onto_it() {
        let base = Image::read(&config(architecture(), 1), vec![blob(DOCKER_LAYER)]);
        let mut image = base.unwrap();
        let mut draft = Draft::default();
        draft.folder("/app");
        image.add(draft.build().unwrap(), "more");
        image.label("title", "x");
        let config: Value = serde_json::from_slice(&image.config().bytes).unwrap();
        assert_eq!(config["variant"], "kept");
        assert_eq!(config["config"]["User"], "1");
        assert_eq!(config["config"]["Labels"]["org.opencontainers.image.title"], "x");
        assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
        let kinds: Vec<_> =
            image.layers().iter().map(|layer| layer.descriptor.media_type.as_str()).collect();
        assert_eq!(kinds, [LAYER, LAYER]);
    }

    #[test]
    fn what_nothing_can_be_put_onto_is_told() {
        let own = architecture();
        for (config, layers, why) in [
            (b"x".to_vec(), vec![], "cannot be read"),
            (config(own, 2), vec![blob(LAYER)], "name different layers"),
            (config("other", 1), vec![blob(LAYER)], "it is for 'linux/other'"),
            (
                config(own, 1),
                vec![blob("application/wasm")],
                "a layer of the kind 'application/wasm'",
            ),
        ] {
            let told = Image::read(&config, layers).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }
}
