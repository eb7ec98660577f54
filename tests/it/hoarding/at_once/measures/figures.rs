//! How long the requests of neighbours took as the host itself measures them, from their heads to the ends of their
//! answers: beside what their client saw, it says on which side of the connection they waited.

use std::collections::BTreeMap;
use std::fmt::Write as _;

const SERVICES: [&str; 4] = ["hello", "hello-p2", "weather", "pages"];

/// Requests that took no longer than so many seconds, by service.
type Buckets = BTreeMap<&'static str, BTreeMap<String, u64>>;

/// Readings of a host's figures.
#[derive(Default)]
pub(super) struct Figures {
    last: Buckets,
    sums: Buckets,
}

impl Figures {
    /// Read what the host says. What is between two readings counts if it `counts`.
    pub(super) fn read(&mut self, text: &str, counts: bool) {
        let now = buckets(text);
        if counts {
            for (service, ends) in &now {
                for (end, count) in ends {
                    let before = self.last.get(service).and_then(|ends| ends.get(end)).copied();
                    let sum = self.sums.entry(service).or_default().entry(end.clone()).or_default();
                    *sum += count.saturating_sub(before.unwrap_or_default());
                }
            }
        }
        self.last = now;
    }

    /// Below which time 50 and 99 of a hundred requests were.
    pub(super) fn table(&self) -> String {
        let mut table = String::new();
        for (service, ends) in &self.sums {
            let _ = write!(table, "{service:<16}");
            for percent in [50, 99] {
                let _ = write!(table, "  p{percent} below {}", below(ends, percent));
            }
            table.push('\n');
        }
        table
    }
}

fn below(ends: &BTreeMap<String, u64>, percent: u64) -> String {
    let mut ends: Vec<(f64, u64)> =
        ends.iter().map(|(end, count)| (end.parse().unwrap_or(f64::INFINITY), *count)).collect();
    ends.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let all = ends.last().map_or(0, |(_, count)| *count);
    let found = ends.iter().find(|(_, count)| count * 100 >= all * percent);
    found.map_or_else(String::new, |(end, _)| format!("{} ms of {all}", end * 1000.0))
}

fn buckets(text: &str) -> Buckets {
    let mut buckets = Buckets::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("http_server_request_duration_seconds_bucket{") else {
            continue;
        };
        let Some((labels, count)) = rest.rsplit_once("} ") else { continue };
        let label = |name: &str| {
            let start = labels.split(',').find_map(|label| label.strip_prefix(name));
            start.map(|value| value.trim_matches('"'))
        };
        let known = |named: &str| SERVICES.into_iter().find(|service| *service == named);
        let (Some(service), Some(end)) = (label("service=").and_then(known), label("le=")) else {
            continue;
        };
        let sum = buckets.entry(service).or_default().entry(end.to_owned()).or_default();
        *sum += count.trim().parse::<u64>().unwrap_or_default();
    }
    buckets
}
