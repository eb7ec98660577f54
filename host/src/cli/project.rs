//! Commands for writing services: new ones, their interfaces, their builds.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::name;
use super::{APPLICATION_FILE, Output};
use wasm_host_templates::wit::{Style, Wasi};
use wasm_host_templates::{Language, With};

#[derive(Args, Debug)]
pub struct New {
    /// What the application and its first service are called; the folder that is made, too. Asked for on a terminal.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    #[command(flatten)]
    pub template: Template,
    /// The public port. On a terminal it is asked for. [default: 8080]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args, Debug)]
pub struct Add {
    /// What the service is called. Asked for on a terminal.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    #[command(flatten)]
    pub template: Template,
    /// The application file.
    #[arg(long = "app", value_name = "APP.toml", default_value = APPLICATION_FILE)]
    pub application: PathBuf,
    #[command(flatten)]
    pub output: Output,
}

/// What a service is made from.
#[derive(Args, Debug)]
pub struct Template {
    /// What it is written in.
    #[arg(long, value_name = "LANGUAGE", value_enum)]
    pub lang: Lang,
    /// What it is granted, and uses as an example; several with commas in between.
    #[arg(long, value_name = "GRANT", value_enum, value_delimiter = ',')]
    pub with: Vec<Grant>,
    /// The prefix of the paths that reach it. On a terminal it is asked for. [default: / of a new application, else /NAME]
    #[arg(long, value_name = "ROUTE")]
    pub route: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    Rust,
    Python,
    Javascript,
    C,
    Go,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Grant {
    Postgres,
    Ollama,
    /// A bucket.
    Keyvalue,
    /// Values of the application file.
    Config,
}

#[derive(Args, Debug)]
pub struct Wit {
    /// The service whose interfaces these are.
    #[arg(value_name = "SERVICE", value_parser = name)]
    pub service: String,
    /// The folder to write them to, with each package in one of its own; without it they are printed as one text.
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// The version of WASI. [default: that of the interfaces that the service has, else 0.3]
    #[arg(long, value_name = "VERSION", value_enum)]
    pub wasi: Option<WasiVersion>,
    /// For tools that cannot import an `async func`, which 0.2 has none of. [default: as the interfaces that the service
    /// has]
    #[arg(long)]
    pub blocking: bool,
    /// The folder to write the same to as C or Go, too, in place of what this command wrote there: service.c and service.h,
    /// or a package for each interface.
    #[arg(long, value_name = "DIR", requires = "output")]
    pub bindings: Option<PathBuf>,
    /// The language of the bindings. [default: go where there is a go.mod in DIR or beside it, else c]
    #[arg(long, value_name = "LANGUAGE", value_enum, requires = "bindings")]
    pub lang: Option<BindingsLang>,
    /// The application file.
    #[arg(long = "app", value_name = "APP.toml", default_value = APPLICATION_FILE)]
    pub application: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WasiVersion {
    #[value(name = "0.2")]
    P2,
    #[value(name = "0.3")]
    P3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BindingsLang {
    C,
    Go,
}

#[derive(Args, Debug)]
pub struct Build {
    /// The service whose component is built; without it, those of all that say how.
    #[arg(value_name = "SERVICE", value_parser = name)]
    pub service: Option<String>,
    /// The application file.
    #[arg(long = "app", value_name = "APP.toml", default_value = APPLICATION_FILE)]
    pub application: PathBuf,
    #[command(flatten)]
    pub output: Output,
}

impl Template {
    pub fn language(&self) -> Language {
        match self.lang {
            Lang::Rust => Language::Rust,
            Lang::Python => Language::Python,
            Lang::Javascript => Language::JavaScript,
            Lang::C => Language::C,
            Lang::Go => Language::Go,
        }
    }

    pub fn grants(&self) -> With {
        With {
            postgres: self.with.contains(&Grant::Postgres),
            ollama: self.with.contains(&Grant::Ollama),
            keyvalue: self.with.contains(&Grant::Keyvalue),
            config: self.with.contains(&Grant::Config),
        }
    }
}

impl Wit {
    /// What is asked for, or else what the service has.
    pub fn style(&self, found: Option<Style>) -> Style {
        let style = match self.wasi {
            None => found.unwrap_or(Style::ASYNC),
            Some(WasiVersion::P2) => Style { wasi: Wasi::P2, is_blocking: true },
            Some(WasiVersion::P3) => Style::ASYNC,
        };
        Style { is_blocking: style.is_blocking || self.blocking, ..style }
    }
}
