//! Signatures of components, as cosign's signature specification has them with a key: what is signed names the digest of
//! the manifest, and signatures lie beside it under a tag made of that digest. The bundles of cosign 3 are not read.
//!
//! Pure, and offline: no certificate, no log of a third party, only keys that somebody keeps. Files of keys are read
//! by others.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use serde::{Deserialize, Serialize};
use wasm_host_settings::diagnostic::Problem;

use crate::digest::ContentDigest;
use crate::reference::Reference;

/// What is signed, as a layer.
pub const SIGNED: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The signature itself, as an annotation of that layer.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

const TYPE: &str = "cosign container image signature";

/// How the form X.509 writes that a key of the curve P-256 follows. The key is the point on it, uncompressed.
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const P256_POINT: usize = 65;

/// Characters of a line of PEM.
const PEM_LINE: usize = 64;

/// What tells whether somebody signed.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    point: [u8; P256_POINT],
}

/// What signs. Printing it shows nothing.
pub struct SigningKey(EcdsaKeyPair);

/// What was signed, and the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// JSON, as cosign writes it.
    pub signed: String,
    /// In base64.
    pub signature: String,
}

#[derive(Serialize, Deserialize)]
struct Statement {
    critical: Critical,
    optional: Option<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    r#type: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: String,
}

/// The tag under which the signatures of a manifest lie.
pub fn tag(manifest: ContentDigest) -> String {
    format!("sha256-{}.sig", manifest.hex())
}

/// Whether one of the keys made one of the signatures, of exactly this manifest.
pub fn is_signed(manifest: ContentDigest, signatures: &[Signature], keys: &[PublicKey]) -> bool {
    signatures.iter().any(|signature| {
        signature.is_of(manifest) && keys.iter().any(|key| key.has_made(signature))
    })
}

impl Signature {
    fn is_of(&self, manifest: ContentDigest) -> bool {
        let Ok(statement) = serde_json::from_str::<Statement>(&self.signed) else { return false };
        let Critical { image, r#type, .. } = statement.critical;
        r#type == TYPE && image.docker_manifest_digest == manifest.to_string()
    }
}

impl SigningKey {
    /// A new one, as the text of a PEM file (PKCS #8, not encrypted), with the text of its public key.
    pub fn generate() -> Option<(String, String)> {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).ok()?;
        let pem = pem("PRIVATE KEY", key.as_ref());
        let public = Self::from_pem(&pem).ok()?.public()?.to_pem();
        Some((pem, public))
    }

    pub fn from_pem(text: &str) -> Result<Self, Problem> {
        // Errors of the parsers are not repeated: they may quote the key.
        let wrong = |what: &str| {
            Problem::new(
                what,
                "it is an ECDSA key of the curve P-256 in PKCS #8, -----BEGIN PRIVATE KEY-----, not encrypted, as \
                 `wasm-host key generate` and `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` make it",
            )
        };
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes())
            .map_err(|_| wrong("there is no private key in it"))?;
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            key.secret_pkcs8_der(),
            &random,
        );
        key.map(Self).map_err(|_| wrong("it is a private key of another kind"))
    }

    pub fn public(&self) -> Option<PublicKey> {
        let point = self.0.public_key().as_ref().try_into().ok()?;
        Some(PublicKey { point })
    }

    /// Sign a manifest, as it lies in a repository.
    pub fn sign(&self, place: &Reference, manifest: ContentDigest) -> Option<Signature> {
        let statement = Statement {
            critical: Critical {
                identity: Identity { docker_reference: place.place() },
                image: Image { docker_manifest_digest: manifest.to_string() },
                r#type: TYPE.to_owned(),
            },
            optional: None,
        };
        let signed = serde_json::to_string(&statement).ok()?;
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        Some(Signature { signed, signature: STANDARD.encode(signature.as_ref()) })
    }
}

impl PublicKey {
    pub fn from_pem(text: &str) -> Result<Self, Problem> {
        let wrong = |what: &str| {
            Problem::new(
                what,
                "it is an ECDSA key of the curve P-256, -----BEGIN PUBLIC KEY-----, as `wasm-host key generate` and \
                 cosign make it",
            )
        };
        let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes())
            .map_err(|_| wrong("there is no public key in it"))?;
        let point = der.strip_prefix(&P256_PREFIX).and_then(|point| point.try_into().ok());
        Ok(Self { point: point.ok_or_else(|| wrong("it is a public key of another kind"))? })
    }

    pub fn to_pem(&self) -> String {
        pem("PUBLIC KEY", &[&P256_PREFIX[..], &self.point].concat())
    }

    fn has_made(&self, signature: &Signature) -> bool {
        let Ok(bytes) = STANDARD.decode(&signature.signature) else { return false };
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point);
        key.verify(signature.signed.as_bytes(), &bytes).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({})", ContentDigest::of(&self.point).short())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKey")
    }
}

