//! Swaps that a replica is asked for, on their way to the others.

use tokio::sync::oneshot;

use super::{Actor, milliseconds};
use crate::protocol::{AttemptId, Proposal};
use crate::replica::{Prepared, SwapProposal, UNKNOWN};

/// A swap that this replica was asked for.
pub(in crate::replica) struct SwapOrder {
    pub(in crate::replica) wanted: SwapProposal,
    pub(in crate::replica) prepared: Box<dyn Prepared>,
    pub(in crate::replica) reply: oneshot::Sender<Result<(), String>>,
}

impl Actor {
    /// Ask the replicas for a swap.
    pub(super) async fn begin(&mut self, order: SwapOrder) {
        let SwapOrder { wanted, prepared, reply } = order;
        // Whoever asked has been told that nothing came of it.
        if reply.is_closed() {
            return prepared.drop_for("it was asked for too long ago");
        }
        let service = wanted.service.clone();
        match self.propose(wanted).await {
            Ok(id) => {
                let Some(own) = self.own.get_mut(&service) else { return };
                // Whoever asked may have given up: then it is prepared anew, as a version that another one asks for.
                if reply.send(Ok(())).is_ok() {
                    own.loads = None;
                    if let Some((_, Ok(before))) = own.prepared.replace((id, Ok(prepared))) {
                        before.drop_for("a newer swap took its place");
                    }
                }
            }
            Err(reason) => {
                prepared.drop_for(&reason);
                let _ = reply.send(Err(reason));
            }
        }
    }

    async fn propose(&mut self, wanted: SwapProposal) -> Result<AttemptId, String> {
        let SwapProposal { service, version, cause, takes_back } = wanted;
        let base = self.own.get(&service).and_then(|own| own.serves);
        let (Some(id), Some(base)) = (self.standing.id(), base) else {
            let why = self.standing.complaint();
            return Err(why.unwrap_or_else(|| "this replica has not come in yet".to_owned()));
        };
        let proposal = Proposal { service, base, version, cause, takes_back };
        let patience = milliseconds(self.terms.attempt_timeout);
        let proposed =
            self.ledger.change(|shared, now| shared.propose(id, &proposal, patience, now));
        match proposed.await {
            Ok((Ok(attempt), _)) => Ok(attempt),
            Ok((Err(refusal), _)) => Err(refusal.to_string()),
            Err(away) => Err(format!("{away}; {UNKNOWN}")),
        }
    }
}
