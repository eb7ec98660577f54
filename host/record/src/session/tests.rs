use std::collections::BTreeMap;

use super::*;
use crate::{Recorder, Redactor, ServiceEnvironment};
use wasm_host_capabilities::body::full;
use wasm_host_testkit::case::{HttpAnswer, OllamaBounds};

pub(crate) fn session() -> (tempfile::TempDir, Arc<RecordingSession>) {
    let folder = tempfile::tempdir().unwrap();
    let redactor = Redactor::new(&[], &[]).unwrap();
    let bounds = OllamaBounds { concurrent: 1, first_byte_timeout: Duration::from_secs(1) };
    let recorder = Recorder::new(folder.path(), None, redactor).unwrap();
    let told = ServiceEnvironment { environment: Vec::new(), configuration: BTreeMap::new() };
    let service = recorder.service("a".into(), told, bounds);
    let session = Arc::new(RecordingSession::new(&service, &http::Request::new(full("body"))));
    session.is_served(0, Arc::new(Time::new()));
    (folder, session)
}

fn ask(session: &Arc<RecordingSession>) -> OpenCall {
    let exchange = wasm_host_testkit::case::Exchange {
        to: wasm_host_testkit::case::Target::Service,
        method: "GET".to_string(),
        target: "http://other/".to_string(),
        headers: Vec::new(),
        body: None,
        any_body: false,
    };
    session.open(None, Action::Http { exchange, answer: HttpAnswer::Silent }, 0)
}

#[test]
fn what_a_component_does_without_end_is_not_kept() {
    let (_folder, session) = session();
    for _ in 0..CALLS * 2 {
        ask(&session).ends();
    }
    let state = session.state.lock();
    assert!(state.over && state.case.calls.is_empty(), "{} calls", state.case.calls.len());
    drop(state);
    assert!(session.take().is_err());
}

#[test]
fn small_pieces_with_waits_between_them_count_for_what_they_take() {
    let (_folder, session) = session();
    let pieces = usize::try_from(CASE_BYTES).unwrap() / (2 * size_of::<Piece>());
    for _ in 0..pieces {
        session.sent(Duration::from_millis(1), b"x");
    }
    assert!(session.take().is_err());
}

#[tokio::test]
async fn calls_beyond_the_bound_are_waited_for_all_the_same() {
    let (_folder, session) = session();
    (0..=CALLS).for_each(|_| ask(&session).ends());
    let last = ask(&session);
    let settled = tokio::time::timeout(Duration::from_millis(20), session.settled()).await;
    assert!(settled.is_err());
    last.ends();
    session.settled().await;
}
