//! Files as hosts of each format wrote them are read for ever.

use super::*;

const OF_FORMAT_0: &str = include_str!("0.json");
const OF_FORMAT_1: &str = include_str!("1.json");
const OF_FORMAT_2: &str = include_str!("2.json");

#[test]
fn a_file_of_the_first_hosts_is_read_and_written_with_its_number() {
    let saved = read(OF_FORMAT_0.as_bytes()).unwrap();
    assert_eq!((saved.published.as_deref(), saved.replaced.as_deref()), (Some("b"), Some("a")));
    let record = saved.history.records().pop().unwrap();
    assert_eq!((record.number, record.verdict, record.cut), (7, Verdict::TakenBack, Some(1)));
    assert_eq!(record.reason.as_deref(), Some("3 of its 3 answers were errors"));
    let written = String::from_utf8(write(&saved).unwrap()).unwrap();
    let written = written.replace("  \"format\": 2,\n", "");
    assert_eq!(written.replace("        \"parts\": [],\n", ""), OF_FORMAT_0.trim_end());
    assert_eq!(read(written.as_bytes()).unwrap().history.records(), saved.history.records());
}

#[test]
fn a_file_without_parts_is_read_with_every_verdict_that_there_is() {
    let saved = read(OF_FORMAT_1.as_bytes()).unwrap();
    assert_eq!((saved.published.as_deref(), saved.replaced.as_deref()), (Some("b"), Some("a")));
    let records = saved.history.records();
    let verdicts: Vec<_> = records.iter().map(|record| record.verdict.name()).collect();
    let expected = ["activated", "unchanged", "rejected", "canary", "taken-back", "activated"];
    assert_eq!(verdicts, expected);
    assert!(records.iter().all(|record| record.parts.is_empty()));
    assert_eq!(saved.history.before("b"), Some("a"));
    assert_eq!(saved.history.count(), 8);
}

#[test]
fn what_is_written_is_what_is_read() {
    let saved = read(OF_FORMAT_2.as_bytes()).unwrap();
    let parts = saved.history.records().pop().unwrap().parts;
    let roles: Vec<_> = parts.iter().map(|part| part.role.to_string()).collect();
    let with = "serves acme:store/api@1.0.0 and acme:store/list@1.0.0";
    assert_eq!(roles, ["middleware", "service", with]);
    let known =
        |part: &Part| (part.name.clone(), part.digest.clone(), part.path.clone(), part.size);
    let store = ("store".to_owned(), "f".to_owned(), "store.wasm".to_owned(), 560);
    assert_eq!(parts.last().map(known), Some(store));
    let written = String::from_utf8(write(&saved).unwrap()).unwrap();
    assert_eq!(written, OF_FORMAT_2.trim_end());
}

#[test]
fn the_next_attempt_is_counted_on_from_there() {
    let mut saved = read(OF_FORMAT_0.as_bytes()).unwrap();
    let record = saved.history.records().pop().unwrap();
    assert_eq!(saved.history.push(record).number, 8);
}

#[test]
fn a_format_of_a_later_host_is_none() {
    let later = OF_FORMAT_0.replacen('{', "{\"format\": 3,", 1);
    let why = read(later.as_bytes()).err().unwrap();
    assert_eq!(why, "it is of the format 3, this host knows those up to 2");
}
