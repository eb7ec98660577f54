//! Questions on a terminal, with their defaults. Elsewhere the defaults are the answers.

use std::io::{self, BufRead, IsTerminal as _, Write};

use super::usage;
use crate::exit::Exit;

/// Whether there is somebody to ask.
pub(super) struct Asker {
    is_terminal: bool,
}

impl Asker {
    pub(super) fn of_terminal() -> Self {
        Self { is_terminal: io::stdin().is_terminal() && io::stderr().is_terminal() }
    }

    /// What was given, or is asked for, or is the default.
    pub(super) fn value<T>(
        &self,
        what: &str,
        given: Option<&str>,
        default: &str,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Exit> {
        match given {
            Some(given) => check(given).map_err(|why| usage(&why)),
            None if self.is_terminal => {
                ask(&mut io::stdin().lock(), &mut io::stderr(), what, Some(default), check)
            }
            None => check(default).map_err(|why| usage(&why)),
        }
    }

    /// The same of what has no default.
    pub(super) fn required<T>(
        &self,
        what: &str,
        given: Option<&str>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Exit> {
        match given {
            Some(given) => check(given).map_err(|why| usage(&why)),
            None if self.is_terminal => {
                ask(&mut io::stdin().lock(), &mut io::stderr(), what, None, check)
            }
            None => Err(usage(&format!("a {} is missing, as in `shop`", what.to_lowercase()))),
        }
    }
}

/// Ask until the answer is right.
fn ask<T>(
    input: &mut impl BufRead,
    output: &mut impl Write,
    what: &str,
    default: Option<&str>,
    check: impl Fn(&str) -> Result<T, String>,
) -> Result<T, Exit> {
    loop {
        let shown = default.map(|default| format!(" [{default}]")).unwrap_or_default();
        let mut line = String::new();
        let asked = write!(output, "{what}{shown}: ").and_then(|()| output.flush());
        let read = asked.and_then(|()| input.read_line(&mut line));
        if !read.is_ok_and(|bytes| bytes > 0) {
            return Err(usage("nothing was made: the input ended"));
        }
        let answer = Some(line.trim()).filter(|answer| !answer.is_empty()).or(default);
        match check(answer.unwrap_or_default()) {
            Ok(value) => return Ok(value),
            // A screen that is gone ends the input, too.
            Err(why) => _ = writeln!(output, "  {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(input: &str, default: Option<&str>) -> (Option<u16>, String) {
        let mut output = Vec::new();
        let check = |text: &str| text.parse::<u16>().map_err(|_| format!("'{text}' is no port"));
        let answer = ask(&mut input.as_bytes(), &mut output, "Port", default, check);
        (answer.ok(), String::from_utf8(output).unwrap())
    }

    #[test]
    fn it_is_asked_until_the_answer_is_right() {
        let (answer, said) = answered("x\n 70 \n", Some("80"));
        assert_eq!(answer, Some(70));
        assert_eq!(said, "Port [80]:   'x' is no port\nPort [80]: ");
    }

    #[test]
    fn no_answer_is_the_default_and_no_input_is_none() {
        assert_eq!(answered("\n", Some("80")).0, Some(80));
        assert_eq!(answered("\n", None).0, None);
        assert_eq!(answered("", Some("80")).0, None);
    }
}
