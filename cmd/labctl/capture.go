package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/capture"
	"github.com/labctl/labctl/internal/session"
)

// capturing is the flags of capture.
type capturing struct {
	filter     capture.Filter
	host, file string
	count      int
	time       time.Duration
}

func newCapture(o *options) *cobra.Command {
	c := &capturing{}
	cmd := &cobra.Command{
		Use:   "capture VM INTERFACE",
		Short: "Show the packets that pass a machine's interface, or save them",
		Long: `Shows the packets that a machine sends and gets on an interface, one a line, until Ctrl-C. They are read on the host's
end of the interface: the machine needs no tools and notices nothing. With -w FILE they are saved in the pcap format
instead; -w - writes that to standard output, for a program that reads along.`,
		Args: cobra.ExactArgs(2),

		ValidArgsFunction: firstMachine(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.run(cmd, o, args[0], args[1])
		},
	}
	cmd.Flags().StringVarP(&c.file, "write", "w", "", "save the packets in this `FILE`, in the pcap format; - is standard output")
	cmd.Flags().StringVar(&c.filter.Protocol, "protocol", "", "just packets of this `PROTOCOL`: arp, icmp, icmpv6, ip, ip6, tcp, udp")
	cmd.Flags().StringVar(&c.host, "host", "", "just packets from or to this `ADDRESS`")
	cmd.Flags().Uint16Var(&c.filter.Port, "port", 0, "just packets from or to this port")
	cmd.Flags().IntVar(&c.count, "count", 0, "end after so many packets (default: never)")
	cmd.Flags().DurationVar(&c.time, "for", 0, "end after this time (default: never)")
	return cmd
}

func (c *capturing) run(cmd *cobra.Command, o *options, name, iface string) error {
	if err := c.filter.Check(); err != nil {
		return err
	}
	if c.host != "" {
		var err error
		if c.filter.Host, err = netip.ParseAddr(c.host); err != nil {
			return fmt.Errorf("-host %s: give an IP address", c.host)
		}
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if c.time > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.time)
		defer cancel()
	}
	s, err := openHosts(cmd, o, ".")
	if err != nil {
		return err
	}
	defer s.Close()
	m, carrier, err := s.Machine(ctx, name)
	if err != nil {
		return err
	}
	tap, err := tapOf(ctx, carrier, m, iface)
	if err != nil {
		return err
	}
	sink, done, err := c.sink(s)
	if err != nil {
		return err
	}
	s.Warn("Packets of %s %s, on the host's link %s. Ctrl-C ends.\n", m.Addr, iface, tap)
	n, err := capture.Run(ctx, tap, c.filter, c.count, sink)
	if errors.Is(err, os.ErrPermission) {
		err = fmt.Errorf("%w: reading packets takes root", err)
	}
	if err = errors.Join(err, done()); err != nil {
		return err
	}
	s.Warn("%s.\n", count(n, "packet"))
	return nil
}

// sink is where the packets go, and what closes it.
func (c *capturing) sink(s *session.Session) (capture.Sink, func() error, error) {
	nothing := func() error { return nil }
	switch c.file {
	case "":
		return &capture.Text{W: s.Stdout}, nothing, nil
	case "-":
		if session.IsTerminal(s.Stdout) {
			return nil, nil, errors.New("-w - writes a binary file: pipe it into a program")
		}
		sink, err := capture.NewFile(session.Bare(s.Stdout))
		return sink, nothing, err
	}
	file, err := s.Options.Create(c.file)
	if err != nil {
		return nil, nil, err
	}
	sink, err := capture.NewFile(file)
	return sink, file.Close, err
}

// tapOf finds the host's end of a machine's interface.
func tapOf(ctx context.Context, carrier *session.Carrier, m session.Machine, iface string) (string, error) {
	domains, err := carrier.Conn.Status(ctx, m.Lab)
	if err != nil {
		return "", err
	}
	var names []string
	for _, d := range domains {
		if d.Name != m.Domain {
			continue
		}
		for _, card := range d.Cards {
			if card.Name == strings.ReplaceAll(iface, ".", "_") && card.Tap != "" { // an alias has no dots
				return card.Tap, nil
			}
			names = append(names, card.Name)
		}
	}
	if len(names) == 0 {
		return "", fmt.Errorf("%s has no interfaces", m.Addr)
	}
	slices.Sort(names)
	return "", fmt.Errorf("%s has no interface %s; it has %s", m.Addr, iface, strings.Join(names, ", "))
}
