//! How a client recognises a file: by a tag that changes when the content does, also with the same size and time.
//!
//! It is a digest of the content, the same wherever and whenever a copy of the file is served. A digest is kept as long
//! as the system says that the file was not written; it counts time in steps, in one of which a file may be written
//! twice, so a time of a moment ago is not trusted. Large files are not read for it: their tag is made of what the
//! system knows, which changes more often than the content, and while they are being written they have none.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use parking_lot::{Mutex, MutexGuard};
use sha2::{Digest as _, Sha256};

use wasm_host_limits::http as limits;

/// Bytes of a digest that are in the tag. Two files with the same ones are of no use to an attacker.
const TOLD: usize = 16;

/// The digests of one folder's files.
#[derive(Default)]
pub(super) struct Tags(Mutex<HashMap<Id, (Stamp, HeaderValue)>>);

/// Device and number: the same for all names of a file, and another one for what takes its name.
type Id = (u64, u64);

/// Which file it is, and what was last written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    id: Id,
    stamp: Stamp,
}

/// What the system changes when a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: (i64, i64),
    /// No program can set it.
    changed: (i64, i64),
}

// === impl Tags ===

impl Tags {
    /// The tag of an open file, all of which is `content` if it was read already. Waits for the disk.
    pub(super) fn of(
        &self,
        file: &File,
        metadata: &Metadata,
        content: Option<&[u8]>,
    ) -> io::Result<Option<HeaderValue>> {
        let Identity { id, stamp } = Identity::of(metadata);
        let is_settled = stamp.is_settled(SystemTime::now(), limits::FILE_SETTLED);
        if stamp.bytes > limits::FILE_DIGEST_BYTES {
            return Ok(if is_settled { stamp.tag(id) } else { None });
        }
        if let Some((_, tag)) = self.known().get(&id).filter(|(known, _)| *known == stamp) {
            return Ok(Some(tag.clone()));
        }
        let tag = tag(match content {
            Some(content) => Sha256::new_with_prefix(content),
            None => digest(file)?,
        });
        if Stamp::of(&file.metadata()?) != stamp {
            // Written meanwhile: it is not known of which content the digest is.
            return Ok(None);
        }
        if let (Some(tag), true) = (&tag, is_settled) {
            let mut known = self.known();
            if known.len() >= limits::FILE_DIGESTS {
                known.clear();
            }
            known.insert(id, (stamp, tag.clone()));
        }
        Ok(tag)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Id, (Stamp, HeaderValue)>> {
        self.0.lock()
    }
}

// === impl Identity ===

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { id: (metadata.dev(), metadata.ino()), stamp: Stamp::of(metadata) }
    }

    /// Whether a program that writes the file now changes it by that.
    pub(super) fn is_settled(&self, now: SystemTime, after: Duration) -> bool {
        self.stamp.is_settled(now, after)
    }
}

// === impl Stamp ===

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether a program that writes the file now changes the stamp by that.
    fn is_settled(&self, now: SystemTime, after: Duration) -> bool {
        let changed = Duration::from_secs(u64::try_from(self.changed.0).unwrap_or(0));
        let age = now.duration_since(UNIX_EPOCH + changed);
        age.is_ok_and(|age| age > after)
    }

    fn tag(&self, (device, number): Id) -> Option<HeaderValue> {
        let mut hash = Sha256::new();
        for part in [device, number, self.bytes] {
            hash.update(part.to_le_bytes());
        }
        for part in [self.modified.0, self.modified.1, self.changed.0, self.changed.1] {
            hash.update(part.to_le_bytes());
        }
        tag(hash)
    }
}

fn digest(file: &File) -> io::Result<Sha256> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; limits::FILE_CHUNK_BYTES];
    let mut at = 0;
    // A file that grows while it is read has an end all the same.
    while at <= limits::FILE_DIGEST_BYTES {
        match file.read_at(&mut piece, at)? {
            0 => break,
            count => {
                hash.update(piece.get(..count).unwrap_or_default());
                at += count as u64;
            }
        }
    }
    Ok(hash)
}

fn tag(hash: Sha256) -> Option<HeaderValue> {
    let hash = hash.finalize();
    let told = hex::encode(hash.get(..TOLD).unwrap_or(&hash));
    HeaderValue::from_str(&format!("\"{told}\"")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(changed: i64) -> Stamp {
        Stamp { bytes: 1, modified: (7, 7), changed: (changed, 5) }
    }

    #[test]
    fn what_has_just_been_written_may_be_written_again_unseen() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        for (changed, expected) in [(900, true), (999, false), (1000, false), (2000, false)] {
            let is_settled = stamp(changed).is_settled(now, limits::FILE_SETTLED);
            assert_eq!(is_settled, expected, "{changed}");
        }
    }

    #[test]
    fn a_digest_is_kept_until_the_system_says_that_the_file_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page");
        let tags = Tags::default();
        let tag = |content: &str| {
            std::fs::write(&path, content).unwrap();
            let file = File::open(&path).unwrap();
            tags.of(&file, &file.metadata().unwrap(), None).unwrap().unwrap()
        };
        let (one, two) = (tag("one"), tag("two"));
        assert_ne!(one, two);
        assert_eq!(tag("one"), one);

        // As if it had been written long ago.
        let file = File::open(&path).unwrap();
        let metadata = file.metadata().unwrap();
        let id = (metadata.dev(), metadata.ino());
        tags.known().insert(id, (Stamp::of(&metadata), two.clone()));
        assert_eq!(tags.of(&file, &metadata, None).unwrap(), Some(two.clone()));
        assert_ne!(tag("three"), two);
    }

    #[test]
    fn the_tag_of_a_large_file_is_of_what_the_system_knows() {
        let (one, other) = (stamp(1), stamp(2));
        assert_eq!(one.tag((1, 1)), stamp(1).tag((1, 1)));
        for tag in [one.tag((1, 2)), one.tag((2, 1)), other.tag((1, 1))] {
            assert_ne!(one.tag((1, 1)), tag);
        }
    }
}
