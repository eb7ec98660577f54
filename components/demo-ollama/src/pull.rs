//! `/api/pull`. Nothing is fetched, since both models are part of the component: a pull only takes
//! the time and says the lines that clients know from Ollama, about the true parts of the model.

use std::time::Duration;

use serde_json::{Map, Value};
use wasm_host_guest::StatusCode;

use crate::fields::Refusal;
use crate::library::{KINDS, Kind};
use crate::table::Layer;

/// Ollama reports progress every 60 ms.
const TICK: Duration = Duration::from_millis(60);
/// Ticks that all layers share by their sizes, beside one for each.
const TICKS: u64 = 32;

/// One line of the answer, after a wait.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub wait: Duration,
    pub line: Value,
    /// The model is installed once this line is due.
    pub installs: bool,
}

/// All lines of a successful pull, in order.
pub(crate) fn steps(kind: &Kind, installed: bool) -> Vec<Step> {
    let mut steps = vec![step(TICK, status("pulling manifest"))];
    for layer in kind.layers() {
        if installed {
            steps.push(step(Duration::ZERO, progress(layer, layer.size)));
            continue;
        }
        let ticks = 1 + layer.size * TICKS / kind.size().max(1);
        for tick in 0..=ticks {
            steps.push(step(TICK, progress(layer, layer.size * tick / ticks)));
        }
    }
    steps.push(step(TICK, status("verifying sha256 digest")));
    steps.push(Step { installs: true, ..step(TICK, status("writing manifest")) });
    steps.push(step(TICK, status("success")));
    steps
}

/// Why another model cannot be pulled. First Ollama's own words, which clients look for.
pub(crate) fn refusal(name: &str) -> Refusal {
    let known = KINDS.each_ref().map(|kind| kind.name).join(" and ");
    Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        format!(
            "pull model manifest: file does not exist: {name:?} is not part of this demo, which \
             has {known} only; with Ollama running, all of its models can be pulled"
        ),
    )
}

fn step(wait: Duration, line: Map<String, Value>) -> Step {
    Step { wait, line: Value::Object(line), installs: false }
}

pub(crate) fn status(text: &str) -> Map<String, Value> {
    Map::from_iter([("status".to_string(), text.into())])
}

fn progress(layer: &Layer, completed: u64) -> Map<String, Value> {
    let short = layer.digest.get(..12).unwrap_or(layer.digest);
    let mut line = status(&format!("pulling {short}"));
    line.insert("digest".to_string(), format!("sha256:{}", layer.digest).into());
    line.insert("total".to_string(), layer.size.into());
    if completed > 0 {
        line.insert("completed".to_string(), completed.into());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(steps: &[Step]) -> Vec<&str> {
        let mut statuses: Vec<_> =
            steps.iter().map(|step| step.line["status"].as_str().unwrap()).collect();
        statuses.dedup();
        statuses
    }

    #[test]
    fn a_pull_says_ollamas_lines_in_ollamas_order() {
        for kind in &KINDS {
            let steps = steps(kind, false);
            let layers: Vec<_> =
                kind.layers().map(|layer| format!("pulling {}", &layer.digest[..12])).collect();
            let mut expected = vec!["pulling manifest"];
            expected.extend(layers.iter().map(String::as_str));
            expected.extend(["verifying sha256 digest", "writing manifest", "success"]);
            assert_eq!(statuses(&steps), expected);
        }
    }

    #[test]
    fn each_layer_counts_from_nothing_to_all() {
        let steps = steps(&KINDS[0], false);
        for layer in KINDS[0].layers() {
            let digest = format!("sha256:{}", layer.digest);
            let lines: Vec<_> = steps
                .iter()
                .map(|step| &step.line)
                .filter(|line| line["digest"] == digest)
                .collect();
            assert!(lines.iter().all(|line| line["total"] == layer.size));
            assert!(lines[0].get("completed").is_none());
            assert_eq!(lines.last().unwrap()["completed"], layer.size);
        }
    }

    #[test]
    fn a_pull_takes_a_moment_and_a_second_one_none() {
        for kind in &KINDS {
            let time = |installed| -> Duration {
                steps(kind, installed).iter().map(|step| step.wait).sum()
            };
            assert!(time(false) > Duration::from_secs(2) && time(false) < Duration::from_secs(4));
            assert!(time(true) < Duration::from_millis(300));
        }
    }

    #[test]
    fn the_model_is_there_before_success_is_said() {
        let steps = steps(&KINDS[1], false);
        let installs: Vec<_> = steps.iter().filter(|step| step.installs).collect();
        assert_eq!(installs.len(), 1);
        assert_eq!(installs[0].line["status"], "writing manifest");
    }

    #[test]
    fn another_model_is_refused_in_words_that_help() {
        let refusal = refusal("llama3");
        assert!(refusal.message.starts_with("pull model manifest: file does not exist"));
        assert!(refusal.message.contains("demo:latest and demo:tiny"));
    }
}
