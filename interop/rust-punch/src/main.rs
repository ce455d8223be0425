//! postern-rust-punch is a home on rust-libp2p: it reserves on a relay, and gets direct connections with rust-libp2p's own
//! DCUtR.
//!
//! Standard output has JSON only, one object a line: {"event": …, "ms": since the start, …}. Standard input takes
//! `dial <multiaddr>` and `ping <peer ID>`, a line each; its end is the program's. `RUST_LOG`, `libp2p_dcutr=debug` for
//! example, has rust-libp2p tell more on standard error.

use std::{collections::HashMap, env, error::Error, io, time::Duration, time::Instant};

use libp2p::{
    Multiaddr, PeerId, SwarmBuilder, dcutr,
    futures::StreamExt,
    identify, identity,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{ConnectionId, NetworkBehaviour, Swarm, SwarmEvent},
    tcp, yamux,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader};
use tracing_subscriber::{filter::Targets, prelude::*};

#[derive(NetworkBehaviour)]
struct Behaviour {
    relay: relay::client::Behaviour,
    identify: identify::Behaviour,
    dcutr: dcutr::Behaviour,
    ping: ping::Behaviour,
}

/// The connections to a peer.
struct Connection {
    peer: PeerId,
    address: String,
    direct: bool,
}

struct Home {
    swarm: Swarm<Behaviour>,
    started: Instant,
    relay: Multiaddr,
    peers: Vec<Multiaddr>,
    connections: HashMap<ConnectionId, Connection>,
    /// Whether the next ping to it must be reported.
    pinging: Option<PeerId>,
    listening: bool,
    able: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let logged = env::var("RUST_LOG").unwrap_or_default().parse::<Targets>()?;
    let log = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    tracing_subscriber::registry().with(log).with(logged).init();

    let flags = read_flags()?;
    let flag = |name: &str, otherwise: &str| flags.get(name).map_or(otherwise.to_owned(), Clone::clone);
    let seed: [u8; 32] = Sha256::digest(flag("seed", "home")).into();
    let key = identity::Keypair::ed25519_from_bytes(seed)?;
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
        .with_relay_client(noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key, relay| Behaviour {
            relay,
            identify: identify::Behaviour::new(identify::Config::new("/ipfs/0.1.0".to_owned(), key.public())),
            dcutr: dcutr::Behaviour::new(key.public().to_peer_id()),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_millis(500))),
        })?
        // The other side should close the relayed connection.
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(3600)))
        .build();
    let mut home = Home {
        swarm,
        started: Instant::now(),
        relay: flag("relay", "").parse()?,
        peers: flag("peers", "")
            .split(',')
            .filter(|each| !each.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()?,
        connections: HashMap::new(),
        pinging: None,
        listening: false,
        able: false,
    };
    home.swarm.listen_on(flag("listen", "/ip4/0.0.0.0/tcp/4001").parse()?)?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            event = home.swarm.select_next_some() => home.follow(event)?,
            line = lines.next_line() => match line? {
                Some(line) => home.obey(&line)?,
                None => return Ok(()),
            },
        }
    }
}

/// Parses `-name value`, as Go does.
fn read_flags() -> Result<HashMap<String, String>, Box<dyn Error>> {
    let given: Vec<String> = env::args().skip(1).collect();
    let mut flags = HashMap::new();
    for pair in given.chunks(2) {
        match pair {
            [name, value] if matches!(name.as_str(), "-seed" | "-listen" | "-relay" | "-peers") => {
                flags.insert(name[1..].to_owned(), value.clone())
            }
            _ => return Err(format!("{} is no option with a value", pair[0]).into()),
        };
    }
    Ok(flags)
}

impl Home {
    fn emit(&self, name: &str, more: Value) {
        let mut line = json!({ "event": name, "ms": self.started.elapsed().as_micros() as f64 / 1000.0 });
        if let (Value::Object(fields), Value::Object(more)) = (&mut line, more) {
            fields.extend(more);
        }
        println!("{line}");
    }

