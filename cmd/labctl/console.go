package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"libvirt.org/go/libvirt"

	"github.com/labctl/labctl/internal/console"
	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/provider/libvirt/daemon"
)

func newConsole(o *options) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "console VM",
		Short: "Join this terminal to a machine's serial console",
		Long:  `Joins this terminal to the serial console of a machine. Ctrl-] leaves it, and the machine goes on.`,
		Args:  cobra.ExactArgs(1),

		ValidArgsFunction: firstMachine(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := openHosts(cmd, o, ".")
			if err != nil {
				return err
			}
			defer s.Close()
			m, h, err := s.Machine(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			stream, err := openConsole(h.Conn, m.Domain, force)
			if err != nil {
				return err
			}
			s.Warn("On the console of %s. Ctrl-] leaves it; Enter may bring a prompt.\n", m.Domain)
			restore, err := console.Raw(os.Stdin)
			if err != nil {
				return err
			}
			left, err := console.Attach(os.Stdin, session.Bare(s.Stdout), stream)
			restore()
			stream.end()
			if left {
				s.Warn("\nLeft the console of %s.\n", m.Domain)
			} else {
				s.Warn("\nThe console of %s has ended.\n", m.Domain)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "take the console from whoever is on it")
	return cmd
}

// openConsole opens the serial console of a running domain.
func openConsole(conn *daemon.Conn, domain string, force bool) (*consoleStream, error) {
	var stream *libvirt.Stream
	err := conn.Use(func(c *libvirt.Connect) error {
		var err error
		stream, err = c.NewStream(0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("console of %s: %w", domain, daemon.Message(err))
	}
	flags := libvirt.DOMAIN_CONSOLE_SAFE
	if force {
		flags = libvirt.DOMAIN_CONSOLE_FORCE
	}
	err = conn.Domain(daemon.ByName(domain), func(d *libvirt.Domain) error { return d.OpenConsole("", stream, flags) })
	switch {
	case daemon.Is(err, libvirt.ERR_OPERATION_INVALID):
		return nil, fmt.Errorf("%s is off: 'labctl apply' starts it", domain)
	case daemon.Is(err, libvirt.ERR_OPERATION_FAILED):
		return nil, fmt.Errorf("console of %s: %w; -force takes it over", domain, daemon.Message(err))
	case err != nil:
		return nil, fmt.Errorf("console of %s: %w", domain, daemon.Message(err))
	}
	return &consoleStream{stream}, nil
}

// consoleStream is a libvirt stream as a reader and writer.
type consoleStream struct{ *libvirt.Stream }

// end gives the stream up, which ends a Read that waits: the connection cannot be closed before.
func (c *consoleStream) end() { _ = c.Abort() }

func (c *consoleStream) Read(buffer []byte) (int, error) {
	n, err := c.Recv(buffer)
	switch {
	case err != nil:
		return 0, daemon.Message(err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (c *consoleStream) Write(data []byte) (int, error) {
	sent := 0
	for sent < len(data) {
		n, err := c.Send(data[sent:])
		if err != nil {
			return sent, daemon.Message(err)
		}
		sent += n
	}
	return sent, nil
}
