//! What a damaged disk may do to compiled code.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::Engine as HostEngine;
use crate::compile::{ComponentFile, compile_now};
use wasm_host_limits::host::HostLimits;

/// An empty component, compiled into the cache below a folder.
struct Compiled {
    folder: tempfile::TempDir,
    engine: HostEngine,
    file: ComponentFile,
}

impl Compiled {
    fn new() -> Self {
        let bytes = b"\0asm\x0d\0\x01\0".to_vec();
        let compiled = Self {
            folder: tempfile::tempdir().unwrap(),
            engine: HostEngine::new(HostLimits::instances().default).unwrap(),
            file: ComponentFile::from_bytes(bytes, PathBuf::from("x.wasm")).unwrap(),
        };
        compile_now(&compiled.engine, &compiled.cache(), &compiled.file).unwrap();
        compiled
    }

    /// As a host that has just started sees it.
    fn cache(&self) -> CodeCache {
        CodeCache::new(self.folder.path())
    }

    fn entry(&self) -> PathBuf {
        let mut entries = fs::read_dir(self.folder.path().join("code")).unwrap();
        let entry = entries.next().unwrap().unwrap().path();
        assert!(entries.next().is_none());
        entry
    }

    fn load(&self) -> Option<Arc<Code>> {
        self.cache().load(self.engine.wasmtime(), &self.file.digest)
    }
}

#[test]
fn code_that_was_changed_on_disk_is_not_run_and_made_anew() {
    let compiled = Compiled::new();
    let whole = fs::read(compiled.entry()).unwrap();
    assert!(compiled.load().is_some());
    // Bits all over the file, its seal included.
    for at in (0..whole.len()).step_by(whole.len() / 50).chain([whole.len() - 1]) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(compiled.entry(), damaged).unwrap();
        assert!(compiled.load().is_none(), "bit flipped in byte {at}");
        assert_eq!(fs::read_dir(compiled.folder.path().join("code")).unwrap().count(), 0);
        compile_now(&compiled.engine, &compiled.cache(), &compiled.file).unwrap();
        assert!(compiled.load().is_some(), "made anew");
    }
}

#[test]
fn code_that_was_cut_short_on_disk_is_not_run() {
    let compiled = Compiled::new();
    let whole = fs::read(compiled.entry()).unwrap();
    for length in [0, 1, SEAL_BYTES - 1, SEAL_BYTES, whole.len() / 2, whole.len() - 1] {
        fs::write(compiled.entry(), &whole[..length]).unwrap();
        assert!(compiled.load().is_none(), "{length} bytes");
        compile_now(&compiled.engine, &compiled.cache(), &compiled.file).unwrap();
    }
}

#[test]
fn the_code_of_another_component_is_not_run_under_this_ones_name() {
    let compiled = Compiled::new();
    let name = compiled.entry();
    let other = b"\0asm\x0d\0\x01\0\0\x02\x01a".to_vec();
    let other = ComponentFile::from_bytes(other, PathBuf::from("y.wasm")).unwrap();
    fs::rename(&name, compiled.folder.path().join("kept")).unwrap();
    compile_now(&compiled.engine, &compiled.cache(), &other).unwrap();
    fs::rename(compiled.entry(), &name).unwrap();
    assert!(compiled.load().is_none());
}

#[test]
fn code_in_use_survives_what_happens_to_its_file_and_is_shared() {
    let compiled = Compiled::new();
    let cache = compiled.cache();
    let load = || cache.load(compiled.engine.wasmtime(), &compiled.file.digest).unwrap();
    let first = load();
    File::options().write(true).open(compiled.entry()).unwrap().set_len(10).unwrap();
    assert!(Arc::ptr_eq(&first, &load()));
    // It is read where it lies: a mapped file would end the process here.
    assert!(!first.serialize().unwrap().is_empty());
    drop(first);
    assert!(cache.load(compiled.engine.wasmtime(), &compiled.file.digest).is_none());
}

#[test]
fn code_that_is_kept_nowhere_is_shared_while_it_is_in_use() {
    let compiled = Compiled::new();
    let cache = CodeCache::none();
    let get = || compile_now(&compiled.engine, &cache, &compiled.file).unwrap();
    let first = get();
    assert!(Arc::ptr_eq(&first, &get()));
    drop(first);
    assert!(cache.load(compiled.engine.wasmtime(), &compiled.file.digest).is_none());
}

#[test]
fn a_folder_that_others_may_write_to_keeps_no_code() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(CodeCache::new(folder.path()).folder.is_none());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(CodeCache::new(folder.path()).folder.is_some());
}
