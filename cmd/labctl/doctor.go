package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/doctor"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/kvm"
	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/provider/libvirt"
)

func newDoctor(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine whether this host can carry labs",
		Long: `Examines this host: programs, libvirt, KVM (proved by booting a guest), netplan, nftables, firewalls that would spoil labs,
disk and memory, and says how each is mended. It changes nothing. The exit code is 1 where some labs cannot work.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := session.Away(o, cmd.OutOrStdout(), cmd.ErrOrStderr(), "."); err != nil {
				return err
			}
			findings := doctor.Examine(cmd.Context(), patient(o))
			out := cmd.OutOrStdout()
			if asJSON {
				encoder := json.NewEncoder(out)
				encoder.SetIndent("", "  ")
				if err := encoder.Encode(findings); err != nil {
					return err
				}
			} else {
				for _, f := range findings {
					writeFinding(cmd, o, f)
				}
			}
			if doctor.Worst(findings) == doctor.Bad {
				return session.ExitError{Code: exitError}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func patient(o *options) doctor.Patient {
	uri := o.Connect
	if uri == "" {
		uri = session.DefaultURI
	}
	return doctor.Patient{
		Host: host.Local{}, Root: session.DataRoot,
		Libvirt: func(context.Context) (string, error) {
			conn, err := libvirt.Connect(uri)
			if err != nil {
				return "", err
			}
			defer conn.Close()
			return "libvirt at " + uri, nil
		},
		KVM: func(ctx context.Context) (bool, string, error) {
			verdict, err := kvm.Prove(ctx, host.Local{}, session.DataRoot)
			return verdict.Works, verdict.Why, err
		},
	}
}

func writeFinding(cmd *cobra.Command, o *options, f doctor.Finding) {
	out := cmd.OutOrStdout()
	mark, color := "✓", "32"
	switch f.Grade {
	case doctor.Warn:
		mark, color = "!", "33"
	case doctor.Bad:
		mark, color = "✗", "31"
	}
	if o.Color(out) {
		mark = "\x1b[" + color + "m" + mark + "\x1b[0m"
	}
	fmt.Fprintf(out, "%s %-14s %s\n", mark, f.Name, f.Text)
	if f.Mend != "" {
		fmt.Fprintf(out, "  %-14s → %s\n", "", f.Mend)
	}
}