fn pem(what: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {what}-----\n");
    let encoded = STANDARD.encode(der);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(PEM_LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {what}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> (SigningKey, PublicKey) {
        let (private, public) = SigningKey::generate().unwrap();
        (SigningKey::from_pem(&private).unwrap(), PublicKey::from_pem(&public).unwrap())
    }

    fn place() -> Reference {
        Reference::parse("oci://registry.example/shop/weather:1").unwrap()
    }

    #[test]
    fn a_signature_holds_for_its_key_and_its_manifest_alone() {
        let ((own, own_public), (other, other_public)) = (key(), key());
        let (manifest, another) = (ContentDigest::of(b"1"), ContentDigest::of(b"2"));
        let signature = own.sign(&place(), manifest).unwrap();
        let signed = |manifest, signature: &Signature, key: &PublicKey| {
            is_signed(manifest, std::slice::from_ref(signature), std::slice::from_ref(key))
        };
        assert!(signed(manifest, &signature, &own_public));
        assert!(!signed(another, &signature, &own_public));
        assert!(!signed(manifest, &signature, &other_public));
        assert!(!signed(manifest, &other.sign(&place(), manifest).unwrap(), &own_public));
        // What is said to be signed was changed.
        let changed = Signature {
            signed: signature.signed.replace(&manifest.hex(), &another.hex()),
            ..signature.clone()
        };
        assert!(!signed(another, &changed, &own_public));
        // Several signatures, several keys: one of each is enough.
        let all = [other.sign(&place(), manifest).unwrap(), signature.clone()];
        assert!(is_signed(manifest, &all, &[own_public]));
        assert!(!is_signed(manifest, &all, &[]));
        assert!(!is_signed(manifest, &[], &[other_public]));
    }

    /// Of this test alone, as `openssl genpkey` and `openssl pkey -pubout` write them.
    const OPENSSL_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgG6fc/bN1cIrO4LDD\n\
        +DlWG+thBzxDkAe74Ufh/g/jgZehRANCAAQMPKxMLT2wddPV540a7jLBU/v6kW7O\n\
        0SrAO12CyyDeUX8PO+ORAFBv+8PzMYjjv9ivmuugIc//W3UXGwknS7Gm\n\
        -----END PRIVATE KEY-----\n";
    const OPENSSL_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEDDysTC09sHXT1eeNGu4ywVP7+pFu\n\
        ztEqwDtdgssg3lF/DzvjkQBQb/vD8zGI47/Yr5rroCHP/1t1FxsJJ0uxpg==\n\
        -----END PUBLIC KEY-----\n";

    /// What cosign's specification has signed, with claims of whoever signs, and what `openssl dgst -sha256 -sign` made of
    /// it.
    const OPENSSL_SIGNED: &str = r#"{"critical":{"identity":{"docker-reference":"registry.example/shop/weather"},"image":{"docker-manifest-digest":"sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"},"type":"cosign container image signature"},"optional":{"creator":"release","timestamp":1458239713}}"#;
    const OPENSSL_SIGNATURE: &str = "MEUCIQDIPDf9sZxHSrv21im5y8ORCvMiyPvdZQnPC4gS+AigagIgCumU7z6Tj3kytbPZN1c4HZ+uGSVjmAQkhQnYM9fC4Uo=";

    #[test]
    fn what_openssl_makes_is_read_and_holds() {
        let manifest = ContentDigest::of(b"1");
        let public = PublicKey::from_pem(OPENSSL_PUBLIC).unwrap();
        let signature = Signature {
            signed: OPENSSL_SIGNED.to_owned(),
            signature: OPENSSL_SIGNATURE.to_owned(),
        };
        assert!(is_signed(manifest, std::slice::from_ref(&signature), &[public]));
        let private = SigningKey::from_pem(OPENSSL_PRIVATE).unwrap();
        let public = private.public().unwrap();
        assert_eq!(public.to_pem(), OPENSSL_PUBLIC);
        let own = private.sign(&place(), manifest).unwrap();
        assert!(is_signed(manifest, &[own], std::slice::from_ref(&public)));
        let changed = signature.signed.replace("release", "someone");
        assert!(!is_signed(manifest, &[Signature { signed: changed, ..signature }], &[public]));
    }

    #[test]
    fn a_signature_of_something_else_than_a_manifest_does_not_hold() {
        let (own, public) = key();
        let manifest = ContentDigest::of(b"1");
        let signed = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":""}},"image":{{"docker-manifest-digest":"{manifest}"}},"type":"atomic"}},"optional":null}}"#
        );
        let bytes = own.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        let signature = Signature { signed, signature: STANDARD.encode(bytes.as_ref()) };
        assert!(public.has_made(&signature));
        assert!(!is_signed(manifest, &[signature], &[public]));
    }

    #[test]
    fn what_is_signed_has_cosigns_form() {
        let signature = key().0.sign(&place(), ContentDigest::of(b"1")).unwrap();
        assert_eq!(
            signature.signed,
            r#"{"critical":{"identity":{"docker-reference":"registry.example/shop/weather"},"image":{"docker-manifest-digest":"sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"},"type":"cosign container image signature"},"optional":null}"#
        );
        assert!(tag(ContentDigest::of(b"1")).starts_with("sha256-6b86"));
    }

    #[test]
    fn other_keys_are_refused_and_none_is_quoted() {
        let (private, public) = SigningKey::generate().unwrap();
        let told = |text: &str| {
            let signing = SigningKey::from_pem(text).unwrap_err().message;
            (signing, PublicKey::from_pem(text).unwrap_err().message)
        };
        let none = ("there is no private key in it", "there is no public key in it");
        assert_eq!(told("secret"), (none.0.to_owned(), none.1.to_owned()));
        assert_eq!(PublicKey::from_pem(&private).unwrap_err().message, none.1);
        assert_eq!(SigningKey::from_pem(&public).unwrap_err().message, none.0);
        let short = pem("PUBLIC KEY", &P256_PREFIX);
        assert!(PublicKey::from_pem(&short).unwrap_err().message.contains("another kind"));
        assert_eq!(PublicKey::from_pem(&public).unwrap().to_pem(), public);
    }
}
