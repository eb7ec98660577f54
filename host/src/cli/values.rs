//! What values of arguments may be: each is read before a host is asked, so that a wrong one is told as such.

use wasm_host_settings::duration;
use wasm_host_telemetry::id::{SpanId, TraceId};

/// Of a service, or of a header. An empty one would be a question without it.
pub(super) fn name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty; write a name".to_owned()),
        name => Ok(name.to_owned()),
    }
}

/// In small letters, as the host has it.
pub(super) fn trace_id(text: &str) -> Result<String, String> {
    let id = text.to_ascii_lowercase().parse::<TraceId>();
    id.map(|id| id.to_string())
        .map_err(|_| "a trace has 32 digits; `wasm-host traces` lists them".to_owned())
}

/// Of a request, and of a recording, which has the id of its request.
pub(super) fn span_id(text: &str) -> Result<String, String> {
    let id = text.to_ascii_lowercase().parse::<SpanId>();
    id.map(|id| id.to_string())
        .map_err(|_| "it has 16 digits, as logs and `wasm-host recordings` show them".to_owned())
}

/// A time before now such as `10m` or `7d`, a moment such as `2031-02-03T04:05:06Z`, or one in microseconds since 1970, as
/// it is asked of the host. A number without a unit that is no moment of this century has lost its unit.
pub(super) fn moment(text: &str) -> Result<String, String> {
    const THIS_CENTURY: u64 = 946_684_800_000_000;
    if let Ok(moment) = text.parse::<u64>() {
        return match moment < THIS_CENTURY {
            true => Err(format!("it has no unit; write {text}s, {text}m, {text}h or {text}d")),
            false => Ok(text.to_owned()),
        };
    }
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()) {
        return Ok(format!("{}h", u64::from(days) * 24));
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        let micros = u64::try_from(time.as_microsecond());
        return micros.map(|micros| micros.to_string()).map_err(|_| "it is before 1970".to_owned());
    }
    let other = "; or write 7d, or a time such as 2031-02-03T04:05:06Z";
    duration(text).map(|_| text.to_owned()).map_err(|why| format!("{why}{other}"))
}

pub(super) fn slower(text: &str) -> Result<String, String> {
    duration(text).map(|_| text.to_owned())
}

