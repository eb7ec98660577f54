//! Buckets of the host's own: their bounds, and what stays of a file.

use super::*;
use crate::budget::{Budget, Holdings, on_account_of};
use crate::keyvalue::backend::Error;
use crate::testing::ObservedRequests;

#[tokio::test]
async fn a_bucket_in_memory_has_room_for_what_its_size_says() {
    let bucket = MemoryBucket::new(runs(BucketAddress::in_memory("b")), 10_000);
    let set = async |key: &str, bytes: usize| {
        bucket.set(key.to_owned(), Value(vec![0; bytes]), request()).await
    };
    set("a", 4000).await.unwrap();
    set("b", 4000).await.unwrap();
    let full = set("c", 4000).await.unwrap_err();
    let Error::Full(why) = full else { panic!("{full:?}") };
    assert!(why.contains("more than 10000 bytes ('size' of [keyvalue.b] sets the bound)"), "{why}");
    // What takes the place of something else counts for the difference.
    set("a", 5000).await.unwrap();
    let both = vec![("a".to_owned(), value("")), ("c".to_owned(), Value(vec![0; 9000]))];
    assert!(matches!(bucket.set_many(both, request()).await, Err(Error::Full(_))));
    let got = bucket.get("a".into(), request()).await.unwrap().unwrap();
    assert_eq!(got.0.len(), 5000);
    bucket.delete_many(vec!["a".into(), "b".into()], request()).await.unwrap();
    set("c", 9000).await.unwrap();
    // Nothing is left of it when all has gone.
    bucket.delete("c".into(), request()).await.unwrap();
    set("d", 9700).await.unwrap();
}

#[tokio::test]
async fn a_file_has_room_for_what_its_size_says_and_works_again_when_something_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyvalue/b.sqlite");
    let bucket = FileBucket::new(runs(BucketAddress::in_a_file("b")), path.clone(), MIB);
    let set =
        async |n: usize| bucket.set(format!("key-{n}"), Value(vec![0; 100_000]), request()).await;
    let mut last = 0;
    let full = loop {
        match set(last).await {
            Ok(()) => last += 1,
            Err(error) => break error,
        }
    };
    let Error::Full(why) = full else { panic!("{full:?}") };
    assert!(why.contains("'size' of [keyvalue.b] sets the bound"), "{why}");
    assert!((8..11).contains(&last), "{last}");
    assert!(std::fs::metadata(&path).unwrap().len() <= MIB);
    let got = bucket.get("key-3".into(), request()).await.unwrap();
    assert_eq!(got.unwrap().0.len(), 100_000);
    bucket.delete("key-3".into(), request()).await.unwrap();
    set(last).await.unwrap();
}

#[tokio::test]
async fn a_file_stays_locked_when_a_write_has_failed() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyvalue/b.sqlite");
    let bucket = FileBucket::new(runs(BucketAddress::in_a_file("b")), path.clone(), MIB);
    bucket.set("a".into(), value("x"), request()).await.unwrap();
    // This leaves a connection that reads.
    bucket.get("a".into(), request()).await.unwrap();
    let locks = || {
        let all = std::fs::read_to_string("/proc/locks").unwrap();
        let of_file = format!(":{} ", std::fs::metadata(&path).unwrap().ino());
        let of_this = format!(" {} ", std::process::id());
        all.lines().filter(|line| line.contains(&of_file) && line.contains(&of_this)).count()
    };
    assert!(locks() > 0);
    let large = Value(vec![0; 2 * MIB as usize]);
    let full = bucket.set("b".into(), large, request()).await.unwrap_err();
    assert!(matches!(full, Error::Full(_)), "{full:?}");
    bucket.set("a".into(), value("y"), request()).await.unwrap();
    assert!(locks() > 0, "another program would take the file for one that nothing has open");
}

#[tokio::test]
async fn a_file_has_what_was_written_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = file(&folder);
    first.set("a".into(), value("one"), request()).await.unwrap();
    first.increment("n".into(), 3, request()).await.unwrap();
    drop(first);
    let second = file(&folder);
    assert_eq!(second.get("a".into(), request()).await, Ok(Some(value("one"))));
    assert_eq!(second.increment("n".into(), 4, request()).await, Ok(7));
    // Only the host's own user reads it.
    use std::os::unix::fs::MetadataExt as _;
    let path = folder.path().join("keyvalue/b.sqlite");
    assert_eq!(std::fs::metadata(path).unwrap().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_file_that_is_no_bucket_is_told_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyvalue/b.sqlite");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    let damaged = "this is no database ".repeat(1000);
    std::fs::write(&path, &damaged).unwrap();
    let bucket = file(&folder);
    let told = bucket.check().await.unwrap_err();
    let shown = format!("the file {} of the bucket b cannot be used: ", path.display());
    assert!(told.starts_with(&shown), "{told}");
    let error = bucket.get("a".into(), request()).await.unwrap_err();
    let Error::Unavailable(why) = error else { panic!("{error:?}") };
    assert_eq!(why, "the file of the bucket b cannot be used: file is not a database");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged);
    std::fs::remove_file(&path).unwrap();
    bucket.set("a".into(), value("x"), request()).await.unwrap();
}

#[tokio::test]
async fn what_a_guest_is_given_counts_for_its_instance() {
    for (kind, bucket) in All::start().buckets {
        let large = || Value(vec![0; 200_000]);
        bucket.set("a".into(), large(), request()).await.unwrap();
        bucket.set("b".into(), large(), request()).await.unwrap();
        let all = Budget::new(usize::MAX);
        let holdings = Holdings::new(300_000, &all.share(usize::MAX));
        let held = || holdings.hold_call(0).unwrap();
        let get = on_account_of(held(), bucket.get("a".into(), request()));
        assert!(get.await.unwrap().is_some(), "{kind}");
        let both = vec!["a".to_owned(), "b".to_owned()];
        let refused = on_account_of(held(), bucket.get_many(both, request())).await.unwrap_err();
        let Error::Busy(why) = refused else { panic!("{kind}: {refused:?}") };
        assert!(why.contains("'memory' sets the bound"), "{kind}: {why}");
        assert_eq!(all.used(), 0, "{kind}");
    }
}

#[tokio::test]
async fn a_call_is_seen_without_its_key_and_its_value() {
    let seen = ObservedRequests::new(true);
    let bucket = memory("sessions");
    let caller = seen.request(0);
    bucket.set("secret-key".into(), value("secret-value"), caller.clone()).await.unwrap();
    drop(caller);
    let (attributes, why) = seen.collected.call();
    assert_eq!(why, None);
    let shown = format!("{attributes:?}");
    for part in ["db.system.name", "memory", "db.namespace", "sessions", "db.operation.name", "set"]
    {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    assert!(!shown.contains("secret"), "{shown}");
    let caller = seen.request(0);
    let wrong = bucket.increment("secret-key".into(), 1, caller.clone()).await;
    assert!(wrong.is_err());
    drop(caller);
    let (kind, why) = seen.collected.failure();
    assert_eq!(kind, "invalid");
    assert!(!why.contains("secret"), "{why}");
}
