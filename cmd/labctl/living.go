package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/schema"
)

// openHosts reaches the hosts of the lab in dir, or this machine's libvirt where dir holds none: what labs have made is
// found by its marks, with no files. The lab's name is "" then.
func openHosts(cmd *cobra.Command, o *options, dir string, json bool) (*session, error) {
	s := newSession(cmd, o, json)
	if err := s.loadQuietly(dir); err != nil {
		s.lab = &schema.Lab{Hosts: []schema.Host{{URI: defaultURI}}}
	}
	return s, s.reach()
}

// machines lists the machines of all labs on the session's hosts.
func (s *session) machines(ctx context.Context) ([]machine, error) {
	var list []machine
	for _, h := range s.hosts {
		objects, err := h.domains.List(ctx)
		if err != nil {
			return nil, s.tell(err)
		}
		for _, o := range objects {
			if o.Mark.Lab != "" {
				domain, ok := o.Body.(*schema.Domain)
				list = append(list, machine{
					Lab: o.Mark.Lab, Addr: o.Mark.Addr.Whole(), Domain: o.ID, Host: h.host.Name, off: ok && !domain.Running,
				})
			}
		}
	}
	return list, nil
}

// machine finds the running one that the user names, and its host.
func (s *session) machine(ctx context.Context, name string) (machine, *carrier, error) {
	all, err := s.machines(ctx)
	if err != nil {
		return machine{}, nil, err
	}
	m, err := find(all, s.lab.Name, name)
	if err != nil {
		return machine{}, nil, err
	}
	if m.off {
		return machine{}, nil, fmt.Errorf("%s (%s) is off: 'labctl apply' starts it", m.Addr, m.Domain)
	}
	h, err := s.host(m.Host)
	return m, h, err
}

func newExec(o *options) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "exec [flags] VM [--] COMMAND [ARG...]",
		Short: "Run a command in a machine",
		Long: `Runs a command in a machine of a lab, through its guest agent and with no network, and shows what it printed when
it has ended. What comes on standard input is passed on where that is no terminal. The exit code is the command's.

VM is an address (vm.nat["a"], nat.a) or a domain's name. No shell is between: for pipes, run sh -c '…'.`,
		Example: `  labctl exec nat.a -- nft list ruleset`,
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
			if timeout > 0 {
				ctx, cancel = context.WithTimeout(ctx, timeout)
			}
			defer cancel()
			if args[1] == "--" && len(args) > 2 { // after VM, where cobra leaves it
				args = append(args[:1], args[2:]...)
			}
			return execute(ctx, cmd, o, args[0], args[1:])
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "give up after this time (default: never)")
	endFlagsAtCommand(cmd)
	return cmd
}

func execute(ctx context.Context, cmd *cobra.Command, o *options, name string, args []string) error {
	s, err := openHosts(cmd, o, ".", false)
	if err != nil {
		return err
	}
	defer s.close()
	m, h, err := s.machine(ctx, name)
	if err != nil {
		return err
	}
	var input []byte
	if in := cmd.InOrStdin(); !isTerminal(in) {
		if input, err = io.ReadAll(in); err != nil {
			return err
		}
	}
	out, err := h.guest(m.Domain).Run(ctx, host.Command{Args: args, Stdin: input})
	_, writeErr := s.stdout.Write(out.Stdout)
	_, writeErr2 := s.stderr.Write(out.Stderr)
	if failed, ok := errors.AsType[*host.CommandError](err); ok && failed.Exit >= 0 {
		return codeError{failed.Exit, nil}
	}
	if err != nil {
		return s.tell(err)
	}
	return errors.Join(writeErr, writeErr2)
}

func newIP(o *options) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "ip VM",
		Short: "Print a machine's address",
		Long: `Prints the first address that a machine has, or all of them with -all, as its guest agent tells: what it really has,
not what is declared.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := openHosts(cmd, o, ".", false)
			if err != nil {
				return err
			}
			defer s.close()
			m, h, err := s.machine(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			links, err := h.links(cmd.Context(), m.Domain)
			if err != nil {
				return s.tell(err)
			}
			addresses := addressesOf(links)
			switch {
			case len(addresses) == 0:
				return fmt.Errorf("%s has no address", m.Addr)
			case !all:
				addresses = addresses[:1]
			}
			for _, a := range addresses {
				bare, _, _ := strings.Cut(a, "/")
				fmt.Fprintln(s.stdout, bare)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "print all addresses, one a line")
	return cmd
}

// link is an interface as the guest agent tells of it.
type link struct {
	Name      string `json:"name"`
	MAC       string `json:"hardware-address"`
	Addresses []struct {
		Type   string `json:"ip-address-type"`
		IP     string `json:"ip-address"`
		Prefix int    `json:"prefix"`
	} `json:"ip-addresses"`
}

// links asks the agent in a machine for its interfaces.
func (c *carrier) links(ctx context.Context, domain string) ([]link, error) {
	text, err := c.conn.AgentCommand(ctx, domain, []byte(`{"execute":"guest-network-get-interfaces"}`))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Return []link `json:"return"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("agent of %s: %w", domain, err)
	}
	return answer.Return, nil
}

// addressesOf lists the addresses by which others may reach the machine, IPv4 first, with prefix lengths.
func addressesOf(links []link) []string {
	var v4, v6 []string
	for _, l := range links {
		for _, a := range l.Addresses {
			text := fmt.Sprintf("%s/%d", a.IP, a.Prefix)
			switch {
			case l.Name == "lo" || strings.HasPrefix(a.IP, "fe80:"):
			case a.Type == "ipv4":
				v4 = append(v4, text)
			default:
				v6 = append(v6, text)
			}
		}
	}
	return append(v4, v6...)
}
