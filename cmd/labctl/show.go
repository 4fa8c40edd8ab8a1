package main

import (
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/internal/view"
)

func newShow(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show PLAN",
		Short: "Show a saved plan",
		Long: `Shows what a plan that 'plan -out' saved would do, as it was shown when it was made. Nothing is read but the file.

With -json it writes one JSON document in the form of Terraform's plans (format 1.2), which policy tools made for those read;
what only labctl says is under the key labctl.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := plan.Read(args[0])
			if err != nil {
				return err
			}
			s := session.New(o, cmd.OutOrStdout(), cmd.ErrOrStderr(), false)
			if asJSON {
				encoder := json.NewEncoder(s.Stdout)
				encoder.SetEscapeHTML(false)
				return encoder.Encode(view.NewDocument(file.Plan, file.Labctl, file.Created))
			}
			s.Out.Plan(file.Plan)
			if !file.Used.IsZero() {
				s.Note("\nThis plan was applied at %s.\n", file.Used.Local().Format(time.DateTime))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON document")
	return cmd
}
