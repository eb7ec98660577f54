//! Whether there is a service of a name that somebody asks about, and the words where there is none.

use std::collections::BTreeSet;

use super::Admin;
use super::telemetry::{QueryWords, failure};
use wasm_host_collector::Reader;
use wasm_host_limits::telemetry as limits;
use wasm_host_service::failure::{Failure, Kind};

impl Admin {
    /// Refuse a question about a service that there is not.
    pub(super) async fn knows_services(&self, query: Option<&str>) -> Result<(), Failure> {
        are_known(&self.names(), &self.seen.reader, query).await
    }

    /// That the application has no service of this name.
    pub(super) fn no_service(&self, name: &str) -> Failure {
        no_service(name, self.names())
    }

    fn names(&self) -> BTreeSet<String> {
        self.status.services().into_iter().map(|status| status.service).collect()
    }
}

/// Refuse a question about a service that the application does not have, and of which nothing is kept: its name is
/// written wrong, which an empty answer would not tell.
pub(super) async fn are_known(
    names: &BTreeSet<String>,
    reader: &Reader,
    query: Option<&str>,
) -> Result<(), Failure> {
    for name in QueryWords::of(query)?.all("service").iter().filter(|name| !name.is_empty()) {
        if names.contains(name) || reader.knows(name).await.map_err(failure)? {
            continue;
        }
        let mut known = names.clone();
        known.extend(reader.services().await.map_err(failure)?);
        return Err(no_service(name, known));
    }
    Ok(())
}

/// That there is no service of this name, and which ones there are.
pub fn no_service(name: &str, known: BTreeSet<String>) -> Failure {
    let more = known.len().saturating_sub(limits::NAMED_SERVICES);
    let mut named: Vec<String> = known.into_iter().take(limits::NAMED_SERVICES).collect();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    let there = match named.is_empty() {
        true => "there are none".to_owned(),
        false => format!("there are {}", named.join(", ")),
    };
    Failure::new(Kind::NoService, format!("There is no service {name}; {there}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_of_many_services_are_named() {
        let of = |count: usize| {
            let names = (0..count).map(|number| format!("s{number:02}"));
            no_service("x", names.collect()).public.to_string()
        };
        assert_eq!(of(0), "There is no service x; there are none.");
        assert_eq!(of(2), "There is no service x; there are s00, s01.");
        assert!(of(23).ends_with("s18, s19, 3 more."), "{}", of(23));
    }
}
