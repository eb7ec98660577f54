//! The benchmark: every scenario in one run, each beside what it is compared with.
//!
//! Absolute figures belong to a machine and an hour; what counts is how two programs compare that took turns
//! in the same minute. So every scenario runs its subjects in rounds, A B A B, and the table is about ratios.
//! A run with a wrong answer is no result.
//!
//! It starts finished programs and knows nothing of how they are built: that is `cargo xtask bench`.

mod callgrind;
mod client;
mod figures;
mod gate;
mod hosts;
mod process;
mod scenarios;
mod stream;
mod twins;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use figures::Report;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure.
    Run(Run),
    /// Be one of the programs that are compared with; prints its address.
    Twin {
        #[command(subcommand)]
        twin: twins::Twin,
    },
}

/// Where the programs are, and what is asked of them.
#[derive(Args)]
struct Run {
    /// The host.
    #[arg(long)]
    host: PathBuf,
    /// How it was built: `release`, as it is shipped, or `debug`, whose times mean nothing.
    #[arg(long)]
    build: Build,
    /// The folder of the repository.
    #[arg(long)]
    root: PathBuf,
    /// `wasmtime`, to compare with.
    #[arg(long)]
    wasmtime: Option<PathBuf>,
    /// `nginx`, to compare with.
    #[arg(long)]
    nginx: Option<PathBuf>,
    /// Where the figures are written as JSON.
    #[arg(long)]
    json: PathBuf,
    /// Fewer and shorter rounds, and no scenario that takes minutes.
    #[arg(long)]
    quick: bool,
    /// Only instructions and allocations, compared with the baseline.
    #[arg(long)]
    gate: bool,
    /// Write what was counted as the new baseline.
    #[arg(long)]
    accept: bool,
    /// Only these scenarios.
    #[arg(long)]
    only: Vec<String>,
}

/// Each has a baseline of its own.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Build {
    Debug,
    Release,
}

/// How long and how often.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    rounds: usize,
    warm_up: Duration,
    measure: Duration,
    quick: bool,
}

impl Effort {
    const FULL: Self = Self {
        rounds: 7,
        warm_up: Duration::from_secs(1),
        measure: Duration::from_secs(4),
        quick: false,
    };
    const QUICK: Self = Self {
        rounds: 3,
        warm_up: Duration::from_secs(1),
        measure: Duration::from_secs(1),
        quick: true,
    };
}

/// What every scenario has to work with.
pub(crate) struct Setting {
    effort: Effort,
    run: Run,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The load takes turns with what it measures on few processors; more threads would only add turns.
    let workers = if matches!(cli.command, Command::Run(_)) { 1 } else { 0 };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if workers > 0 {
        runtime.worker_threads(workers);
    }
    let ended = runtime.enable_all().build().map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            match cli.command {
                Command::Run(run) => measure(run).await,
                Command::Twin { twin } => twins::run(twin).await.map(|()| true),
            }
        })
    });
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(run: Run) -> Result<bool> {
    process::raise_file_limit();
    let effort = if run.quick || run.gate { Effort::QUICK } else { Effort::FULL };
    if let Some(unknown) = run.only.iter().find(|name| !scenarios::NAMES.contains(&name.as_str())) {
        bail!("there is no scenario {unknown}; there are {}", scenarios::NAMES.join(", "));
    }
    let setting = Setting { effort, run };
    let (mut report, mut failed) = (Report::new(&setting), false);
    for name in scenarios::NAMES {
        let only = &setting.run.only;
        let asked = if only.is_empty() {
            !setting.run.gate || name == scenarios::REQUEST
        } else {
            only.iter().any(|only| only == name)
        };
        if !asked {
            continue;
        }
        eprintln!("{name} ...");
        let started = std::time::Instant::now();
        match scenarios::run(name, &setting).await {
            Ok(rows) => report.add(name, rows),
            Err(error) => {
                // The others are worth their time all the same.
                eprintln!("error: the scenario {name} has no result: {error:#}");
                failed = true;
            }
        }
        eprintln!("{name}: {:.0} s", started.elapsed().as_secs_f64());
    }
    report.write(&setting.run.json)?;
    print!("{}", report.text());
    Ok(gate::judge(&setting, &report)? && !failed)
}
