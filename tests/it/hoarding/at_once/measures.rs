//! What is measured beside the times of neighbours' answers, in calm and beside attacks: where they waited.

mod figures;
mod waits;

use super::neighbours::Phase;
use figures::Figures;
use waits::Waits;

/// Each in calm, and beside attacks.
#[derive(Default)]
pub(super) struct Measures {
    waits: [Waits; 2],
    figures: [Figures; 2],
}

const PHASES: [(&str, Phase); 2] = [("in calm", Phase::Calm), ("beside attacks", Phase::Attack)];

impl Measures {
    /// Look at the threads of a host and of all that it has started. What was since the last look is of this phase.
    pub(super) fn look(&mut self, host: u32, phase: Phase) {
        for (waits, (_, counts)) in self.waits.iter_mut().zip(PHASES) {
            waits.look(host, phase == counts);
        }
    }

    /// Read what a host says of itself. What was since the last reading is of this phase.
    pub(super) fn read(&mut self, text: &str, phase: Phase) {
        for (figures, (_, counts)) in self.figures.iter_mut().zip(PHASES) {
            figures.read(text, phase == counts);
        }
    }

    pub(super) fn table(&self) -> String {
        let parts = PHASES.iter().zip(&self.waits).zip(&self.figures);
        let part = |(((name, _), waits), figures): ((&(&str, Phase), &Waits), &Figures)| {
            format!("{name}:\n{}as the host measures:\n{}", waits.table(), figures.table())
        };
        parts.map(part).collect()
    }
}
