//! A database answer that is cut at any byte is an error or it is whole, never a part that passes for whole.

use wasm_host_tests::client;
use wasm_host_tests::proxy::{Damage, Plan, Then};
use wasm_host_tests::seed::Seeded;

use super::faults::Bench;

const ROWS: &str = "select i, repeat('x', 200) from generate_series(1, 500) i";

// Fault (Databases): an answer that is cut at any byte | takes no part for the whole | all rows, or an error | the request
#[tokio::test]
async fn rows_cut_anywhere_are_never_taken_for_whole() {
    let mut chance = Seeded::new();
    let bench = Bench::new("pool = 1").await;
    let whole = bench.ask("/query", ROWS).await.body;
    assert!(whole.ends_with(b"end 500\n"));
    let sent = bench.proxy.sent_down().len();
    for _ in 0..25 {
        let cut = chance.between(0, sent);
        let then = *chance.pick(&[Then::Close, Then::Reset, Then::HalfClose]);
        bench.proxy.set(Plan {
            down: Damage { after: Some((cut, then)), ..Damage::default() },
            ..Plan::default()
        });
        bench.proxy.reset_all();
        let mut answer = client::open(&bench.host.address, "POST", "/query", &[], ROWS).await;
        let status = answer.status.as_u16();
        match answer.rest().await {
            Ok(body) if status == 200 => {
                assert_eq!(body, whole, "a part was taken for whole, cut at {cut} with {then:?}");
            }
            Ok(_) => assert!(matches!(status, 500 | 503), "{status}, cut at {cut} with {then:?}"),
            Err(body) => assert!(!body.windows(4).any(|word| word == b"end "), "cut at {cut}"),
        }
    }
    bench.proxy.heal();
    bench.proxy.reset_all();
    bench.recovers().await;
}
