//! How a component of Spin is built, as words of an application file. Pure.

/// Commands as a program and its arguments: of a shell, where they are more than words.
pub(super) fn words(commands: &[&str]) -> Vec<String> {
    match commands {
        [one] if is_plain(one) => one.split_whitespace().map(str::to_owned).collect(),
        several => ["sh", "-c", &several.join(" && ")].map(str::to_owned).into(),
    }
}

/// Whether a shell would make nothing of it but its words.
fn is_plain(command: &str) -> bool {
    let is_word = |it: char| it.is_ascii_alphanumeric() || "-_./:,+@= ".contains(it);
    // As in `RUSTFLAGS=-g cargo build`.
    let sets_variable = command.split_whitespace().next().is_none_or(|word| word.contains('='));
    command.chars().all(is_word) && !sets_variable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_its_words_or_a_shells() {
        for (commands, expected) in [
            (
                &["cargo build --target=wasm32-wasip2  --release"][..],
                &["cargo", "build", "--target=wasm32-wasip2", "--release"][..],
            ),
            (&["npm install", "npm run build"], &["sh", "-c", "npm install && npm run build"]),
            (&["tinygo build -o 'a b.wasm'"], &["sh", "-c", "tinygo build -o 'a b.wasm'"]),
            (&["A=1 make"], &["sh", "-c", "A=1 make"]),
            (&["cd $HOME"], &["sh", "-c", "cd $HOME"]),
            (&[""], &["sh", "-c", ""]),
        ] {
            assert_eq!(words(commands), expected, "{commands:?}");
        }
    }
}
