//! Bounds on what the host holds for a component beside the component's own memory. `docs/memory.md` has the sum.

use super::MIB;

bounds! {

/// Bytes by which header sets and what carries them may grow before they are counted. Requests of usual size never
/// reach it; what is not counted yet is in no budget.
pub const GUEST_UNCOUNTED_BYTES: usize = 256 * 1024;

/// Calls of databases and model servers that one instance has under way, those in a transaction aside, which wait for
/// its connection. More wait in order. Sixteen for each request that shares an instance by default; each waits for a
/// backend that takes fewer.
pub const GUEST_CALLS: usize = 256;

/// Bytes that a call counts beside its arguments: the host's own state of it.
pub const GUEST_CALL_OWN_BYTES: usize = 16 * 1024;

/// How many times the arguments of a call count: as they were handed over, as the backend wants them, and as they wait
/// to be sent.
pub const GUEST_ARGUMENT_COPIES: usize = 3;

/// Bytes of rows or of a line on their way to a guest from which on they count. Smaller ones are what nearly all are,
/// and few of them are read ahead.
pub const GUEST_LARGE_ITEM_BYTES: usize = 64 * 1024;

/// Random bytes of one call. Programs ask for some dozens; these take some milliseconds, in which nothing else happens
/// on the thread.
pub const GUEST_RANDOM_BYTES: u64 = MIB;

}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded_postgres::{PROCESS_KIB, SPARE_CONNECTIONS, TEMPORARY_KIB};
    use crate::postgres::PoolConfig;
    use crate::{
        GUEST_BODY_BYTES, GUEST_FIBER_BYTES, GUEST_RESOURCES, LOG_LINE_BYTES, LOG_UNFINISHED_LINES,
        TABLE_ELEMENTS, all, service::ServiceLimits,
    };

    const DOCUMENT: &str = include_str!("../../../docs/memory.md");

    /// Bytes of one thing that is counted by number, as the document has them.
    const HANDLE_BYTES: usize = 512;
    const ELEMENT_BYTES: usize = 16;

    /// With commas, as people write it.
    fn written(number: u64) -> String {
        let digits = number.to_string();
        let mut text = String::new();
        for (position, digit) in digits.chars().enumerate() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    }

    #[test]
    fn the_document_has_the_sum_of_what_the_host_holds_beside_the_budget() {
        let random = usize::try_from(GUEST_RANDOM_BYTES).unwrap();
        let rows = [
            ("header sets that were not counted yet", GUEST_UNCOUNTED_BYTES),
            ("handles of what the engine makes", GUEST_RESOURCES * HANDLE_BYTES),
            ("tables of functions", TABLE_ELEMENTS * ELEMENT_BYTES),
            ("lines of output without an end", LOG_UNFINISHED_LINES * LOG_LINE_BYTES),
            (
                "pieces of answers on their way to clients",
                2 * GUEST_BODY_BYTES * ServiceLimits::per_instance().default,
            ),
            ("the stack that it runs on", GUEST_FIBER_BYTES),
            ("random bytes that it is given", random),
        ];
        let sum: usize = rows.iter().map(|(_, bytes)| bytes).sum();
        let (_, table) = DOCUMENT.split_once("## Beside the budget").unwrap();
        let (table, _) = table.split_once("\n## ").unwrap();
        for (what, bytes) in rows.into_iter().chain([("together", sum)]) {
            let bytes = written(bytes as u64);
            let row = table.lines().find(|line| line.starts_with(&format!("| {what}")));
            let row = row.unwrap_or_else(|| panic!("no row for {what}"));
            assert_eq!(row.split('|').nth(2).unwrap().trim(), bytes, "{what}");
        }
        let rows_there = table.lines().filter(|line| line.starts_with("| ")).count();
        assert_eq!(rows_there, rows.len() + 2, "a row that is not checked");

        let sum = sum as u64;
        let instance = written(ServiceLimits::memory_bytes().default + sum);
        assert!(table.contains(&format!("{instance} bytes for an instance")), "{instance}");
        let instances = ServiceLimits::instances().default as u64;
        let service = written(ServiceLimits::memory_total_bytes().default + instances * sum);
        assert!(table.contains(&format!("{service} bytes for a service")), "{service}");
    }

    #[test]
    fn the_document_has_the_sum_of_what_a_database_of_the_host_s_own_may_have() {
        let (_, section) = DOCUMENT.split_once("## The server of the host's own").unwrap();
        let process = PROCESS_KIB * 1024;
        let of_pool = |pool: usize| 2 * pool as u64 + u64::from(SPARE_CONNECTIONS);
        let usual = of_pool(PoolConfig::connections().default);
        for (what, number) in [
            ("| one process: a connection, or a worker of a parallel statement | {}", process),
            ("| connections of one database | {} with", usual),
            ("| what they have together | {} bytes", usual * process),
            ("| temporary files of one process | {} bytes", TEMPORARY_KIB * 1024),
            ("with 1 it is {} bytes", of_pool(1) * process),
        ] {
            let text = what.replace("{}", &written(number));
            assert!(section.contains(&text), "{text}");
        }
    }

    #[test]
    fn the_document_names_bounds_that_there_are() {
        let names = DOCUMENT.split('`').skip(1).step_by(2);
        let bounds = names.filter(|name| {
            name.contains('_') && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        });
        let unknown: Vec<_> =
            bounds.filter(|name| !all().any(|listed| listed.name == *name)).collect();
        assert_eq!(unknown, Vec::<&str>::new());
    }
}
