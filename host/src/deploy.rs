//! `wasm-host manifest` and `wasm-host deploy`: reading the application file for containers, and writing what comes of it.
//!
//! What the files say is in `wasm_host_deploy`, which touches none. `apply` talks to a cluster.

mod apply;
mod kubectl;
mod written;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::cli::{DeploySource, DeployTarget, Manifest};
use crate::colour::told;
use crate::exit::Exit;
use wasm_host_config::deploy::image;
use wasm_host_deploy::plan::{self, Input};
use wasm_host_deploy::{Plan, compose, helm, kustomize, manifest, systemd};
use wasm_host_limits::{self as limits};
use wasm_host_settings::diagnostic::{Diagnostics, Problem};
use wasm_host_system::output;
use written::{Folder, Rewrite};

/// Print the manifest, or write it with what it mounts.
pub fn manifest(args: &Manifest) -> Result<(), Exit> {
    let plan = plan(&args.source)?;
    let files = manifest::files(&plan);
    let Some(output) = &args.output else {
        let text = files.iter().find(|file| file.path == "manifest.json");
        output::show(text.map_or("", |file| &file.text));
        eprintln!(
            "wasm-host: the manifest mounts {}; --output DIR writes it, too",
            manifest::APPLICATION_FILE
        );
        return Ok(());
    };
    let folder = Folder::new(output)?;
    for file in &files {
        folder.write(file, Rewrite::Always)?;
    }
    done(output, files.len());
    Ok(())
}

/// Make files, or bring the application to a cluster.
pub async fn deploy(target: DeployTarget) -> Result<(), Exit> {
    match target {
        DeployTarget::Kubernetes { source, output } => {
            kubernetes(&plan(&source)?, &output).map(|count| done(&output, count))
        }
        DeployTarget::Helm { source, output } => helm(&plan(&source)?, &output),
        DeployTarget::Compose { source, output } => compose(&plan(&source)?, &output),
        DeployTarget::Systemd { source, output } => systemd(&read(&source, true)?, &output),
        DeployTarget::Apply(args) => {
            let plan = plan(&args.source)?;
            let count = kubernetes(&plan, &args.output)?;
            eprintln!("wrote {count} files to {}", args.output.display());
            apply::apply(&plan, &args).await
        }
    }
}

/// Reads the application file for containers.
fn plan(source: &DeploySource) -> Result<Plan, Exit> {
    read(source, false)
}

/// Reads the application file. The values of its secrets are not asked for.
fn read(source: &DeploySource, as_it_is: bool) -> Result<Plan, Exit> {
    let path = &source.application;
    let file = path.display().to_string();
    let wrong =
        |why: String, fix: &str| Exit::from(Diagnostics::of_file(&file, Problem::new(why, fix)));
    if let Some(Err(problem)) = source.image.as_deref().map(image) {
        return Err(Exit::Usage(format!("--image: {problem}")));
    }
    let text = text_of(path, limits::APPLICATION_FILE_BYTES).map_err(|why| {
        wrong(format!("cannot read the application file: {why}"), "name another one")
    })?;
    let plan = plan::read(&Input {
        text: &text,
        file: &file,
        folder: path.parent().unwrap_or(Path::new("")),
        image: source.image.as_deref(),
        as_it_is,
        read: &text_of,
    })?;
    for warning in &plan.warnings {
        eprintln!("{}", told(&format!("{file}: warning: {warning}")));
    }
    Ok(plan)
}

/// A text file of at most so many bytes; the error says why not, without any of its content.
fn text_of(path: &Path, most: u64) -> Result<String, String> {
    let mut bytes = Vec::new();
    // One more than allowed tells a file that is too large from one that just fits.
    File::open(path)
        .and_then(|file| file.take(most.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > most {
        return Err(format!("it has more than {most} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// Writes base and overlays, and the file with secrets if the overlay for this machine needs one.
fn kubernetes(plan: &Plan, output: &Path) -> Result<usize, Exit> {
    let folder = Folder::new(output)?;
    let files = kustomize::files(plan);
    for file in &files {
        // The overlay for other clusters is an example, which belongs to whoever changes it, and so may a .gitignore.
        let is_users = file.path.starts_with("overlays/production/") || file.path == ".gitignore";
        folder.write(file, if is_users { Rewrite::Never } else { Rewrite::Always })?;
    }
    folder.remove_old("base", &files)?;
    if !plan.all_secrets().is_empty() {
        let made = folder.append_secrets(kustomize::SECRETS, |text, made| {
            kustomize::missing_secrets(plan, text, made)
        })?;
        if made {
            eprintln!(
                "secrets of the overlay local: {}",
                output.join(kustomize::SECRETS).display()
            );
        }
    }
    Ok(files.len())
}

fn helm(plan: &Plan, output: &Path) -> Result<(), Exit> {
    let folder = Folder::new(output)?;
    let files = helm::files(plan);
    for file in &files {
        folder.write(file, Rewrite::Always)?;
    }
    folder.remove_old("templates", &files)?;
    done(output, files.len());
    Ok(())
}

fn compose(plan: &Plan, output: &Path) -> Result<(), Exit> {
    let parent = output.parent().filter(|parent| *parent != Path::new(""));
    let folder = Folder::new(parent.unwrap_or(Path::new(".")))?;
    let name = output.file_name().unwrap_or_default().to_string_lossy().into_owned();
    folder.write(
        &wasm_host_deploy::File { path: name, text: compose::text(plan) },
        Rewrite::Always,
    )?;
    let made =
        folder.append_secrets(".env", |text, made| compose::missing_variables(plan, text, made))?;
    if made {
        eprintln!("passwords of servers: .env beside it, which belongs into no repository");
    }
    output::show(&format!("wrote {}\n", output.display()));
    Ok(())
}

fn systemd(plan: &Plan, output: &Path) -> Result<(), Exit> {
    let folder = Folder::new(output)?;
    let files = systemd::files(plan);
    for file in &files {
        folder.write(file, Rewrite::Always)?;
    }
    done(output, files.len());
    Ok(())
}

fn done(output: &Path, count: usize) {
    output::show(&format!("wrote {count} files to {}\n", output.display()));
}
