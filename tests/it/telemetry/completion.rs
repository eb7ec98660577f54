//! What a shell offers when somebody completes a line.

use wasm_host_tests::host::{App, binary};
use wasm_host_tests::{eventually, within};

use super::TWO;

/// The script that asks the program, and the one that stands by itself.
const ASKS: (&str, &str) =
    ("source <(WASM_HOST_COMPLETE=bash \"$PROGRAM\")", "_clap_complete_wasm_host");
const STANDS: (&str, &str) = ("source <(\"$PROGRAM\" completion bash)", "_wasm__host");

#[tokio::test]
async fn commands_and_options_are_completed() {
    let app = App::new(TWO);
    for script in [ASKS, STANDS] {
        for (typed, wanted) in [("rec", "record recordings"), ("record --f", "--failures --format")]
        {
            assert_eq!(completed(&app, script, typed).await, wanted, "{typed} by {script:?}");
        }
    }
}

#[tokio::test]
async fn names_of_services_are_those_of_the_application_file_where_no_host_runs() {
    // With a mistake behind them, and a folder of files, which has no versions.
    let app = App::new(&format!("{TWO}\n[service.site]\nstatic = \"site\n"));
    for (typed, wanted) in [
        ("describe ", "caller inner site"),
        ("logs i", "inner"),
        ("wait s", "site"),
        ("traces --service c", "caller"),
        ("export a.zip --service i", "inner"),
        ("history s", ""),
        ("swap c", "caller"),
        ("rollback i", "inner"),
        ("record i", "inner"),
        ("logs --app nowhere.toml i", ""),
    ] {
        assert_eq!(offered(&app, typed).await, wanted, "{typed}");
    }
}

#[tokio::test]
async fn names_of_services_are_those_of_the_running_host() {
    let app = App::new(TWO);
    let host = app.serve().await;
    // The file says something else by now.
    std::fs::write(app.path().join("wasm-host.toml"), "[service.later]\ncomponent = \"a\"\n")
        .unwrap();
    offers(&app, "describe ", "caller inner").await;
    offers(&app, "record c", "caller").await;
    let state = host.state();
    std::fs::remove_file(app.path().join("wasm-host.toml")).unwrap();
    let typed = format!("logs --state {} i", state.display());
    offers(&app, &typed, "inner").await;
}

/// A host that is asked for names has little time to answer, and none is offered if it takes longer.
async fn offers(app: &App, typed: &str, wanted: &str) {
    let look = async || (offered(app, typed).await == wanted).then_some(());
    eventually(&format!("{wanted} for {typed}"), look).await;
}

/// Without what begins with a hyphen.
async fn offered(app: &App, typed: &str) -> String {
    let all = completed(app, ASKS, typed).await;
    let names = all.split(' ').filter(|word| !word.starts_with('-'));
    names.collect::<Vec<_>>().join(" ")
}

/// What bash offers for the last word of what was typed behind the program's name, which an empty one follows if it ends
/// with a space.
async fn completed(app: &App, (script, function): (&str, &str), typed: &str) -> String {
    let ask = format!(
        r#"{script}
COMP_WORDS=(wasm-host $1)
[[ $1 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
{function} wasm-host "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD - 1]}}"
echo ${{COMPREPLY[@]}}
"#
    );
    let mut bash = tokio::process::Command::new("bash");
    bash.args(["-c", &ask, "bash", typed]).current_dir(app.path()).env("PROGRAM", binary());
    let output = within("bash", bash.output()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
