//! `wasm-host new` and `wasm-host add`: services that are built, tested and served, from templates in the program.
//!
//! Nothing is fetched, and no file that is there is written over, but for the application file that a service is added
//! to.

mod ask;
mod enter;
mod place;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error};
use serde::Serialize;

use self::ask::Asker;
use crate::build::{programs, toolchain};
use crate::cli::{self, APPLICATION_FILE, Format};
use crate::colour::told;
use crate::exit::Exit;
use wasm_host_config::normalised_route;
use wasm_host_settings::diagnostic::Problem;
use wasm_host_settings::value;
use wasm_host_system::{output, table, whole};
use wasm_host_templates::{
    Language, NewFile, SERVICES, Service, application, of_application, of_service,
};

/// The public port of a new application, and that of its control plane, which it cannot have.
const PORT: u16 = 8080;
const ADMIN_PORT: u16 = 8081;

/// What was made, for programs.
#[derive(Serialize)]
struct Made<'a> {
    service: &'a str,
    language: &'static str,
    route: &'a str,
    /// The folder of its sources, from here.
    source: PathBuf,
    /// The application file that it is in.
    application: PathBuf,
    /// The public port. None: that of an application that was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
}

/// Make a new application in a folder of its name.
///
/// # Errors
/// [`Exit::Usage`] for a name, route or port that cannot be, and where there is something already; [`Exit::Failed`] if
/// the files cannot be written.
pub async fn new(args: cli::New) -> Result<(), Exit> {
    blocking(move || make(&args)).await
}

/// Add a service to an application.
///
/// # Errors
/// As [`new`], and [`Exit::Usage`] if the application has one of this name or route.
pub async fn add(args: cli::Add) -> Result<(), Exit> {
    blocking(move || extend(&args)).await
}

/// A terminal may be waited for as long as its user likes.
async fn blocking(work: impl FnOnce() -> Result<(), Exit> + Send + 'static) -> Result<(), Exit> {
    tokio::task::spawn_blocking(work).await.context("the files were not written")?
}

fn make(args: &cli::New) -> Result<(), Exit> {
    let asker = Asker::of_terminal();
    let language = args.template.language();
    let name = |text: &str| service_name(text, language);
    let name = asker.required("Name", args.name.as_deref(), name)?;
    let folder = PathBuf::from(&name);
    if folder.exists() {
        return Err(usage(&format!(
            "{name} is there already; choose another name, or add to the application in it: `cd {name} && wasm-host \
             add NAME --lang {}`",
            language.name()
        )));
    }
    let given = args.port.map(|port| port.to_string());
    let port = asker.value("Port", given.as_deref(), &PORT.to_string(), port)?;
    let route = asker.value("Route", args.template.route.as_deref(), "/", route)?;
    let with = args.template.grants();
    let service = Service { application: &name, name: &name, language, route: &route, with };
    let text = application::new(&name, port) + &application::added(&service, None);
    let mut files = of_application(&name, port);
    files.extend(of_service(&service).map_err(Error::new)?);
    files.push(NewFile::text(PathBuf::from(APPLICATION_FILE), text));
    place::put(&folder, &files)?;
    tell(
        args.output.format,
        &service,
        &folder,
        &folder.join(APPLICATION_FILE),
        Some(port),
        || {
            format!(
                "{name}: an application with one service, {SERVICES}/{name}\n\n  cd {name} && wasm-host build && wasm-host test \
         && wasm-host serve --watch\n  curl http://127.0.0.1:{port}{route}\n"
            )
        },
    )?;
    warn(&folder, &service, Some(&name));
    Ok(())
}

fn extend(args: &cli::Add) -> Result<(), Exit> {
    let file = &args.application;
    let language = args.template.language();
    let table = enter::read(file, language)?.table;
    let application = table.get("name").and_then(toml::Value::as_str).unwrap_or_default();
    let asker = Asker::of_terminal();
    let with = args.template.grants();
    let new_name = |text: &str| {
        let name = service_name(text, language)?;
        enter::is_free(&table, &name, with).map(|()| name)
    };
    let name = asker.required("Name", args.name.as_deref(), new_name)?;
    let default = format!("/{name}");
    let route = asker.value("Route", args.template.route.as_deref(), &default, route)?;
    let service = Service { application, name: &name, language, route: &route, with };
    let folder = whole::folder_of(file).to_owned();
    let placed = place::put(&folder, &of_service(&service).map_err(Error::new)?)?;
    if let Err(wrong) = enter::service(file, &folder, &service) {
        placed.take_back();
        return Err(wrong);
    }
    tell(args.output.format, &service, &folder, file, None, || {
        format!("{name}: {SERVICES}/{name}, at {route}; `wasm-host build {name}` builds it\n")
    })?;
    for other in &placed.others {
        eprintln!("{}", told(&other.to_string()));
    }
    warn(&folder, &service, None);
    Ok(())
}

/// Say what was made: in `words`, or for programs.
fn tell(
    format: Format,
    service: &Service<'_>,
    folder: &Path,
    application: &Path,
    port: Option<u16>,
    words: impl FnOnce() -> String,
) -> Result<(), Error> {
    let Service { name, route, language, .. } = service;
    match format {
        Format::Table => output::show(&words()),
        Format::Json => table::json(&Made {
            service: name,
            language: language.name(),
            route,
            source: from_here(folder).join(SERVICES).join(name),
            application: application.to_owned(),
            port,
        })?,
    }
    Ok(())
}

/// The working directory has no name in a path that is relative to it.
fn from_here(folder: &Path) -> &Path {
    folder.strip_prefix(".").unwrap_or(folder)
}

fn service_name(text: &str, language: Language) -> Result<String, String> {
    value::name(text).map_err(sentence)?;
    language.refuses_name(text).map_or_else(|| Ok(text.to_owned()), Err)
}

fn port(text: &str) -> Result<u16, String> {
    match text.parse::<u16>() {
        Ok(ADMIN_PORT) => Err(format!("{ADMIN_PORT} is the port of the control plane")),
        Ok(port @ 1..) => Ok(port),
        _ => Err(format!("'{text}' is no port; it is a number up to 65535")),
    }
}

fn route(text: &str) -> Result<String, String> {
    normalised_route(text).map_err(sentence)
}

fn sentence(problem: Problem) -> String {
    match problem.hint {
        Some(hint) => format!("{}; {hint}", problem.message),
        None => problem.message,
    }
}

fn usage(text: &str) -> Exit {
    Exit::Usage(format!("wasm-host: error: {text}"))
}

/// Say what is not installed, and how it is. `below`: the folder that it is installed in, from here.
fn warn(folder: &Path, service: &Service<'_>, below: Option<&str>) {
    let shown = Path::new(SERVICES).join(service.name);
    let own = folder.join(&shown);
    let places = programs([&own, folder]);
    let missing = service.language.programs().iter();
    let mut missing = missing.filter(|program| !toolchain::is_there(program, &places));
    let Some(program) = missing.next() else { return };
    let Some(install) = toolchain::install(program, &own, &shown) else { return };
    let place = below.map(|below| format!("in {below}, ")).unwrap_or_default();
    let text = format!("wasm-host: warning: `{program}` is not installed; {place}{install}");
    eprintln!("{}", told(&text));
}
