//! Where calls of a backend are counted, for those that show how it is used.

use wasm_host_telemetry::metrics::Instrument;

/// Those figures of an instrument that have these labels, beside that of the service which calls.
pub struct Figure {
    pub instrument: &'static Instrument,
    pub labels: Vec<(&'static str, String)>,
}

impl Figure {
    pub fn new<const N: usize>(
        instrument: &'static Instrument,
        labels: [(&'static str, &str); N],
    ) -> Self {
        let labels = labels.into_iter().map(|(label, value)| (label, value.to_owned())).collect();
        Self { instrument, labels }
    }
}
