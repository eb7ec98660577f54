//! Which models there are, which are installed, and which are in memory.
//!
//! A component has no storage: what was pulled, deleted or loaded is remembered by the instance
//! only. The header of the crate says what the host must do for that and what is lost with an
//! instance.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use crate::table::{LAYERS, Layer, TABLE};

/// A model that this component has.
#[derive(Debug, PartialEq)]
pub(crate) struct Kind {
    pub name: &'static str,
    /// How many tokens it looks back: what makes one model larger than the other.
    pub context: usize,
    /// Installed when an instance starts.
    included: bool,
}

pub(crate) static KINDS: [Kind; 2] = [
    Kind { name: "demo:latest", context: 3, included: true },
    Kind { name: "demo:tiny", context: 2, included: false },
];

impl Kind {
    /// The model that a client means: names are compared without case, the tag may be left out, and
    /// so may the registry's address.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        let name = name.trim().to_lowercase();
        let name = name.strip_prefix("registry.ollama.ai/").unwrap_or(&name);
        let name = name.strip_prefix("library/").unwrap_or(name);
        KINDS.iter().find(|kind| {
            kind.name == name
                || kind.name.strip_suffix(":latest").is_some_and(|short| short == name)
        })
    }

    /// The parts it is made of.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &'static Layer> {
        let context = self.context;
        LAYERS.iter().filter(move |layer| layer.context <= context)
    }

    /// Bytes of all parts.
    pub(crate) fn size(&self) -> u64 {
        self.layers().map(|layer| layer.size).sum()
    }

    /// Of its largest part, which no other model has.
    pub(crate) fn digest(&self) -> &'static str {
        self.layers().max_by_key(|layer| (layer.context, layer.size)).map_or("", |it| it.digest)
    }

    pub(crate) fn ngrams(&self) -> usize {
        TABLE.ngrams(self.context)
    }

    /// For people: `12.2K n-grams`.
    pub(crate) fn parameter_size(&self) -> String {
        format!("{:.1}K n-grams", self.ngrams() as f64 / 1000.0)
    }
}

