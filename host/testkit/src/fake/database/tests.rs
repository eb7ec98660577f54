use std::path::Path;

use super::*;
use crate::case::Case;
use crate::script::ObservedCall;
use wasm_host_capabilities::context::RequestContext;

fn script(calls: &str) -> Script {
    let text = format!("request.path = \"/\"\n{calls}");
    let case = Case::parse(&text, Path::new("a.toml")).unwrap();
    Script::new(case.matching, case.calls)
}

fn outcomes(seen: &[ObservedCall]) -> Vec<Option<Outcome>> {
    let begins = seen.iter().filter(|seen| matches!(seen.question, Question::Begin));
    begins.map(|seen| seen.outcome).collect()
}

const BEGIN: &str = "[[call]]\nbegin = \"committed\"\n";
const EXECUTE: &str = "[[call]]\nexecute = \"a\"\ntransaction = 1\nanswer.changed = 3\n";
const COMMIT: &str = "[[call]]\ncommit = true\ntransaction = 1\n";

#[tokio::test(start_paused = true)]
async fn a_transaction_is_committed_by_a_call_and_then_over() {
    let script = script(&[BEGIN, EXECUTE, COMMIT].concat());
    let request = || RequestContext::of_host("test");
    let transaction = FakeDatabase(script.clone()).begin(request()).await.unwrap();
    assert_eq!(transaction.execute("a".into(), Vec::new(), request()).await.unwrap(), 3);
    transaction.commit(request()).await.unwrap();
    assert!(matches!(transaction.rollback(request()).await, Err(Error::Ended)));
    drop(transaction);
    let seen = script.close();
    assert_eq!(outcomes(&seen), [Some(Outcome::Committed)]);
    assert!(seen.iter().all(|seen| seen.answered_by.is_some() && !seen.cancelled), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_is_dropped_or_cannot_be_committed_is_rolled_back() {
    let one = script(BEGIN);
    drop(FakeDatabase(one.clone()).begin(RequestContext::of_host("test")).await.unwrap());
    assert_eq!(outcomes(&one.close()), [Some(Outcome::RolledBack)]);

    let other = script(&format!("{BEGIN}{COMMIT}answer.error = \"cancelled\"\n"));
    let transaction =
        FakeDatabase(other.clone()).begin(RequestContext::of_host("test")).await.unwrap();
    assert!(transaction.commit(RequestContext::of_host("test")).await.is_err());
    assert_eq!(outcomes(&other.close()), [Some(Outcome::RolledBack)]);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_ends_with_its_request() {
    let script = script(&[BEGIN, COMMIT].concat());
    let request = RequestContext::of_host("test");
    let transaction = FakeDatabase(script.clone()).begin(request.clone()).await.unwrap();
    request.cancel().cancel();
    let committed = transaction.commit(RequestContext::of_host("test")).await;
    assert!(matches!(committed, Err(Error::Ended)), "{committed:?}");
    drop(transaction);
    assert_eq!(outcomes(&script.close()), [Some(Outcome::RolledBack)]);
}

#[tokio::test(start_paused = true)]
async fn rows_that_nobody_reads_any_more_are_a_call_that_was_given_up() {
    let rows = "[[call]]\nquery = \"a\"\nanswer.columns = [\"n int4\"]\n\
                answer.rows = [[1], { after = \"1h\" }, [2]]\n";
    let script = script(rows);
    let database = FakeDatabase(script.clone());
    let mut rows =
        database.query("a".into(), Vec::new(), RequestContext::of_host("test")).await.unwrap();
    assert_eq!(rows.batches.recv().await.unwrap().len(), 1);
    drop(rows.batches);
    assert!(matches!(rows.done.await, Ok(Err(Error::Cancelled))));
    assert!(script.close().iter().all(|seen| seen.cancelled));
}
