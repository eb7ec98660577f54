//! Whether requests cost clearly more than they did: instructions and allocations against a committed baseline.
//!
//! These counts repeat to some percent, on a busy machine as well, which no time does. So they may fail a build.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use crate::figures::Report;
use crate::{Build, Setting, scenarios};

/// The baseline of a build, in the repository.
fn baseline_of(build: Build) -> &'static str {
    match build {
        Build::Debug => "xtask/bench-baseline-debug.json",
        Build::Release => "xtask/bench-baseline.json",
    }
}

/// What may be more, as a share. Runs of one build differ by some hundredths, and by an eighth where an instance did or
/// did not move to the threads for guests that compute, for whose turns valgrind's may be taken. Another processor, whose C library copies memory in other ways, moves a count by a few
/// percent, which is not this project's regression.
const TOLERANCE: f64 = 0.15;

/// Told, but not judged: a file is read by another thread, and whether that one has to be woken, or still looks
/// for work, is a matter of a moment and of an eighth of the count.
const NOT_REPEATABLE: &str = "1 kB file, instructions";

/// Compare what was counted. False if a count is clearly higher, or unknown.
pub(crate) fn judge(setting: &Setting, report: &Report) -> Result<bool> {
    let counted: BTreeMap<String, f64> = report
        .rows(scenarios::REQUEST)
        .iter()
        .map(|row| (format!("{}, {}", row.subject, row.unit), row.median()))
        .filter(|(name, _)| name != NOT_REPEATABLE)
        .collect();
    if counted.is_empty() {
        return Ok(true);
    }
    let file = baseline_of(setting.run.build);
    let path = setting.run.root.join(file);
    if setting.run.accept {
        fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&counted)?))?;
        println!("\nThe baseline {file} is now what was counted.");
        return Ok(true);
    }
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
    let baseline: BTreeMap<String, f64> = serde_json::from_str(&text).context(file)?;
    let verdicts = compare(&baseline, &counted);
    println!("\nPer request, against {file}:");
    for verdict in &verdicts {
        println!("  {}", verdict.text);
    }
    let good = verdicts.iter().all(|verdict| verdict.good);
    if !good {
        println!(
            "If this is meant to be, say why in the commit and run `cargo xtask bench --gate --accept`, and the same \
             with `--debug`: each build has a baseline of its own."
        );
    }
    Ok(good)
}

struct Comparison {
    text: String,
    good: bool,
}

fn compare(baseline: &BTreeMap<String, f64>, counted: &BTreeMap<String, f64>) -> Vec<Comparison> {
    let known = counted.iter().map(|(name, now)| match baseline.get(name) {
        Some(before) => {
            let more = now / before - 1.0;
            let (word, good) = match more {
                more if more < -TOLERANCE => ("better; accept it, if that repeats", true),
                more if more <= TOLERANCE => ("as before", true),
                _ => ("REGRESSION", false),
            };
            let text = format!("{name}: {before:.0} -> {now:.0} ({:+.1} %) {word}", more * 100.0);
            Comparison { text, good }
        }
        None => Comparison { text: format!("{name}: {now:.0}, not in the baseline"), good: false },
    });
    // A count that is no longer taken cannot fail, so it has to.
    let gone = baseline.keys().filter(|name| !counted.contains_key(*name));
    let gone = gone.map(|name| Comparison { text: format!("{name}: not counted"), good: false });
    known.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(before: f64, now: f64) -> bool {
        let map = |value| BTreeMap::from([("hello".to_string(), value)]);
        compare(&map(before), &map(now)).iter().all(|verdict| verdict.good)
    }

    #[test]
    fn more_than_the_tolerance_fails() {
        assert!(good(1000.0, 1149.0));
        assert!(!good(1000.0, 1151.0));
        assert!(good(1000.0, 500.0));
        assert!(!good(1000.0, f64::NAN));
    }

    #[test]
    fn what_is_not_in_both_fails() {
        let one = BTreeMap::from([("a".to_string(), 1.0)]);
        assert!(!compare(&one, &BTreeMap::new()).iter().all(|verdict| verdict.good));
        assert!(!compare(&BTreeMap::new(), &one).iter().all(|verdict| verdict.good));
    }
}
