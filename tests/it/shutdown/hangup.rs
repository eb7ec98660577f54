//! Signals besides those that everybody knows: SIGHUP of a terminal that closes, and those that a hook sends.

use super::*;

fn send(host: &wasm_host_tests::host::Host, signal: Signal) {
    kill_process(Pid::from_raw(host.pid().cast_signed()).unwrap(), signal).unwrap();
}

// Fault (SIGTERM): SIGHUP or SIGQUIT, without certificates | finishes what runs, as at SIGTERM | its whole answer | nothing
#[tokio::test]
async fn without_certificates_sighup_and_sigquit_finish_what_runs() {
    for (signal, name) in [(Signal::HUP, "SIGHUP"), (Signal::QUIT, "SIGQUIT")] {
        let host = app("").serve().await;
        let path = "/slow?pieces=10&ms=100";
        let mut stream = client::open(&host.address, "GET", path, &[], "").await;
        assert!(stream.next().await.unwrap().is_some());
        send(&host, signal);
        host.logs(&format!("{name}: finishing")).await;
        // Where a terminal closes, it comes again from the shell; it does not make the host hurry.
        send(&host, Signal::HUP);
        let rest = String::from_utf8(stream.rest().await.expect("a whole body")).unwrap();
        assert!(rest.ends_with("end one\n"), "{rest}");
        let control = host.state().join("control.json");
        let (status, log) = host.stop_after_signal().await;
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains("every accepted request was finished"), "{log}");
        assert!(!control.exists());
    }
}

// Fault (SIGTERM): SIGUSR1 and SIGUSR2 | ignores them, and says so | its answer | nothing
#[tokio::test]
async fn signals_that_mean_nothing_here_end_nothing() {
    let host = app("").serve().await;
    for (signal, name) in [(Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2")] {
        send(&host, signal);
        host.logs(&format!("{name} has no meaning here")).await;
        assert_eq!(host.get("/").await.status, 200);
    }
    assert_eq!(host.stop().await.0.code(), Some(0));
}

// Fault (SIGTERM): SIGHUP below `nohup` | ignores it | its answer | nothing
/// `nohup` does so.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_host_that_was_started_to_outlive_its_terminal_does() {
    let host = app("").before("trap '' HUP QUIT").serve().await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    for signal in [Signal::HUP, Signal::QUIT] {
        assert_eq!(ignored >> (signal.as_raw() - 1) & 1, 1, "{status}");
        send(&host, signal);
    }
    assert_eq!(host.get("/").await.status, 200);
    assert_eq!(host.stop().await.0.code(), Some(0));
}

/// All that the host could still tell goes to the terminal, too.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_terminal_that_closes_finishes_what_runs() {
    let app = app("").in_terminal();
    let host = app.serve().await;
    let path = "/slow?pieces=10&ms=100";
    let mut stream = client::open(&host.address, "GET", path, &[], "").await;
    assert!(stream.next().await.unwrap().is_some());
    let control = host.state().join("control.json");
    host.kill().await;
    let rest = String::from_utf8(stream.rest().await.expect("a whole body")).unwrap();
    assert!(rest.ends_with("end one\n"), "{rest}");
    eventually("the host to end in order", async || (!control.exists()).then_some(())).await;
}
