//! Load from wrk: closed loop on a fixed number of connections, with every wrong answer counted.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// What one run came to.
pub(crate) struct Run {
    pub(crate) requests_per_second: f64,
    /// The time below which 99 of 100 answers came, in milliseconds.
    pub p99: f64,
}

/// Connections. More than the processors can serve at once, so that neither side ever waits for the other.
const CONNECTIONS: usize = 32;

/// An answer that takes longer is an error. What wrk takes itself, two seconds, is less than a busy machine may stand
/// still, and how long answers take is told by the figures.
const TIMEOUT: &str = "30s";

/// Keep `url` busy for a while. Any answer that is not 2xx and any broken connection is an error.
pub(crate) async fn run(url: &str, time: Duration) -> Result<Run> {
    let seconds = time.as_secs().max(1);
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s")])
        .args(["--timeout", TIMEOUT, "--latency", url])
        .output()
        .await
        .context("cannot start wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("wrk ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    read(&text).with_context(|| format!("{url} was not answered as it should be:\n{text}"))
}

fn read(text: &str) -> Result<Run> {
    let mut run = Run { requests_per_second: f64::NAN, p99: f64::NAN };
    for line in text.lines().map(str::trim) {
        if line.starts_with("Non-2xx") || line.starts_with("Socket errors") {
            bail!("{line}");
        } else if let Some(rate) = line.strip_prefix("Requests/sec:") {
            run.requests_per_second = rate.trim().parse()?;
        } else if let Some(time) = line.strip_prefix("99%") {
            run.p99 = milliseconds(time.trim()).with_context(|| line.to_string())?;
        }
    }
    if !(run.requests_per_second > 0.0 && run.p99.is_finite()) {
        bail!("wrk told no figures");
    }
    Ok(run)
}

fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0)];
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "  Latency Distribution\n     50%    1.02ms\n     99%    980.00us\n  \
                        100 requests in 1.00s, 2MB read\nRequests/sec:  31415.92\n";

    #[test]
    fn rate_and_latency_are_read() {
        let run = read(GOOD).unwrap();
        assert_eq!((run.requests_per_second, run.p99), (31415.92, 0.98));
    }

    #[test]
    fn a_run_with_wrong_answers_is_no_result() {
        assert!(read(&format!("{GOOD}  Non-2xx or 3xx responses: 7\n")).is_err());
        let broken = "  Socket errors: connect 0, read 3, write 0, timeout 0\n";
        assert!(read(&format!("{broken}{GOOD}")).is_err());
        assert!(read("").is_err());
    }
}
