package main

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"
)

// serve runs a public node until ctx ends.
func serve(ctx context.Context, seed string, listen []string, unlimited bool) error {
	relayOptions := []relay.Option{relay.WithACL(teller{})}
	options := []libp2p.Option{
		identity(seed),
		libp2p.ListenAddrStrings(listen...),
		// No peer verifies the servers of a lab: without this there is no relay service.
		libp2p.ForceReachabilityPublic(),
		libp2p.EnableNATService(),
		libp2p.EnableAutoNATv2(),
		libp2p.DisableMetrics(),
	}
	if unlimited {
		relayOptions = append(relayOptions, relay.WithInfiniteLimits())
		// By default AutoNAT v1 answers a peer three times a minute. Version 2 has no option: twelve times.
		options = append(options, libp2p.AutoNATServiceRateLimit(0, 1_000_000, time.Minute))
	}
	h, err := libp2p.New(append(options, libp2p.EnableRelayService(relayOptions...))...)
	if err != nil {
		return err
	}
	defer h.Close()
	watchConnections(h)
	ready(h)
	<-ctx.Done()
	return nil
}

// teller allows and reports every request to the relay.
type teller struct{}

func (teller) AllowReserve(p peer.ID, addr ma.Multiaddr) bool {
	emit("reserve", fields{"peerId": p.String(), "address": addr.String()})
	return true
}

func (teller) AllowConnect(from peer.ID, addr ma.Multiaddr, to peer.ID) bool {
	emit("circuit", fields{"from": from.String(), "address": addr.String(), "to": to.String()})
	return true
}
