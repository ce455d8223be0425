package main

import (
	"context"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// node runs the parts of go-libp2p for a home network until ctx ends, and reports their events.
func node(ctx context.Context, seed string, listen []string, relays, peers []peer.AddrInfo, private bool) error {
	options := []libp2p.Option{
		identity(seed),
		libp2p.ListenAddrStrings(listen...),
		libp2p.NATPortMap(),
		libp2p.EnableAutoNATv2(),
		libp2p.DisableMetrics(),
	}
	if private {
		options = append(options, libp2p.ForceReachabilityPrivate())
	}
	if len(relays) > 0 {
		options = append(options, libp2p.EnableAutoRelayWithStaticRelays(relays))
	}
	h, err := libp2p.New(options...)
	if err != nil {
		return err
	}
	defer h.Close()
	events, err := h.EventBus().Subscribe([]any{
		new(event.EvtLocalAddressesUpdated),
		new(event.EvtLocalReachabilityChanged),
		new(event.EvtHostReachableAddrsChanged),
		new(event.EvtAutoRelayAddrsUpdated),
	}, eventbus.BufSize(256))
	if err != nil {
		return err
	}
	defer events.Close()
	watchConnections(h)
	ready(h)
	for _, info := range peers {
		go connect(ctx, h, info)
	}

	first := firstAddresses{h: h, seen: map[string]bool{}}
	first.look(h.Addrs())
	for {
		select {
		case <-ctx.Done():
			return nil
		case each := <-events.Out():
			switch e := each.(type) {
			case event.EvtLocalAddressesUpdated:
				var addrs []ma.Multiaddr
				for _, updated := range e.Current {
					addrs = append(addrs, updated.Address)
				}
				first.look(addrs)
				emit("addresses", fields{"addrs": withID(h, addrs)})
			case event.EvtLocalReachabilityChanged:
				emit("reachability", fields{"reachability": strings.ToLower(e.Reachability.String())})
			case event.EvtHostReachableAddrsChanged:
				emit("reachability-v2", fields{
					"reachable":   texts(e.Reachable),
					"unreachable": texts(e.Unreachable),
					"unknown":     texts(e.Unknown),
				})
			case event.EvtAutoRelayAddrsUpdated:
				emit("relays", fields{"addrs": withID(h, e.RelayAddrs)})
			}
		}
	}
}

func connect(ctx context.Context, h host.Host, info peer.AddrInfo) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := h.Connect(ctx, info); err != nil && ctx.Err() == nil {
		emit("unreached", fields{"peerId": info.ID.String(), "error": err.Error()})
	}
}

// firstAddresses reports the first address of each kind that could be dialled from the internet, verified or not.
type firstAddresses struct {
	h    host.Host
	seen map[string]bool
}

func (f firstAddresses) look(addrs []ma.Multiaddr) {
	for _, addr := range addrs {
		kind := "direct"
		if isRelayed(addr) {
			kind = "relayed"
		}
		if manet.IsPublicAddr(addr) && !f.seen[kind] {
			f.seen[kind] = true
			emit("first-address", fields{"kind": kind, "address": withID(f.h, []ma.Multiaddr{addr})[0]})
		}
	}
}
