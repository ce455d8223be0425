package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

type fields map[string]any

var (
	started = time.Now()
	output  sync.Mutex
)

// emit writes one line, the event first. A failed write means that there is no reader any more.
func emit(event string, more fields) {
	rest, err := json.Marshal(more)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	fmt.Printf("{\"event\":%q,\"ms\":%d,%s\n", event, time.Since(started).Milliseconds(), rest[1:])
}

// identity returns the key of a seed, or a new key without a seed.
func identity(seed string) libp2p.Option {
	sum := sha256.Sum256([]byte(seed))
	if seed == "" {
		_, _ = rand.Read(sum[:])
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(sum[:]))
	if err != nil {
		panic(err)
	}
	return libp2p.Identity(key)
}

func ready(h host.Host) {
	emit("ready", fields{"peerId": h.ID().String(), "addrs": withID(h, h.Addrs())})
}

// withID returns the addresses as other peers dial them.
func withID(h host.Host, addrs []ma.Multiaddr) []string {
	texts := []string{}
	for _, addr := range addrs {
		texts = append(texts, addr.String()+"/p2p/"+h.ID().String())
	}
	return texts
}

func texts(addrs []ma.Multiaddr) []string {
	texts := []string{}
	for _, addr := range addrs {
		texts = append(texts, addr.String())
	}
	return texts
}

func isRelayed(addr ma.Multiaddr) bool {
	_, err := addr.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// watchConnections reports each connection that opens or closes.
func watchConnections(h host.Host) {
	tell := func(event string) func(network.Network, network.Conn) {
		return func(_ network.Network, c network.Conn) {
			emit(event, fields{
				"peerId":  c.RemotePeer().String(),
				"address": c.RemoteMultiaddr().String(),
				"inbound": c.Stat().Direction == network.DirInbound,
				"direct":  !isRelayed(c.RemoteMultiaddr()),
			})
		}
	}
	h.Network().Notify(&network.NotifyBundle{ConnectedF: tell("connection"), DisconnectedF: tell("disconnection")})
}
