//! Numbers of things in sentences: `1 line`, `2 lines`.

use std::fmt::Display;

/// `what` is one of them; several have an `s` behind it.
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    let end = if count == N::from(1) { "" } else { "s" };
    format!("{count} {what}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_all_others_are_several() {
        assert_eq!(counted(0_u64, "line"), "0 lines");
        assert_eq!(counted(1_usize, "line"), "1 line");
        assert_eq!(counted(11_u32, "more line"), "11 more lines");
    }
}
