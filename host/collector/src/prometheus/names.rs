//! How things are called in Prometheus that OpenTelemetry calls otherwise. Pure.

use wasm_host_telemetry::metrics::{Instrument, Kind};

/// The name with its unit, and without what samples end with.
pub(super) struct Name {
    pub(super) base: String,
    pub(super) unit: Option<String>,
}

impl Name {
    pub(super) fn of(instrument: &Instrument) -> Self {
        let name = plain(instrument.name);
        let name = match instrument.kind {
            Kind::Counter => name.strip_suffix("_total").unwrap_or(&name),
            Kind::Gauge | Kind::Histogram(_) => &name,
        };
        let unit = unit(instrument);
        let base = match &unit {
            Some(unit) if !name.ends_with(&format!("_{unit}")) => format!("{name}_{unit}"),
            _ => name.to_owned(),
        };
        Self { base, unit }
    }
}

/// A unit of UCUM in words. What is in braces says of what there are so many, and is no unit.
fn unit(instrument: &Instrument) -> Option<String> {
    let word = |unit: &str| match unit {
        "s" => "seconds".to_owned(),
        "ms" => "milliseconds".to_owned(),
        "us" => "microseconds".to_owned(),
        "ns" => "nanoseconds".to_owned(),
        "min" => "minutes".to_owned(),
        "h" => "hours".to_owned(),
        "d" => "days".to_owned(),
        "By" => "bytes".to_owned(),
        "KiBy" => "kibibytes".to_owned(),
        "MiBy" => "mebibytes".to_owned(),
        "%" => "percent".to_owned(),
        other => plain(other),
    };
    match instrument.unit {
        "" => None,
        "1" => (instrument.kind == Kind::Gauge).then(|| "ratio".to_owned()),
        braces if braces.starts_with('{') => None,
        unit => Some(match unit.split_once('/') {
            Some((over, "s")) => format!("{}_per_second", word(over)),
            _ => word(unit),
        }),
    }
}

/// Letters, digits and underscores, not beginning with a digit.
pub(super) fn plain(name: &str) -> String {
    let allowed = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    let plain: String = name.chars().map(allowed).collect();
    match plain.starts_with(|first: char| first.is_ascii_digit()) {
        true => format!("_{plain}"),
        false => plain,
    }
}
