package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/spf13/cobra"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/schema"
)

func newOutput(o *options) *cobra.Command {
	var asJSON, bare bool
	cmd := &cobra.Command{
		Use:   "output [NAME]",
		Short: "Show the lab's outputs",
		Long: `Shows the outputs of the lab in the current folder (see -chdir), or one of them. Those that follow from the files alone
need no applied lab. Those that hold what is known only while machines run (addresses from DHCP, where screens are) are read
from the host now. Sensitive ones are shown only by name, -json or -raw.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s := session.New(o, cmd.OutOrStdout(), cmd.ErrOrStderr(), false)
			if err := s.Load("."); err != nil {
				return err
			}
			s.Stdout = session.Bare(s.Stdout) // what is asked for by name is shown
			outputs, err := readOutputs(cmd, s, args)
			switch {
			case err != nil && (len(args) == 1 || asJSON || bare):
				return err
			case len(args) == 1:
				return showOutput(s, outputs[0], asJSON, bare)
			case bare:
				return fmt.Errorf("-raw shows one output: say which")
			case asJSON:
				return showOutputsJSON(s, outputs)
			}
			if len(outputs) == 0 {
				s.Note("The lab has no outputs.\n")
			}
			for _, output := range outputs {
				s.Note("%s = %s\n", output.Name, shown(output))
			}
			return err // of a host that could not be asked
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	cmd.Flags().BoolVar(&bare, "raw", false, "write one text, number or bool as it is, with no quotes and no line's end")
	return cmd
}

// readOutputs is the outputs, or the one that is named; the host is asked only where one of them depends on it. Where it cannot
// be asked there are the outputs as the files give them beside the error.
func readOutputs(cmd *cobra.Command, s *session.Session, args []string) ([]schema.Output, error) {
	pick := func() ([]schema.Output, error) {
		if len(args) == 0 {
			return s.Lab.Outputs, nil
		}
		for _, output := range s.Lab.Outputs {
			if output.Name == args[0] {
				return []schema.Output{output}, nil
			}
		}
		return nil, fmt.Errorf("the lab has no output %s", args[0])
	}
	outputs, err := pick()
	if err != nil || !slices.ContainsFunc(outputs, func(o schema.Output) bool { return o.Pending }) {
		return outputs, err
	}
	if err := s.Reach(); err != nil {
		return outputs, err
	}
	defer s.Close()
	if s.Lab.Outputs, err = s.Outputs(cmd.Context(), 0); err != nil {
		return outputs, s.Tell(err)
	}
	return pick()
}

func showOutputsJSON(s *session.Session, outputs []schema.Output) error {
	type value struct {
		Sensitive bool `json:"sensitive"`
		Pending   bool `json:"pending,omitempty"`
		Value     any  `json:"value"`
	}
	all := map[string]value{}
	for _, output := range outputs {
		all[output.Name] = value{output.Sensitive, output.Pending, output.Value}
	}
	return writeJSON(s, all)
}

func writeJSON(s *session.Session, v any) error {
	encoder := json.NewEncoder(s.Stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

func showOutput(s *session.Session, output schema.Output, asJSON, bare bool) error {
	if output.Pending && (bare || asJSON) {
		return fmt.Errorf("the output %s is not known: a machine does not run, or has not got what it holds yet", output.Name)
	}
	if bare {
		switch v := output.Value.(type) {
		case string, bool, float64, int, int64, json.Number:
			_, err := fmt.Fprint(s.Stdout, v)
			return err
		}
		return fmt.Errorf("the output %s is no text, number or bool: use -json", output.Name)
	}
	if asJSON {
		return writeJSON(s, output.Value)
	}
	output.Sensitive = false
	s.Note("%s\n", shown(output))
	return nil
}

// shown is an output's value as people read it.
func shown(o schema.Output) string {
	if o.Sensitive {
		return "(sensitive value)"
	}
	if o.Pending {
		return "(known after apply)"
	}
	text, err := json.Marshal(o.Value)
	if err != nil {
		return fmt.Sprint(o.Value)
	}
	typ, err := ctyjson.ImpliedType(text)
	if err != nil {
		return string(text)
	}
	value, err := ctyjson.Unmarshal(text, typ)
	if err != nil {
		return string(text)
	}
	return string(hclwrite.Format(hclwrite.TokensForValue(value).Bytes()))
}

// leaseWait is how long apply waits at its end for addresses that outputs hold.
const leaseWait = 20 * time.Second

// showOutputs lists the lab's outputs as Terraform does after an apply.
func showOutputs(ctx context.Context, s *session.Session) error {
	if len(s.Lab.Outputs) == 0 || s.Quiet {
		return nil
	}
	outputs, err := s.Outputs(ctx, leaseWait)
	s.Note("\nOutputs:\n\n")
	for _, output := range outputs {
		text := shown(output)
		if output.Pending && !output.Sensitive {
			text = "(not known yet: ask with 'labctl output')"
		}
		s.Note("%s = %s\n", output.Name, text)
	}
	return err
}
