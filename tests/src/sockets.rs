//! What the system knows of a connection on this machine.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::within;

/// How often nothing may have moved, one look after the other, until nothing moves.
const STILL: usize = 10;
const LOOK: Duration = Duration::from_millis(20);

/// The number of the timer, in the system's table, that asks a receiver without room whether it has some again.
const PROBES: &str = "04";

/// Wait until the other side writes no more to this connection, which is not read: the buffers of both are full.
pub async fn is_stalled(unread: &TcpStream) {
    let (ours, theirs) = (unread.local_addr().unwrap(), unread.peer_addr().unwrap());
    let (mut unsent, mut still) = (String::new(), 0);
    within("the other side to stall", async {
        while still < STILL {
            tokio::time::sleep(LOOK).await;
            let now = unsent_to_closed_window(theirs, ours);
            still = if now.as_ref() == Some(&unsent) { still + 1 } else { 0 };
            unsent = now.unwrap_or_default();
        }
    })
    .await;
}

/// The bytes that the sender has in its buffer, as the system writes them, if the receiver has no room.
fn unsent_to_closed_window(sender: SocketAddr, receiver: SocketAddr) -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (sender, receiver) = (shown(sender), shown(receiver));
    table.lines().find_map(|line| {
        // NUMBER: LOCAL REMOTE STATE UNSENT:UNREAD TIMER:WHEN ...
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, remote, _, queues, timer, ..] = fields[..] else { return None };
        let is_it =
            local == sender && remote == receiver && timer.split(':').next() == Some(PROBES);
        is_it.then(|| queues.split(':').next().unwrap().to_owned())
    })
}

/// An address as in the system's table, which writes its bytes as one number of the machine.
fn shown(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else { panic!("{address} is not in the table") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}
