//! The turns that they take.

use std::collections::HashMap;

use crate::Args;
use crate::command::{Command, Operation, Taken};
use crate::peer::{IN_FLIGHT, Peer, Peers};
use crate::proxy::Proxy;
use crate::side::Side;

/// How many tasks are in flight: as many as the peers keep connections for, and one.
pub(crate) const LANES: [u32; 2] = [IN_FLIGHT, 1];
/// How many tasks the requests of an operation are counted for.
const COUNTED: u32 = 4;

/// What is measured: who does what, and how many at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cell {
    pub(crate) side: Side,
    pub(crate) operation: Operation,
    pub(crate) in_flight: u32,
}

/// What each round took.
pub(crate) struct Measured {
    pub(crate) rounds: HashMap<Cell, Vec<Taken>>,
    /// What each side is made of.
    pub(crate) about: Vec<String>,
}

/// The requests of one task, by a proxy in a run of their own.
pub(crate) async fn count_requests(peers: &Peers) -> HashMap<(Side, Operation), usize> {
    let proxy = Proxy::before(peers.endpoint()).await;
    let mut requests = HashMap::new();
    for side in Side::ALL {
        let mut peer = peers.start_at(side, &proxy.endpoint);
        // The first task may find out more than those after it, such as what the table is.
        for (tasks, prefix) in [(1, "asked"), (COUNTED, "counted")] {
            for operation in Operation::ALL {
                let before = proxy.sent().len();
                let prefix = format!("{prefix}-{}", operation.family());
                peer.ask(&Command { operation, tasks, in_flight: 1, prefix });
                let sent = proxy.sent().len() - before;
                requests.insert((side, operation), sent / tasks as usize);
                assert_eq!(sent % tasks as usize, 0, "each task of {side:?} has the same requests");
            }
        }
    }
    requests
}

/// All rounds. Before them comes one to warm up, which does not count, unless each is of new processes.
pub(crate) fn measure(peers: &Peers, args: &Args) -> Measured {
    let start = || -> Vec<Peer> { Side::ALL.into_iter().map(|side| peers.start(side)).collect() };
    let mut running = start();
    let about = running.iter().map(|peer| format!("{}: {}", peer.side.name(), peer.about)).collect();
    let mut rounds = HashMap::<Cell, Vec<Taken>>::new();
    for round in u32::from(args.fresh)..=args.rounds {
        // Round 0, or the first that counts, has those that have just been started.
        if args.fresh && round > 1 {
            running = start();
        }
        eprintln!("round {round} of {}", args.rounds);
        for (cell, taken) in one_round(&mut running, round, args.tasks) {
            if round > 0 {
                rounds.entry(cell).or_default().push(taken);
            }
        }
        // Whoever comes after another finds what that one has left in the caches.
        fastrand::shuffle(&mut running);
    }
    Measured { rounds, about }
}

fn one_round(running: &mut [Peer], round: u32, tasks: u32) -> Vec<(Cell, Taken)> {
    let mut taken = Vec::new();
    for in_flight in LANES {
        for operation in Operation::ALL {
            for peer in &mut *running {
                let prefix = format!("{round}-{in_flight}-{}", operation.family());
                let batch = peer.ask(&Command { operation, tasks, in_flight, prefix });
                taken.push((Cell { side: peer.side, operation, in_flight }, batch));
            }
        }
    }
    taken
}
