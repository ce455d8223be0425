// postern-go-punch is a home on go-libp2p: it reserves on a relay, and gets direct connections with go-libp2p's own DCUtR.
// It compiles with versions of go-libp2p since 0.40, which differ in the client role: a go-*.mod for each.
//
// Standard output has JSON only, one object a line: {"event": …, "ms": since the start, …}. Standard input takes
// `dial <multiaddr>`, `ping <peer ID>` and `hangup <peer ID>`, a line each; its end is the program's.
package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	ma "github.com/multiformats/go-multiaddr"
)

type fields map[string]any

var (
	started = time.Now()
	output  sync.Mutex
)

// emit writes one line. A failed write means that there is no reader any more.
func emit(name string, more fields) {
	line := fields{"event": name, "ms": float64(time.Since(started).Microseconds()) / 1000}
	for key, value := range more {
		line[key] = value
	}
	text, err := json.Marshal(line)
	check(err)
	output.Lock()
	defer output.Unlock()
	fmt.Println(string(text))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// tracer passes on what go-libp2p reports about its hole punching.
type tracer struct{}

func (tracer) Trace(e *holepunch.Event) {
	emit("trace", fields{"type": e.Type, "detail": fmt.Sprintf("%+v", e.Evt)})
}

func main() {
	seed := flag.String("seed", "home", "the same text gives the same peer ID")
	listen := flag.String("listen", "/ip4/0.0.0.0/tcp/4001", "multiaddrs, joined by commas")
	relay := flag.String("relay", "", "the relay to reserve on")
	peers := flag.String("peers", "", "multiaddrs to connect to, joined by commas: it takes four for an address to be believed")
	flag.Parse()

	sum := sha256.Sum256([]byte(*seed))
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(sum[:]))
	check(err)
	static, err := peer.AddrInfoFromString(*relay)
	check(err)
	h, err := libp2p.New(
		libp2p.Identity(key),
		libp2p.ListenAddrStrings(strings.Split(*listen, ",")...),
		libp2p.ForceReachabilityPrivate(),
		libp2p.EnableAutoRelayWithStaticRelays([]peer.AddrInfo{*static}),
		libp2p.EnableHolePunching(holepunch.WithTracer(tracer{})),
		libp2p.DisableMetrics(),
	)
	check(err)
	defer h.Close()
	watchConnections(h)
	emit("ready", fields{"peerId": h.ID().String()})
	events, err := h.EventBus().Subscribe([]any{
		new(event.EvtLocalProtocolsUpdated),
		new(event.EvtLocalAddressesUpdated),
	}, eventbus.BufSize(256))
	check(err)
	go follow(h, events)
	for _, text := range strings.Split(*peers, ",") {
		go connect(h, text)
	}

	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		command, argument, _ := strings.Cut(lines.Text(), " ")
		switch command {
		case "dial":
			go connect(h, argument)
		case "ping":
			go pingDirectly(h, argument)
		case "hangup":
			go hangUp(h, argument)
		}
	}
}

// follow reports when the two homes could begin: `able` when DCUtR is served, `relayed` when there is a circuit address.
func follow(h host.Host, events event.Subscription) {
	for each := range events.Out() {
		switch e := each.(type) {
		case event.EvtLocalProtocolsUpdated:
			for _, added := range e.Added {
				if added == holepunch.Protocol {
					emit("able", nil)
				}
			}
		case event.EvtLocalAddressesUpdated:
			for _, updated := range e.Current {
				if isRelayed(updated.Address) {
					emit("relayed", fields{"address": updated.Address.String() + "/p2p/" + h.ID().String()})
				}
			}
		}
	}
}

// watchConnections reports each connection that opens or closes.
func watchConnections(h host.Host) {
	tell := func(name string) func(network.Network, network.Conn) {
		return func(_ network.Network, c network.Conn) {
			emit(name, fields{
				"peerId":  c.RemotePeer().String(),
				"address": c.RemoteMultiaddr().String(),
				"direct":  !isRelayed(c.RemoteMultiaddr()),
			})
		}
	}
	h.Network().Notify(&network.NotifyBundle{ConnectedF: tell("connection"), DisconnectedF: tell("disconnection")})
}

func isRelayed(addr ma.Multiaddr) bool {
	_, err := addr.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

func connect(h host.Host, addr string) {
	info, err := peer.AddrInfoFromString(addr)
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := h.Connect(network.WithAllowLimitedConn(ctx, "dial"), *info); err != nil {
		emit("unreached", fields{"peerId": info.ID.String(), "error": err.Error()})
	}
}

// hangUp closes every connection to a peer, including relayed ones.
func hangUp(h host.Host, id string) {
	other, err := peer.Decode(id)
	check(err)
	check(h.Network().ClosePeer(other))
}

// pingDirectly never uses a relay: by default no stream is opened on a limited connection.
func pingDirectly(h host.Host, id string) {
	other, err := peer.Decode(id)
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	result := <-ping.Ping(ctx, h, other)
	if result.Error != nil {
		emit("unreached", fields{"peerId": id, "error": result.Error.Error()})
		return
	}
	open := []string{}
	for _, conn := range h.Network().ConnsToPeer(other) {
		open = append(open, conn.RemoteMultiaddr().String())
	}
	emit("pinged", fields{"rttMs": float64(result.RTT.Microseconds()) / 1000, "open": open})
}