/// What one instance remembers.
pub(crate) struct Library {
    installed: Vec<(&'static Kind, SystemTime)>,
    deleted: Vec<&'static Kind>,
    loaded: Vec<(&'static Kind, SystemTime)>,
}

thread_local! {
    // An instance has one thread. In native tests each test has its own library.
    static LIBRARY: RefCell<Option<Library>> = const { RefCell::new(None) };
}

/// Look at or change this instance's library. Never across an `await`.
pub(crate) fn with<T>(now: SystemTime, work: impl FnOnce(&mut Library) -> T) -> T {
    LIBRARY.with_borrow_mut(|library| work(library.get_or_insert_with(|| Library::new(now))))
}

impl Library {
    pub(crate) fn new(now: SystemTime) -> Self {
        let included = KINDS.iter().filter(|kind| kind.included);
        Self {
            installed: included.map(|kind| (kind, now)).collect(),
            deleted: Vec::new(),
            loaded: Vec::new(),
        }
    }

    /// The installed models and since when, newest first.
    pub(crate) fn installed(&self) -> impl Iterator<Item = &(&'static Kind, SystemTime)> {
        self.installed.iter().rev()
    }

    pub(crate) fn is_installed(&self, kind: &Kind) -> bool {
        self.installed.iter().any(|(installed, _)| *installed == kind)
    }

    /// The model that a request is for, and since when it is installed. One that was neither pulled
    /// nor deleted here was pulled from an instance that is gone: it is back.
    pub(crate) fn wanted(
        &mut self,
        name: &str,
        now: SystemTime,
    ) -> Option<(&'static Kind, SystemTime)> {
        let kind = Kind::find(name).filter(|kind| !self.deleted.contains(kind))?;
        if !self.is_installed(kind) {
            self.install(kind, now);
        }
        self.installed.iter().find(|(installed, _)| *installed == kind).copied()
    }

    pub(crate) fn install(&mut self, kind: &'static Kind, now: SystemTime) {
        self.installed.retain(|(installed, _)| *installed != kind);
        self.installed.push((kind, now));
        self.deleted.retain(|deleted| *deleted != kind);
    }

    /// Remove a model; says whether it was there.
    pub(crate) fn delete(&mut self, name: &str, now: SystemTime) -> bool {
        let Some((kind, _)) = self.wanted(name, now) else { return false };
        self.installed.retain(|(installed, _)| *installed != kind);
        self.deleted.push(kind);
        self.unload(kind);
        true
    }

    /// The models in memory and until when, the longest-lived first.
    pub(crate) fn loaded(&mut self, now: SystemTime) -> &[(&'static Kind, SystemTime)] {
        self.loaded.retain(|(_, until)| *until > now);
        self.loaded.sort_by_key(|(_, until)| std::cmp::Reverse(*until));
        &self.loaded
    }

    /// Keep a model in memory from now on for as long as `keep`; not at all if that is zero.
    pub(crate) fn load(&mut self, kind: &'static Kind, now: SystemTime, keep: Duration) {
        self.unload(kind);
        if let Some(until) = now.checked_add(keep).filter(|until| *until > now) {
            self.loaded.push((kind, until));
        }
    }

    pub(crate) fn unload(&mut self, kind: &'static Kind) {
        self.loaded.retain(|(loaded, _)| *loaded != kind);
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn names_are_found_as_ollama_finds_them() {
        for name in ["demo", "demo:latest", "Demo:Latest", "library/demo", " demo "] {
            assert_eq!(Kind::find(name), Some(&KINDS[0]), "{name}");
        }
        assert_eq!(Kind::find("registry.ollama.ai/library/demo:tiny"), Some(&KINDS[1]));
        for name in ["", "demo:", "demo:huge", "llama3", "other/demo", "demotiny"] {
            assert_eq!(Kind::find(name), None, "{name}");
        }
    }

    #[test]
    fn a_pull_and_a_delete_show_in_the_list() {
        let mut library = Library::new(UNIX_EPOCH);
        let names =
            |library: &Library| library.installed().map(|(kind, _)| kind.name).collect::<Vec<_>>();
        assert_eq!(names(&library), ["demo:latest"]);
        library.install(&KINDS[1], UNIX_EPOCH);
        library.install(&KINDS[1], UNIX_EPOCH);
        assert_eq!(names(&library), ["demo:tiny", "demo:latest"]);
        assert!(library.delete("demo", UNIX_EPOCH));
        assert!(!library.delete("demo", UNIX_EPOCH));
        assert!(library.wanted("demo:latest", UNIX_EPOCH).is_none());
        assert_eq!(names(&library), ["demo:tiny"]);
        library.install(&KINDS[0], UNIX_EPOCH);
        assert!(library.wanted("demo:latest", UNIX_EPOCH).is_some());
    }

    #[test]
    fn a_model_that_another_instance_pulled_still_answers() {
        let mut library = Library::new(UNIX_EPOCH);
        assert!(!library.is_installed(&KINDS[1]));
        assert_eq!(library.wanted("demo:tiny", UNIX_EPOCH), Some((&KINDS[1], UNIX_EPOCH)));
        assert!(library.is_installed(&KINDS[1]));
        assert_eq!(library.wanted("llama3", UNIX_EPOCH), None);
        assert!(Library::new(UNIX_EPOCH).delete("demo:tiny", UNIX_EPOCH));
    }

    #[test]
    fn a_model_leaves_memory_when_its_time_is_over() {
        let mut library = Library::new(UNIX_EPOCH);
        let after = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        library.load(&KINDS[0], UNIX_EPOCH, Duration::from_secs(5));
        library.load(&KINDS[1], UNIX_EPOCH, Duration::from_secs(9));
        assert_eq!(library.loaded(after(1))[0], (&KINDS[1], after(9)));
        assert_eq!(library.loaded(after(6)).len(), 1);
        library.load(&KINDS[1], after(6), Duration::ZERO);
        assert!(library.loaded(after(6)).is_empty());
        library.load(&KINDS[0], after(6), Duration::from_nanos(i64::MAX as u64));
        assert!(library.delete("demo:latest", UNIX_EPOCH));
        assert!(library.loaded(after(7)).is_empty());
    }

    #[test]
    fn sizes_and_digests_are_those_of_the_parts() {
        let [latest, tiny] = &KINDS;
        assert!(latest.size() > tiny.size() && latest.ngrams() > tiny.ngrams());
        assert_ne!(latest.digest(), tiny.digest());
        assert!(latest.layers().all(|layer| layer.digest.len() == 64 && layer.size > 0));
        assert!(latest.parameter_size().ends_with("K n-grams"));
    }
}