    fn obey(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        match line.split_once(' ') {
            Some(("dial", address)) => self.dial(address.parse()?),
            Some(("ping", peer)) => self.pinging = Some(peer.parse()?),
            _ => {}
        }
        Ok(())
    }

    fn dial(&mut self, address: Multiaddr) {
        let peer = peer_of(&address);
        if let Err(error) = self.swarm.dial(address) {
            self.emit("unreached", json!({ "peerId": peer, "error": error.to_string() }));
        }
    }

    /// Emits the events of go-punch, under the same names.
    fn follow(&mut self, event: SwarmEvent<BehaviourEvent>) -> Result<(), Box<dyn Error>> {
        match event {
            // A port is used for dialling only once it listens.
            SwarmEvent::NewListenAddr { address, .. } if !self.listening && !is_loopback(&address) => {
                self.listening = true;
                self.emit("ready", json!({ "peerId": self.swarm.local_peer_id().to_string() }));
                self.swarm.listen_on(self.relay.clone().with(Protocol::P2pCircuit))?;
                for each in self.peers.clone() {
                    if each != self.relay {
                        self.dial(each);
                    }
                }
            }
            // Without one there is nothing to send in CONNECT.
            SwarmEvent::NewExternalAddrCandidate { address } => {
                self.emit("trace", json!({ "type": "candidate", "detail": address.to_string() }));
                if !self.able {
                    self.able = true;
                    self.emit("able", json!({}));
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Relay(relay::client::Event::ReservationReqAccepted {
                renewal: false,
                ..
            })) => {
                let circuit = self.relay.clone().with(Protocol::P2pCircuit);
                let address = circuit.with(Protocol::P2p(*self.swarm.local_peer_id()));
                self.emit("relayed", json!({ "address": address.to_string() }));
            }
            SwarmEvent::ConnectionEstablished { peer_id: peer, connection_id, endpoint, .. } => {
                let direct = !endpoint.is_relayed();
                let mut remote = endpoint.get_remote_address().clone();
                if direct && peer_of(&remote).is_some() {
                    remote.pop();
                }
                let connection = Connection { peer, address: remote.to_string(), direct };
                self.emit("connection", fields_of(&connection));
                self.connections.insert(connection_id, connection);
            }
            SwarmEvent::ConnectionClosed { connection_id, .. } => {
                if let Some(connection) = self.connections.remove(&connection_id) {
                    self.emit("disconnection", fields_of(&connection));
                }
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                let peer = peer_id.map(|each| each.to_string());
                self.emit("unreached", json!({ "peerId": peer, "error": error.to_string() }));
            }
            SwarmEvent::Behaviour(BehaviourEvent::Dcutr(dcutr::Event { remote_peer_id, result })) => {
                let kind = if result.is_ok() { "direct" } else { "failed" };
                self.emit("trace", json!({ "type": kind, "detail": format!("{remote_peer_id}: {result:?}") }));
            }
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { peer, connection, result })) => {
                let direct = self.connections.get(&connection).is_some_and(|each| each.direct);
                if self.pinging == Some(peer) && direct {
                    self.pinging = None;
                    self.pinged(peer, result);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn pinged(&self, peer: PeerId, result: Result<Duration, ping::Failure>) {
        match result {
            Ok(rtt) => {
                let all = self.connections.values().filter(|each| each.peer == peer);
                let open: Vec<&str> = all.map(|each| each.address.as_str()).collect();
                self.emit("pinged", json!({ "rttMs": rtt.as_micros() as f64 / 1000.0, "open": open }));
            }
            Err(error) => {
                self.emit("unreached", json!({ "peerId": peer.to_string(), "error": error.to_string() }));
            }
        }
    }
}

fn fields_of(Connection { peer, address, direct }: &Connection) -> Value {
    json!({ "peerId": peer.to_string(), "address": address, "direct": direct })
}

fn peer_of(address: &Multiaddr) -> Option<String> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer.to_string()),
        _ => None,
    }
}

fn is_loopback(address: &Multiaddr) -> bool {
    matches!(address.iter().next(), Some(Protocol::Ip4(ip)) if ip.is_loopback())
}
