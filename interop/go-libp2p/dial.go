package main

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

// dial connects to an address and pings the peer there.
func dial(ctx context.Context, seed string, addr string, timeout time.Duration) error {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return err
	}
	// Without a listen address there is no relay transport unless it is enabled explicitly.
	h, err := libp2p.New(identity(seed), libp2p.EnableRelay(), libp2p.NoListenAddrs, libp2p.DisableMetrics())
	if err != nil {
		return err
	}
	defer h.Close()

	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := h.Connect(network.WithAllowLimitedConn(ctx, "dial"), *info); err != nil {
		return err
	}
	result := <-ping.Ping(ctx, h, info.ID)
	if result.Error != nil {
		return result.Error
	}
	conn := h.Network().ConnsToPeer(info.ID)[0]
	emit("connected", fields{
		"peerId":  info.ID.String(),
		"address": conn.RemoteMultiaddr().String(),
		"direct":  !isRelayed(conn.RemoteMultiaddr()),
		"limited": conn.Stat().Limited,
		"rttMs":   float64(result.RTT.Microseconds()) / 1000,
	})
	return nil
}
