//! A component as an artifact: the form of the wasm working group of the CNCF.
//!
//! Pure. What a component imports and exports is told by the caller, which reads components.

use serde::Serialize;

use crate::digest::ContentDigest;
use crate::error::{Kind, OciError, said};
use crate::manifest::{Descriptor, Manifest};
use wasm_host_limits::COMPONENT_FILE_BYTES;

/// The configuration that says that an artifact is WebAssembly.
pub const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// The component itself.
pub const WASM_LAYER: &str = "application/wasm";

/// As Spin writes them, and as others did before there was a common form.
const OTHER_LAYERS: [&str; 2] = [
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
];

/// Annotations that say what an image is.
pub const TITLE: &str = "org.opencontainers.image.title";

/// All that is pushed of a component.
pub struct Artifact {
    pub manifest: Manifest,
    pub config: Vec<u8>,
    pub component: Vec<u8>,
}

/// What a component offers and needs, as its configuration tells it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Interface {
    pub exports: Vec<String>,
    pub imports: Vec<String>,
    pub target: Option<String>,
}

/// The configuration of the working group's form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WasmConfig {
    created: &'static str,
    architecture: &'static str,
    os: &'static str,
    layer_digests: [ContentDigest; 1],
    component: Interface,
}

impl Artifact {
    /// Of a component's bytes. `title` is a name for people. The same component has the same digest whenever it is
    /// pushed: no time is in it.
    pub fn of(component: Vec<u8>, interface: Interface, title: &str) -> Self {
        let mut layer = Descriptor::of(WASM_LAYER, &component);
        layer.annotations.insert(TITLE.to_owned(), title.to_owned());
        let config = WasmConfig {
            created: "1970-01-01T00:00:00Z",
            architecture: "wasm",
            os: "wasip2",
            layer_digests: [layer.digest],
            component: interface,
        };
        let config = serde_json::to_vec(&config).unwrap_or_default();
        let manifest = Manifest::new(Descriptor::of(WASM_CONFIG, &config), vec![layer]);
        Self { manifest, config, component }
    }
}

/// The one component of an artifact.
pub fn component(manifest: &Manifest, name: &str) -> Result<Descriptor, OciError> {
    let is_wasm = |layer: &&Descriptor| {
        layer.media_type == WASM_LAYER || OTHER_LAYERS.contains(&&*layer.media_type)
    };
    let mut components = manifest.layers.iter().filter(is_wasm);
    let unusable = |what: String| OciError::new(Kind::Unusable, format!("{name} {what}"));
    match (components.next(), components.count()) {
        (Some(component), 0) if component.size > COMPONENT_FILE_BYTES => Err(OciError::new(
            Kind::Damaged,
            format!(
                "the component of {name} has {} bytes, more than the {COMPONENT_FILE_BYTES} that a component may have",
                component.size
            ),
        )),
        (Some(component), 0) => Ok(component.clone()),
        (Some(_), more) => Err(unusable(format!("has {} components", more + 1))
            .hint("a service is one: push each to a repository of its own")),
        (None, _) => Err(unusable(format!(
            "is no component: it has no layer of {WASM_LAYER}, and its configuration is {}",
            said(&manifest.config.media_type)
        ))
        .hint("push one with `wasm-host push`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(layers: &[&str]) -> Manifest {
        let layers = layers.iter().map(|kind| Descriptor::of(kind, kind.as_bytes())).collect();
        Manifest::new(Descriptor::of("x", b"{}"), layers)
    }

    #[test]
    fn a_component_has_the_form_of_the_working_group() {
        let interface = Interface {
            exports: vec!["wasi:http/handler@0.3.0".to_owned()],
            ..Interface::default()
        };
        let artifact = Artifact::of(b"\0asm".to_vec(), interface, "weather.wasm");
        let config: serde_json::Value = serde_json::from_slice(&artifact.config).unwrap();
        let digest = ContentDigest::of(b"\0asm").to_string();
        assert_eq!(
            config,
            serde_json::json!({
                "created": "1970-01-01T00:00:00Z",
                "architecture": "wasm",
                "os": "wasip2",
                "layerDigests": [digest],
                "component": {
                    "exports": ["wasi:http/handler@0.3.0"], "imports": [], "target": null,
                },
            })
        );
        assert_eq!(artifact.manifest.config.media_type, WASM_CONFIG);
        assert_eq!(artifact.manifest.config.digest, ContentDigest::of(&artifact.config));
        let layer = component(&artifact.manifest, "x").unwrap();
        assert_eq!((layer.media_type.as_str(), layer.size), (WASM_LAYER, 4));
        assert_eq!(layer.annotations[TITLE], "weather.wasm");
    }

    #[test]
    fn other_forms_with_one_component_are_read() {
        for layers in [
            &["application/vnd.wasm.content.layer.v1+wasm"][..],
            &["application/vnd.wasm.content.layer.v1+data", WASM_LAYER, "text/plain"],
        ] {
            assert!(component(&manifest(layers), "x").is_ok(), "{layers:?}");
        }
    }

    /// As wkg writes it (oci-wasm 0.6 with oci-client's manifest), and Spin 3: by their sources, with digests of this test.
    const WKG: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.wasm.config.v0+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[{"mediaType":"application/wasm","digest":"sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b","size":1}],"annotations":{"org.opencontainers.image.version":"1.2.0"}}"#;
    const SPIN: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[{"mediaType":"application/vnd.wasm.content.layer.v1+wasm","digest":"sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b","size":1},{"mediaType":"application/vnd.wasm.content.layer.v1+data","digest":"sha256:d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35","size":1},{"mediaType":"application/vnd.fermyon.spin.application.v1+config","digest":"sha256:4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce","size":1}],"annotations":{"org.opencontainers.image.title":"weather"}}"#;

    #[test]
    fn manifests_of_other_tools_have_their_one_component() {
        for text in [WKG, SPIN] {
            let manifest = Manifest::from_bytes(text.as_bytes()).unwrap();
            let layer = component(&manifest, "it").unwrap();
            assert_eq!((layer.digest, layer.size), (ContentDigest::of(b"1"), 1), "{text}");
        }
    }

    #[test]
    fn what_is_no_component_is_told() {
        let told = |manifest: &Manifest| component(manifest, "it").unwrap_err().to_string();
        assert!(told(&manifest(&[])).starts_with("it is no component: it has no layer of"));
        let image = manifest(&["application/vnd.oci.image.layer.v1.tar+gzip"]);
        assert!(told(&image).contains("push one with `wasm-host push`"));
        let two = manifest(&[WASM_LAYER, WASM_LAYER]);
        assert!(told(&two).starts_with("it has 2 components; a service is one"));
        let mut loud = manifest(&[]);
        loud.config.media_type = "\u{1b}[2J\u{202e}".repeat(1000);
        let told_loud = told(&loud);
        assert!(told_loud.contains("configuration is '\\u{1b}[2J\\u{202e}"), "{told_loud}");
        assert!(told_loud.len() < 500, "{told_loud}");
        let mut large = manifest(&[WASM_LAYER]);
        large.layers[0].size = COMPONENT_FILE_BYTES + 1;
        assert!(told(&large).contains("more than the 268435456 that a component may have"));
    }
}
