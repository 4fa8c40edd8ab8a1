package main

import (
	"encoding/json"
	"fmt"

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
		Long: `Shows the outputs of the lab in the current folder (see -chdir), or one of them. They follow from the files alone, so
the lab need not be applied. Sensitive ones are shown only by name, -json or -raw.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s := session.New(o, cmd.OutOrStdout(), cmd.ErrOrStderr(), false)
			if err := s.Load("."); err != nil {
				return err
			}
			switch {
			case len(args) == 1:
				return showOutput(s, args[0], asJSON, bare)
			case bare:
				return fmt.Errorf("-raw shows one output: say which")
			case asJSON:
				return showOutputsJSON(s)
			}
			if len(s.Lab.Outputs) == 0 {
				s.Note("The lab has no outputs.\n")
			}
			for _, output := range s.Lab.Outputs {
				s.Note("%s = %s\n", output.Name, shown(output))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	cmd.Flags().BoolVar(&bare, "raw", false, "write one text, number or bool as it is, with no quotes and no line's end")
	return cmd
}

func showOutputsJSON(s *session.Session) error {
	type value struct {
		Sensitive bool `json:"sensitive"`
		Value     any  `json:"value"`
	}
	all := map[string]value{}
	for _, output := range s.Lab.Outputs {
		all[output.Name] = value{output.Sensitive, output.Value}
	}
	return writeJSON(s, all)
}

func writeJSON(s *session.Session, v any) error {
	encoder := json.NewEncoder(s.Stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

func showOutput(s *session.Session, name string, asJSON, bare bool) error {
	for _, output := range s.Lab.Outputs {
		if output.Name != name {
			continue
		}
		if bare {
			switch v := output.Value.(type) {
			case string, bool, float64, int, int64, json.Number:
				_, err := fmt.Fprint(s.Stdout, v)
				return err
			}
			return fmt.Errorf("the output %s is no text, number or bool: use -json", name)
		}
		if asJSON {
			return writeJSON(s, output.Value)
		}
		output.Sensitive = false
		s.Note("%s\n", shown(output))
		return nil
	}
	return fmt.Errorf("the lab has no output %s", name)
}

// shown is an output's value as people read it.
func shown(o schema.Output) string {
	if o.Sensitive {
		return "(sensitive value)"
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

// showOutputs lists the lab's outputs as Terraform does after an apply.
func showOutputs(s *session.Session) {
	if len(s.Lab.Outputs) == 0 || s.Quiet {
		return
	}
	s.Note("\nOutputs:\n\n")
	for _, output := range s.Lab.Outputs {
		s.Note("%s = %s\n", output.Name, shown(output))
	}
}
