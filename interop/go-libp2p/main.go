// postern-go-peer is a go-libp2p peer that tests run against: a public server, a dialler, and a node behind a NAT.
//
// Standard output has JSON only, one object a line: {"event": …, "ms": since the start, …}.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const usage = `usage:
  postern-go-peer serve -listen <multiaddr>… [-seed <text>] [-limits default|none]
      a public node: AutoNAT v1 and v2 server, circuit relay v2, identify, ping
  postern-go-peer dial [-timeout 10s] <multiaddr with /p2p/…>
      connects, also through /p2p-circuit, and pings; exit code 0 or 1
  postern-go-peer node [-listen <multiaddr>…] [-relay <multiaddr>…] [-peer <multiaddr>…] [-private] [-seed <text>]
      a node behind a NAT: port mapping, AutoNAT v2, AutoRelay with these relays; until SIGTERM;
      with -private it takes itself to be unreachable at once, as AutoNAT v1 does after some 15 s
Options marked … may be given several times. The same seed gives the same peer ID.`

func main() {
	if len(os.Args) < 2 {
		misuse("no command")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.Usage = func() { fmt.Fprintln(os.Stderr, usage) }
	seed := flags.String("seed", "", "")
	var err error
	switch os.Args[1] {
	case "serve":
		listen := several(flags, "listen")
		limits := flags.String("limits", "default", "")
		flags.Parse(os.Args[2:])
		if len(*listen) == 0 || flags.NArg() > 0 || (*limits != "default" && *limits != "none") {
			misuse("serve: wrong options")
		}
		err = serve(ctx, *seed, *listen, *limits == "none")
	case "dial":
		timeout := flags.Duration("timeout", 10*time.Second, "")
		flags.Parse(os.Args[2:])
		if flags.NArg() != 1 {
			misuse("dial: one multiaddr")
		}
		err = dial(ctx, *seed, flags.Arg(0), *timeout)
	case "node":
		listen, relays, peers := several(flags, "listen"), several(flags, "relay"), several(flags, "peer")
		private := flags.Bool("private", false, "")
		flags.Parse(os.Args[2:])
		if flags.NArg() > 0 {
			misuse("node: wrong options")
		}
		if len(*listen) == 0 {
			*listen = []string{"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"}
		}
		err = node(ctx, *seed, *listen, infos(*relays), infos(*peers), *private)
	default:
		misuse("no command " + os.Args[1])
	}
	if err != nil {
		emit("failed", fields{"error": err.Error()})
		os.Exit(1)
	}
}

func several(flags *flag.FlagSet, name string) *[]string {
	values := new([]string)
	flags.Func(name, "", func(value string) error {
		*values = append(*values, value)
		return nil
	})
	return values
}

func infos(addrs []string) []peer.AddrInfo {
	var all []peer.AddrInfo
	for _, addr := range addrs {
		info, err := peer.AddrInfoFromString(addr)
		if err != nil {
			misuse(strings.TrimSpace(addr + ": " + err.Error()))
		}
		all = append(all, *info)
	}
	return all
}

func misuse(reason string) {
	fmt.Fprintf(os.Stderr, "%s\n%s\n", reason, usage)
	os.Exit(2)
}
