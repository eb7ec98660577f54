//! `wasm-host.lock`: which content each reference of an application file stands for, until `update` says otherwise.
//!
//! It is a file of its users: it lies beside the application file, is kept with it, and is read by people. Knows no
//! registry.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use serde::Deserialize;

use crate::digest::ContentDigest;
use crate::error::{Kind, OciError};
use crate::reference::Reference;
use wasm_host_limits::COMPONENT_FILE_BYTES;
use wasm_host_limits::oci::LOCK_FILE_BYTES;

const VERSION: u32 = 1;

const HEADER: &str = "\
# The content that each oci:// reference of the application file stands for, by its digests.
# Written by wasm-host, which follows it also when a tag moves. Keep it with the application file.
# `wasm-host update` asks for the tags anew.
";

/// What a reference stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Of the manifest: what a registry is asked for.
    pub manifest: ContentDigest,
    /// Of the component itself: what a cache is asked for.
    pub component: ContentDigest,
    /// Of the component, in bytes.
    pub size: u64,
}

/// All pins of one application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<String, Pin>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default)]
    component: BTreeMap<String, Pin>,
}

impl Pins {
    /// Those of a file; none if there is no file.
    pub fn read(path: &Path) -> Result<Self, OciError> {
        let wrong = |what: String| {
            OciError::new(Kind::Local, format!("{}: {what}", path.display())).hint(
                "restore it from your version control, or remove it, which asks for all tags anew",
            )
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(wrong(format!("it cannot be read: {error}"))),
        };
        let mut text = String::new();
        let read = file.take(LOCK_FILE_BYTES + 1).read_to_string(&mut text);
        read.map_err(|error| wrong(format!("it cannot be read: {error}")))?;
        if text.len() as u64 > LOCK_FILE_BYTES {
            return Err(wrong(format!("it has more than {LOCK_FILE_BYTES} bytes")));
        }
        let read: Document = toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .map_or(1, |at| text.get(..at.start).unwrap_or_default().matches('\n').count() + 1);
            wrong(format!("line {line}: {}", error.message().lines().next().unwrap_or_default()))
        })?;
        for (reference, pin) in &read.component {
            if pin.size > COMPONENT_FILE_BYTES {
                return Err(wrong(format!(
                    "{reference} has a size of {} bytes, and no component has more than {COMPONENT_FILE_BYTES}",
                    pin.size
                )));
            }
        }
        if read.version != VERSION {
            let what = format!("it has version {}, and this host knows {VERSION}", read.version);
            return Err(wrong(what));
        }
        Ok(Self(read.component))
    }

    /// Whole or not at all.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.partial", std::process::id()));
        let partial = path.with_file_name(name);
        let written = (|| {
            let mut file = File::create(&partial)?;
            file.write_all(self.to_text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&partial, path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&partial);
        }
        written
    }

    /// What a reference stands for; nothing if it is new, or names another digest than the one that is pinned.
    pub fn get(&self, reference: &Reference) -> Option<Pin> {
        let pin = *self.0.get(&reference.to_string())?;
        reference.digest.is_none_or(|digest| digest == pin.manifest).then_some(pin)
    }

    /// Returns what it stood for before.
    pub fn set(&mut self, reference: &Reference, pin: Pin) -> Option<Pin> {
        self.0.insert(reference.to_string(), pin)
    }

    /// Forget what no reference says any more. Whether there was any.
    pub fn retain(&mut self, references: &[&Reference]) -> bool {
        let before = self.0.len();
        let used: Vec<String> = references.iter().map(|reference| reference.to_string()).collect();
        self.0.retain(|reference, _| used.contains(reference));
        self.0.len() < before
    }

    pub fn all(&self) -> impl Iterator<Item = &Pin> {
        self.0.values()
    }

    fn to_text(&self) -> String {
        let mut text = format!("{HEADER}version = {VERSION}\n");
        for (reference, Pin { manifest, component, size }) in &self.0 {
            // A reference has no character that a string would have to escape.
            text.push_str(&format!(
                "\n[component.\"{reference}\"]\nmanifest = \"{manifest}\"\ncomponent = \"{component}\"\nsize = {size}\n"
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(content: &[u8]) -> Pin {
        Pin {
            manifest: ContentDigest::of(content),
            component: ContentDigest::of(&[content, b"c"].concat()),
            size: 7,
        }
    }

    fn reference(text: &str) -> Reference {
        Reference::parse(text).unwrap()
    }

    #[test]
    fn pins_read_as_they_are_written_and_are_sorted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wasm-host.lock");
        assert_eq!(Pins::read(&path), Ok(Pins::default()));
        let mut pins = Pins::default();
        let (b, a) = (reference("oci://b.example/x:1"), reference("oci://a.example/x:1"));
        pins.set(&b, pin(b"b"));
        pins.set(&a, pin(b"a"));
        pins.write(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# The content"), "{text}");
        assert!(text.find("a.example") < text.find("b.example"), "{text}");
        assert_eq!(Pins::read(&path), Ok(pins.clone()));
        assert_eq!(pins.get(&a), Some(pin(b"a")));
        assert_eq!(pins.get(&a.at(ContentDigest::of(b"a"))), None);
        assert_eq!(pins.set(&a, pin(b"c")), Some(pin(b"a")));
        assert!(pins.retain(&[&b]) && !pins.retain(&[&b]));
        assert_eq!(pins.all().count(), 1);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_told_with_its_line_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wasm-host.lock");
        for (text, why) in [
            ("version = 1\n[component.\"x\"]\nmanifest = \"sha256:0\"\n", "line 3: "),
            ("version = 2\n", "it has version 2, and this host knows 1"),
            ("version = 1\n<<<<<<< HEAD\n", "line 2: "),
            ("", "line 1: missing field `version`"),
        ] {
            fs::write(&path, text).unwrap();
            let told = Pins::read(&path).unwrap_err().to_string();
            assert!(told.contains("wasm-host.lock: ") && told.contains(why), "{told}");
            assert!(told.contains("restore it from your version control"), "{told}");
        }
    }
}
