//! Figures as Prometheus reads them.
//!
//! Names follow the rules by which OpenTelemetry's become Prometheus': `http.server.request.duration` in `s` is
//! `http_server_request_duration_seconds`. It must not know where figures come from. The crate `prometheus-client` has
//! no way to give a histogram that is counted elsewhere its exemplars, and the formats are small.

mod names;

use std::fmt::Write as _;

use wasm_host_limits::telemetry as limits;
use wasm_host_telemetry::metrics::{Exemplar, Figure, Instrument, Kind, Point, Reading};

use self::names::{Name, plain};

/// What a client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Version 0.0.4, which everything reads. It has no exemplars.
    Text,
    OpenMetrics,
}

impl Format {
    /// By the `accept` of a request.
    pub fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Text,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All of these, piece by piece: a host with many series has much to tell, and makes as much of it as is read.
pub fn prometheus(
    readings: Vec<Reading>,
    format: Format,
) -> impl Iterator<Item = String> + Send + 'static {
    let told = Exposition { text: String::new(), format };
    Pieces { told, readings: readings.into_iter(), under_way: None, is_over: false }
}

struct Pieces {
    told: Exposition,
    readings: std::vec::IntoIter<Reading>,
    under_way: Option<UnderWay>,
    is_over: bool,
}

/// A reading of which a part is told.
struct UnderWay {
    instrument: &'static Instrument,
    /// What its samples are called.
    name: String,
    points: std::vec::IntoIter<Point>,
}

impl Iterator for Pieces {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        while !self.is_over && self.told.text.len() < limits::SCRAPE_PIECE_BYTES {
            if let Some(UnderWay { instrument, name, points }) = &mut self.under_way
                && let Some(point) = points.next()
            {
                self.told.point(instrument, name, &point);
                continue;
            }
            match self.readings.next() {
                Some(Reading { instrument, points, .. }) => {
                    let name = self.told.head(instrument);
                    let points = points.into_iter();
                    self.under_way = Some(UnderWay { instrument, name, points });
                }
                None => {
                    self.is_over = true;
                    if self.told.format == Format::OpenMetrics {
                        self.told.text.push_str("# EOF\n");
                    }
                }
            }
        }
        let text = std::mem::take(&mut self.told.text);
        (!text.is_empty()).then_some(text)
    }
}

struct Exposition {
    text: String,
    format: Format,
}

impl Exposition {
    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // A text takes everything.
        let _ = self.text.write_fmt(text);
    }

    /// What is said of an instrument once. What its samples are called.
    fn head(&mut self, instrument: &Instrument) -> String {
        let Name { base, unit } = Name::of(instrument);
        let kind = match instrument.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let sample = match instrument.kind {
            Kind::Counter => format!("{base}_total"),
            Kind::Gauge | Kind::Histogram(_) => base.clone(),
        };
        // A family of OpenMetrics is called without what its samples end with.
        let family = match self.format {
            Format::Text => &sample,
            Format::OpenMetrics => &base,
        };
        let help = match instrument.description {
            "" => instrument.name,
            description => description,
        };
        self.push(format_args!("# HELP {family} {}\n", escaped(help)));
        self.push(format_args!("# TYPE {family} {kind}\n"));
        if let (Some(unit), Format::OpenMetrics) = (unit, self.format) {
            self.push(format_args!("# UNIT {family} {unit}\n"));
        }
        sample
    }

    fn point(&mut self, instrument: &Instrument, name: &str, point: &Point) {
        let labels = labels(instrument, point);
        match (&point.value, instrument.kind) {
            (Figure::Number(number), kind) => {
                self.push(format_args!("{name}{} {}", braces(&labels), float(*number)));
                self.exemplar(point.exemplar.filter(|_| kind == Kind::Counter));
            }
            (Figure::Histogram { buckets, sum }, Kind::Histogram(bounds)) => {
                let place =
                    |exemplar: &Exemplar| bounds.partition_point(|bound| *bound < exemplar.value);
                let ends = bounds.iter().copied().chain([f64::INFINITY]);
                let mut all = 0;
                for (number, (end, count)) in ends.zip(buckets).enumerate() {
                    all += count;
                    let le = format!("le=\"{}\"", float(end));
                    let labels: Vec<&str> =
                        labels.iter().map(String::as_str).chain([le.as_str()]).collect();
                    self.push(format_args!("{name}_bucket{{{}}} {all}", labels.join(",")));
                    self.exemplar(point.exemplar.filter(|exemplar| place(exemplar) == number));
                }
                let labels = braces(&labels);
                self.push(format_args!("{name}_sum{labels} {}\n", float(*sum)));
                self.push(format_args!("{name}_count{labels} {all}\n"));
            }
            (Figure::Histogram { .. }, _) => {}
        }
    }

    /// What is behind a sample, and the end of its line.
    fn exemplar(&mut self, exemplar: Option<Exemplar>) {
        if let (Some(Exemplar { time, value, trace }), Format::OpenMetrics) =
            (exemplar, self.format)
        {
            let (value, time) = (float(value), float(time as f64 / 1e6));
            self.push(format_args!(" # {{trace_id=\"{trace}\"}} {value} {time}"));
        }
        self.text.push('\n');
    }
}

/// Each as it stands between the braces.
fn labels(instrument: &Instrument, point: &Point) -> Vec<String> {
    if point.labels.is_empty() && !instrument.labels.is_empty() {
        // All that were not counted apart, as OpenTelemetry says it.
        return vec!["otel_metric_overflow=\"true\"".to_owned()];
    }
    let label = |(name, value): (&&str, &String)| {
        format!("{}=\"{}\"", plain(name), escaped(value).replace('"', "\\\""))
    };
    instrument.labels.iter().zip(&point.labels).map(label).collect()
}

fn braces(labels: &[String]) -> String {
    match labels.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", labels.join(",")),
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

/// The same in both formats, so that a series stays itself.
fn float(number: f64) -> String {
    match number {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        number => format!("{number:?}"),
    }
}

#[cfg(test)]
mod tests;