/// A folder below the application's.
pub(super) fn folder(text: &str) -> Result<String, String> {
    match crate::recordings::below(&name(text)?) {
        Ok(_) => Ok(text.to_owned()),
        Err(outside) => Err(outside.public),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command, CommandFactory as _, Parser as _};

    use super::super::Cli;

    fn is_right(arguments: &[&str]) -> bool {
        Cli::try_parse_from([&["wasm-host"], arguments].concat()).is_ok()
    }

    #[test]
    fn values_that_can_be_nothing_are_refused_and_others_are_taken() {
        let (trace, span) = (&*"1f".repeat(16), &*"1f".repeat(8));
        let capitals = &*trace.to_uppercase();
        let all: [(&[&str], &[&str]); _] = [
            (&["traces", trace], &["traces", "nope"]),
            (&["traces", capitals], &["traces", span]),
            (&["traces", "--slower", "5ms"], &["traces", "--slower", "5"]),
            (&["traces", "--since", "1h"], &["traces", "--since", "1"]),
            (&["logs", "--since", "7d"], &["logs", "--since", "7w"]),
            (&["logs", "--until", "2031-02-03T04:05:06Z"], &["logs", "--until", "2031-02-03"]),
            (
                &["export", "a.zip", "--until", "2031-02-03T04:05:06+01:00"],
                &["logs", "--until", ""],
            ),
            (&["traces", "-n", "1000"], &["traces", "-n", "1001"]),
            (&["traces", "--service", "a"], &["traces", "--service", ""]),
            (&["logs", "a", "b"], &["logs", "a", ""]),
            (&["logs", "--trace", trace], &["logs", "--trace", "abc"]),
            (&["logs", "--request", span], &["logs", "--request", trace]),
            (&["logs", "--level", "warn"], &["logs", "--level", "loud"]),
            (&["logs", "--since", "1798761600000000"], &["logs", "--since", "yesterday"]),
            (&["describe", "a"], &["describe", " "]),
            (&["history", "a"], &["history", ""]),
            (&["rollback", "a"], &["rollback", ""]),
            (&["swap", "a", "b", "--canary", "5"], &["swap", "a", "b", "--canary", "0"]),
            (
                &["swap", "a", "b", "--canary", "5", "--for", "5s"],
                &["swap", "a", "b", "--for", "5s"],
            ),
            (&["record", "a", "-n", "5"], &["record", "a", "-n", "0"]),
            (&["record", "a", "--stop"], &["record", "a", "--stop", "--failures"]),
            (&["recordings", span], &["recordings", "nope"]),
            (&["recordings", span, "--save"], &["recordings", "--save"]),
            (&["recordings", span, "--save", "cases/a"], &["recordings", span, "--save", "../a"]),
            (&["wait", "a", "--timeout", "5s"], &["wait", "a", "--timeout", "5"]),
            (&["wait", "a", "--for", "running"], &["wait", "a", "--for", "ever"]),
            (&["export", "a.zip", "--since", "1h"], &["export", "a.zip", "--since", "1"]),
            (&["export", "a.zip", "--service", "a"], &["export", "a.zip", "--service", ""]),
            (&["completion", "fish"], &["completion", "tcsh"]),
            (&["ps", "--format", "json"], &["ps", "--format", "xml"]),
            (&["dashboard"], &["dashboard", "a"]),
            (&["serve", "--listen", "[::1]:0"], &["serve", "--listen", "8080"]),
            (&["serve", "--admin", "127.0.0.1:0"], &["serve", "--admin", "localhost"]),
            (&["serve", "--redact", "x-a"], &["serve", "--redact", ""]),
            (&["check", "--limits"], &["check", "--limit"]),
            (&["test", "a", "--jobs", "1"], &["test", "a", "--jobs", "0"]),
            (&["test", "a", "--timeout", "5s"], &["test", "a", "--timeout", "5"]),
            (&["test", "a", "--shuffle", "5"], &["test", "a", "--shuffle", "five"]),
            (&["inspect", "a.wasm"], &["inspect"]),
        ];
        let taken: Vec<_> = all.iter().filter(|(_, wrong)| is_right(wrong)).collect();
        assert!(taken.is_empty(), "{taken:?}");
        let refused: Vec<_> = all.iter().filter(|(right, _)| !is_right(right)).collect();
        assert!(refused.is_empty(), "{refused:?}");
    }

    /// Words that are looked for, which may be none.
    const TEXTS: [&str; 2] = ["search", "filter"];

    #[test]
    fn no_value_may_be_empty_but_what_is_looked_for() {
        let all = Cli::command();
        let mut count = 0;
        let mut taken = Vec::new();
        for command in all.get_subcommands().filter(|command| !command.is_hide_set()) {
            let values = command.get_arguments().filter(|it| it.get_action().takes_values());
            for value in values.filter(|it| !TEXTS.contains(&it.get_id().as_str())) {
                let line = line_with_empty(command, value);
                count += 1;
                if is_right(&line.iter().map(String::as_str).collect::<Vec<_>>()) {
                    taken.push(line);
                }
            }
        }
        assert!(taken.is_empty(), "{taken:?}");
        assert!(count > 60, "{count}");
    }

    /// The shortest line of a command in which this value is empty.
    fn line_with_empty(command: &Command, value: &Arg) -> Vec<String> {
        let mut line = vec![command.get_name().to_owned()];
        for positional in command.get_positionals() {
            let is_it = positional.get_id() == value.get_id();
            if is_it || positional.is_required_set() {
                line.push(if is_it { String::new() } else { "a".to_owned() });
            }
        }
        line.extend(value.get_long().map(|long| format!("--{long}=")));
        line
    }
}
