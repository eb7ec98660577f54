//! `wasm-host.lock`: which content each reference of an application file stands for, until `update` says otherwise.
//!
//! It is a file of its users: it lies beside the application file, is kept with it, and is read by people. Knows no
//! registry.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::digest::ContentDigest;
use crate::error::{Kind, OciError, said};
use crate::reference::Reference;
use wasm_host_limits::COMPONENT_FILE_BYTES;
use wasm_host_limits::oci::{LOCK_FILE_BYTES, LOCK_FILE_PAUSE, LOCK_FILE_TIMEOUT};
use wasm_host_system::whole;

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

/// Held while pins are written into a folder. The folder itself is locked: the file is another one whenever it is written.
struct Alone(Option<File>);

impl Alone {
    fn with(folder: &Path, patience: Duration) -> io::Result<Self> {
        let folder = File::open(folder)?;
        let since = Instant::now();
        loop {
            match folder.try_lock() {
                Ok(()) => return Ok(Self(Some(folder))),
                Err(TryLockError::WouldBlock) if since.elapsed() < patience => {
                    thread::sleep(LOCK_FILE_PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    let message = format!(
                        "another process has had its folder locked for {patience:?}; try again when that has ended"
                    );
                    return Err(io::Error::other(message));
                }
                // Not every file system has locks for folders. What is written is whole all the same.
                Err(TryLockError::Error(_)) => return Ok(Self(None)),
            }
        }
    }
}

impl Drop for Alone {
    /// To close the folder is not enough: a process that is being started has a copy of it for a moment.
    fn drop(&mut self) {
        let _ = self.0.as_ref().map(File::unlock);
    }
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
            wrong(format!("line {line}: {}", said(error.message())))
        })?;
        for (reference, pin) in &read.component {
            if pin.size > COMPONENT_FILE_BYTES {
                return Err(wrong(format!(
                    "{} has a size of {} bytes, and no component has more than {COMPONENT_FILE_BYTES}",
                    said(reference),
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

    /// Change those of a file as it is now, while no other process does, and write it if that changes any. Returns them,
    /// and what `change` returns. Waits for others for at most [`LOCK_FILE_TIMEOUT`].
    pub fn change<T>(
        path: &Path,
        change: impl FnOnce(&mut Self) -> T,
    ) -> Result<(Self, T), OciError> {
        let cannot = |error: io::Error| {
            let message = format!("{} cannot be written: {error}", path.display());
            OciError::new(Kind::Local, message)
        };
        let _alone = Alone::with(whole::folder_of(path), LOCK_FILE_TIMEOUT).map_err(cannot)?;
        let before = Self::read(path)?;
        let mut pins = before.clone();
        let changed = change(&mut pins);
        if pins != before {
            whole::write(path, pins.to_text().as_bytes()).map_err(cannot)?;
        }
        Ok((pins, changed))
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

    /// Forget what no reference says any more.
    pub fn retain(&mut self, references: &[Reference]) {
        let used: Vec<String> = references.iter().map(Reference::to_string).collect();
        self.0.retain(|reference, _| used.contains(reference));
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
    use std::fs;
    use std::sync::Barrier;

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
        let (b, a) = (reference("oci://b.example/x:1"), reference("oci://a.example/x:1"));
        let set = |pins: &mut Pins| {
            pins.set(&b, pin(b"b"));
            pins.set(&a, pin(b"a"))
        };
        let (mut pins, before) = Pins::change(&path, set).unwrap();
        assert_eq!(before, None);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# The content"), "{text}");
        assert!(text.find("a.example") < text.find("b.example"), "{text}");
        assert_eq!(Pins::read(&path), Ok(pins.clone()));
        assert_eq!(pins.get(&a), Some(pin(b"a")));
        assert_eq!(pins.get(&a.at(ContentDigest::of(b"a"))), None);
        assert_eq!(pins.set(&a, pin(b"c")), Some(pin(b"a")));
        pins.retain(std::slice::from_ref(&b));
        assert_eq!(pins.all().count(), 1);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_several_write_at_the_same_time_is_all_there() {
        const WRITERS: usize = 4;
        const EACH: usize = 25;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wasm-host.lock");
        let begin = Barrier::new(WRITERS);
        let write = |writer: usize| {
            begin.wait();
            for number in 0..EACH {
                let own = reference(&format!("oci://{writer}.example/x:{number}"));
                Pins::change(&path, |pins| pins.set(&own, pin(b"a"))).unwrap();
            }
        };
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                scope.spawn(move || write(writer));
            }
        });
        assert_eq!(Pins::read(&path).unwrap().all().count(), WRITERS * EACH);
    }

    #[test]
    fn a_folder_that_stays_locked_is_waited_for_no_longer_than_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let held = Alone::with(folder.path(), Duration::ZERO).unwrap();
        let told = Alone::with(folder.path(), LOCK_FILE_PAUSE).err().unwrap().to_string();
        assert!(
            told.ends_with("its folder locked for 10ms; try again when that has ended"),
            "{told}"
        );
        drop(held);
        assert!(Alone::with(folder.path(), Duration::ZERO).is_ok());
    }

    #[test]
    fn what_is_not_changed_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wasm-host.lock");
        Pins::change(&path, |_| ()).unwrap();
        assert!(!path.exists());
        // What cannot be read is left alone.
        fs::write(&path, "version = 2\n").unwrap();
        let wrong = Pins::change(&path, |pins| *pins = Pins::default()).unwrap_err();
        assert!(wrong.to_string().contains("it has version 2"), "{wrong}");
        let nowhere = folder.path().join("missing/wasm-host.lock");
        let wrong = Pins::change(&nowhere, |_| ()).unwrap_err();
        assert!(wrong.to_string().contains("wasm-host.lock cannot be written: "), "{wrong}");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_told_with_its_line_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wasm-host.lock");
        for (text, why) in [
            ("version = 1\n[component.\"x\"]\nmanifest = \"sha256:0\"\n", "line 3: "),
            ("version = 2\n", "it has version 2, and this host knows 1"),
            ("version = 1\n<<<<<<< HEAD\n", "line 2: "),
            ("", "line 1: 'missing field `version`'"),
            ("\"\\u001b[2J\" = 1", "line 1: 'unknown field `\\u{1b}[2J`"),
        ] {
            fs::write(&path, text).unwrap();
            let told = Pins::read(&path).unwrap_err().to_string();
            assert!(told.contains("wasm-host.lock: ") && told.contains(why), "{told}");
            assert!(told.contains("restore it from your version control"), "{told}");
        }
    }
}
