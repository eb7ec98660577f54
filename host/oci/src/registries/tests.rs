//! What registries may take, and where work is done. What they give is tested against real ones, with the whole host.

use std::time::Duration;

use futures_util::FutureExt as _;
use wasm_host_limits::oci::RegistryLimits;

use super::*;
use crate::artifact::Interface;
use crate::settings::Hints;
use crate::stub::{Stub, StubResponse, answer};

/// So long that a test that waits for it has failed.
const FOREVER: Duration = Duration::from_secs(60);

/// Turns in which what is ready would come to its end.
const SEVERAL: usize = 1000;

const SHORT: Duration = Duration::from_millis(100);

fn limits(pull_timeout: Duration) -> RegistryConfig {
    let limits = RegistryLimits { answer_timeout: FOREVER, idle_timeout: FOREVER, pull_timeout };
    RegistryConfig { limits, ..RegistryConfig::default() }
}

fn registries(stub: &Stub, config: RegistryConfig, cache: Option<Cache>) -> Registries {
    Registries::new(stub.config(config), CredentialFiles::default(), cache)
}

fn artifact() -> Artifact {
    Artifact::of(b"\0asm".to_vec(), Interface::default(), "weather.wasm")
}

/// A registry that has one component, under every name.
async fn stocked() -> Stub {
    Stub::start(|request| {
        let Artifact { manifest, component, .. } = artifact();
        StubResponse::Whole(match request.contains("/manifests/") {
            true => answer("200 OK", "", &manifest.to_bytes()),
            false => answer("200 OK", "", &component),
        })
    })
    .await
}

/// While the one thread for work that blocks is taken, nothing that needs it comes to an end.
#[test]
fn hashing_and_disks_keep_no_thread_that_serves() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let take = || {
        let (release, taken) = std::sync::mpsc::channel::<()>();
        spawn_blocking(move || taken.recv());
        release
    };
    let held = Arc::new(Mutex::new(None));
    let stub = runtime.block_on(Stub::start({
        let held = held.clone();
        move |request| {
            let Artifact { manifest, component, .. } = artifact();
            if request.contains("/manifests/") {
                return StubResponse::Whole(answer("200 OK", "", &manifest.to_bytes()));
            }
            *held.lock() = Some(take());
            StubResponse::Whole(answer("200 OK", "", &component))
        }
    }));
    let state = tempfile::tempdir().unwrap();
    let cache = Cache::open(state.path()).unwrap();
    let all = registries(&stub, limits(FOREVER), Some(cache));
    let reference = stub.reference(":1");

    // It is kept elsewhere.
    let mut pulling = Box::pin(all.pull(&reference, None));
    let pulled = runtime.block_on(async {
        while held.lock().is_none() {
            assert!((&mut pulling).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        for _ in 0..SEVERAL {
            assert!((&mut pulling).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        assert_eq!(std::fs::read_dir(state.path().join("registry")).unwrap().count(), 0);
        drop(held.lock().take());
        pulling.await
    });
    let pin = pulled.unwrap().pin;

    // So it is found.
    let release = take();
    let mut found = Box::pin(all.pull(&reference, Some(pin)));
    assert!((&mut found).now_or_never().is_none());
    drop(release);
    assert_eq!(runtime.block_on(found).unwrap().bytes, b"\0asm");
}

#[tokio::test]
async fn a_blob_that_stands_still_has_a_deadline_as_a_whole() {
    let stub = Stub::start(|_| {
        StubResponse::Begun(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegun".to_vec())
    })
    .await;
    for hints in [Hints::File, Hints::Options] {
        let config = RegistryConfig { hints, ..limits(SHORT) };
        let all = registries(&stub, config, None);
        let (reference, blob) = (stub.reference(":1"), Descriptor::of("x", b"begun and"));
        let registry = all.of(&reference).unwrap();
        let told = registry.blob(&reference, &blob, 9).await.unwrap_err();
        assert_eq!(told.kind, Kind::Away);
        let told = told.to_string();
        assert!(told.contains("/shop/app did not come within 100ms; "), "{told}");
        assert_eq!(told.contains("raise pull-timeout"), hints == Hints::File, "{told}");
        let told = registry.blob(&reference, &blob, 8).await.unwrap_err().to_string();
        assert!(told.ends_with(" has 9 bytes, more than 8"), "{told}");
    }
}

#[tokio::test]
async fn all_that_is_sent_has_a_deadline_as_a_whole() {
    let stub = Stub::start(|request| match request.starts_with("HEAD ") {
        true => StubResponse::Whole(answer("404 Not Found", "", b"")),
        false => StubResponse::Begun(Vec::new()),
    })
    .await;
    let all = registries(&stub, limits(FOREVER), None);
    let reference = stub.reference(":1");
    let sending = all.push_now(&reference, artifact(), None);
    let told = sent_within(SHORT, &reference, sending).await.unwrap_err().to_string();
    let expected =
        "was not sent within 100ms; try again: the parts that have arrived are not sent once more";
    assert!(told.ends_with(expected), "{told}");
}

#[tokio::test]
async fn what_waits_for_its_place_is_not_taken_for_a_silent_registry() {
    let stub = stocked().await;
    let all = registries(&stub, limits(FOREVER), None);
    let reference = stub.reference(":1");
    let places = all.questions.acquire_many(CONCURRENT_QUESTIONS as u32).await.unwrap();
    let mut waiting = Box::pin(all.resolve(&reference, SHORT));
    let waited = timeout(3 * SHORT, &mut waiting).await;
    assert!(waited.is_err(), "it is not asked, and says {waited:?}");
    drop(places);
    // A busy machine may take more time than that now.
    match waiting.await {
        Ok(digest) => assert_eq!(digest, ContentDigest::of(&artifact().manifest.to_bytes())),
        Err(error) => assert!(error.to_string().contains("did not answer within 100ms"), "{error}"),
    }
}

#[tokio::test]
async fn what_is_pinned_and_gone_is_told_with_what_helps() {
    let stub = Stub::start(|_| StubResponse::Whole(answer("404 Not Found", "", b""))).await;
    let all = registries(&stub, limits(FOREVER), None);
    let digest = ContentDigest::of(b"gone");
    let pin = Pin { manifest: digest, component: digest, size: 1 };
    let told = async |rest: &str| {
        all.pull(&stub.reference(rest), Some(pin)).await.unwrap_err().to_string()
    };
    let tagged = told(":1").await;
    assert!(tagged.ends_with("`wasm-host update` takes what the tag stands for now"), "{tagged}");
    // There is no tag that could stand for something else.
    let exact = told(&format!("@{digest}")).await;
    assert!(exact.ends_with("; correct the name, or push it"), "{exact}");
}
