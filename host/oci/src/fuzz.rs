//! What registries, files and people say, by chance: understood, or refused, and never more than that.

use proptest::prelude::*;

use crate::artifact;
use crate::manifest::Manifest;
use crate::pins::Pins;
use crate::reference::Reference;
use crate::signature::{PublicKey, Signature, SigningKey};

proptest! {
    #[test]
    fn any_text_is_a_reference_that_reads_again_or_refused_with_a_fix(
        text in "(oci://)?(\\PC{0,12}|[a-zA-Z0-9.:\\[\\]-]{1,20})/(\\PC{0,12}|[a-z0-9._/-]{1,20})(:[a-zA-Z0-9._-]{0,8})?",
    ) {
        match Reference::parse(&text) {
            Ok(reference) => {
                prop_assert_eq!(Reference::parse(&reference.to_string()), Ok(reference.clone()));
                // What goes into a path of a URL is one path, and leads nowhere else.
                prop_assert!(!reference.repository.split('/').any(|step| step.is_empty() || step.starts_with('.')));
                prop_assert!(!reference.to_string().contains(['"', '\\', '%', '?', '#', ' ']));
            }
            Err(problem) => prop_assert!(problem.hint.is_some()),
        }
    }

    #[test]
    fn any_manifest_is_read_or_refused(
        bytes in any::<Vec<u8>>(),
        digest in "(sha256:[0-9a-f]{64}|sha256:[0-9a-f]{0,9}|\\PC{0,20})",
        size in any::<i64>(),
        kind in "(application/wasm|\\PC{0,10})",
    ) {
        prop_assert!(Manifest::from_bytes(&bytes).is_err());
        let layer = serde_json::json!({ "mediaType": kind, "digest": digest, "size": size });
        let text = serde_json::json!({ "schemaVersion": 2, "config": layer, "layers": [layer] });
        if let Ok(manifest) = Manifest::from_bytes(text.to_string().as_bytes()) {
            prop_assert!(size >= 0);
            let again = Manifest::from_bytes(&manifest.to_bytes());
            prop_assert_eq!(again.as_ref(), Ok(&manifest));
            let _ = artifact::component(&manifest, "it");
        }
    }

    #[test]
    fn any_key_and_any_signature_is_refused(text in "\\PC{0,40}", body in "[A-Za-z0-9+/=\n]{0,120}") {
        let pem = |what: &str| format!("-----BEGIN {what}-----\n{body}\n-----END {what}-----\n");
        prop_assert!(SigningKey::from_pem(&pem("PRIVATE KEY")).is_err());
        prop_assert!(PublicKey::from_pem(&pem("PUBLIC KEY")).is_err());
        let manifest = crate::digest::ContentDigest::of(b"");
        let signature = Signature { signed: text, signature: body };
        let (_, public) = SigningKey::generate().unwrap();
        let key = PublicKey::from_pem(&public).unwrap();
        prop_assert!(!crate::signature::is_signed(manifest, &[signature], &[key]));
    }

    #[test]
    fn any_file_of_pins_is_read_or_left_alone(text in "(version = 1\n)?\\PC{0,60}") {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wasm-host.lock");
        std::fs::write(&path, &text).unwrap();
        if let Err(error) = Pins::read(&path) {
            prop_assert!(error.hint.is_some());
        }
        prop_assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}
