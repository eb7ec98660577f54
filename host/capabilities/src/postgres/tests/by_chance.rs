//! Values by chance through the real server: what it says of them is what was sent.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use wasm_host_tests::seed::Seeded;

use super::*;
use crate::postgres::convert::fuzz::{TYPES, same, scalar};

/// Of each type.
const VALUES: usize = 12;

#[tokio::test]
async fn values_by_chance_come_back_from_the_server() {
    let bench = Bench::new("by_chance").await;
    let mut seeded = Seeded::new();
    let chance = TestRng::from_seed(RngAlgorithm::ChaCha, &seeded.bytes(32));
    let mut chance = TestRunner::new_with_rng(Config::default(), chance);
    for (kind, name) in TYPES {
        let statement = format!("select $1::{name}, array[$1::{name}, null]");
        for _ in 0..VALUES {
            let value = scalar(kind).new_tree(&mut chance).expect("a value").current();
            let sent = Value::Scalar(value.clone());
            let rows = bench.query(&statement, vec![sent.clone()]).await;
            let rows = rows.unwrap_or_else(|error| panic!("{name} {sent:?}: {error:?}"));
            let row = collect(rows).await.unwrap().remove(0);
            assert!(same(&row[0], &sent), "{name}: {sent:?} became {:?}", row[0]);
            let array = Value::Array(vec![Some(value), None]);
            assert!(same(&row[1], &array), "{name}: {array:?} became {:?}", row[1]);
        }
    }
    bench.assert_clean().await;
}
