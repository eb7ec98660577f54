//! Application files by chance: sound ones that were damaged, and text of any kind. Whatever it is, the parser
//! comes to an end, and each error says in which line.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// Every table, and most keys.
const FULL: &str = r#"
name = "shop"
[http]
listen = "127.0.0.1:0"
hosts = ["app.example.com"]
[admin]
listen = "[::1]:0"
[state]
dir = "var/state"
[postgres.main]
url = "${DB}"
init = ["components/weather/sql/init.sql"]
pool = 2
acquire-timeout = "250ms"
statement-timeout = "1h"
[ollama.gpu]
url = "https://user:${TOKEN}@gpu.example.com/ollama/"
fallback = "demo-ollama"
forward = ["default", "POST /api/push"]
concurrent = 3
[service.shop]
component = "guests/other.wasm"
route = "/shop"
postgres = "main"
ollama = "gpu"
services = ["demo-ollama"]
environment = { GREETING = "hi", KEY = "${TOKEN}" }
concurrent = 10
queue = 20
queue-timeout = "3s"
memory = "64MiB"
max-body = "1KiB"
[service.demo-ollama]
component = "demo-ollama"
internal = true
[service.react]
static = "web/dist"
route = "/"
cors = { origins = ["https://*.example.com:8443"], headers = ["*"] }
"#;

/// What a hand writes by mistake, and what it never would.
const PIECES: [&str; 24] = [
    "\"",
    "'",
    "=",
    "[",
    "]",
    "{",
    "}",
    "${",
    "${DB}",
    "${file:/dev/null}",
    "#",
    ".",
    ",",
    "\n",
    "\t",
    "-1",
    "99999999999999999999",
    "1e400",
    "\u{0}",
    "\u{feff}",
    "ä€😀",
    "\"\"\"",
    "[service.a]\n",
    "postgres://u:secret@h/d",
];

#[derive(Clone, Debug)]
enum Damage {
    Remove(Index, usize),
    Insert(Index, usize),
    SwapLines(Index, Index),
    Repeat(Index),
    Drop(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), 1..20_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        (any::<Index>(), 0..PIECES.len()).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Damage::SwapLines(one, other)),
        any::<Index>().prop_map(Damage::Repeat),
        any::<Index>().prop_map(Damage::Drop),
    ]
}

fn damaged(text: &str, damage: &Damage) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut lines: Vec<&str> = text.lines().collect();
    match damage {
        _ if characters.is_empty() || lines.is_empty() => return text.to_owned(),
        Damage::Remove(at, length) => {
            let at = at.index(characters.len());
            let after = characters.iter().skip(at + length);
            return characters.iter().take(at).chain(after).collect();
        }
        Damage::Insert(at, piece) => {
            let (before, after) = characters.split_at(at.index(characters.len()));
            let text = |part: &[char]| part.iter().collect::<String>();
            return text(before) + PIECES[*piece] + &text(after);
        }
        Damage::SwapLines(one, other) => {
            let count = lines.len();
            lines.swap(one.index(count), other.index(count));
        }
        Damage::Repeat(at) => {
            let at = at.index(lines.len());
            lines.insert(at, lines[at]);
        }
        Damage::Drop(at) => {
            lines.remove(at.index(lines.len()));
        }
    }
    lines.join("\n") + "\n"
}

/// Parse it, and check that a user can act on what is said of it.
fn is_told_well(application: &Application, text: &str) {
    let Err(found) = application.parse(text) else { return };
    let lines = text.lines().count().max(1);
    let mut errors = 0;
    for diagnostic in &found {
        errors += usize::from(diagnostic.severity == Severity::Error);
        assert!((1..=lines).contains(&diagnostic.line), "no such line: {diagnostic}\nin {text}");
        assert!(diagnostic.column > 0 && !diagnostic.message.is_empty(), "{diagnostic}\nin {text}");
        let shown = diagnostic.to_string();
        assert!(!shown.contains('\n'), "more than a line: {shown:?}");
        assert!(!shown.contains("t0p-s3cret"), "a secret: {shown}");
    }
    assert!(errors > 0, "refused without an error: {text}");
}

fn application() -> Application {
    Application::new().with("DB", "postgres://u:t0p-s3cret@h/d").with("TOKEN", "t0p-s3cret")
}

#[test]
fn the_file_that_is_damaged_is_sound() {
    application().config(FULL);
}

proptest! {
    #[test]
    fn damaged_files_are_refused_with_lines_or_accepted(
        which in any::<bool>(),
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let mut text = if which { FULL } else { REFERENCE }.to_owned();
        for damage in &damages {
            text = damaged(&text, damage);
        }
        is_told_well(&application(), &text);
    }

    #[test]
    fn any_text_is_refused_with_lines_or_accepted(text in "\\PC{0,200}|[\\[\\]={}\"\n.a-z#$]{0,200}") {
        is_told_well(&application(), &text);
    }
}
