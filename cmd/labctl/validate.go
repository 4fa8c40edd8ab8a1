package main

import (
	"encoding/json"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/schema/diag"
)

// validation is what `validate -json` writes, in the form of Terraform's.
type validation struct {
	Format      string            `json:"format_version"`
	Valid       bool              `json:"valid"`
	Errors      int               `json:"error_count"`
	Warnings    int               `json:"warning_count"`
	Diagnostics []diag.Diagnostic `json:"diagnostics"`
}

func newValidate(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate [DIR]",
		Short: "Check a lab's files",
		Long: `Checks the files of the lab in DIR (default: the current folder): syntax, arguments, references, and all that can be
told without a host. It reaches no system, and works where there is no libvirt.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			result, diags, err := o.Read(folder(args))
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				encoder := json.NewEncoder(out)
				encoder.SetIndent("", "  ")
				if err := encoder.Encode(validationOf(diags, result.Files)); err != nil {
					return err
				}
			} else if err := session.WriteDiagnostics(cmd.ErrOrStderr(), o, diags, result.Files); err != nil {
				return err
			}
			if diags.HasErrors() {
				return session.ExitError{Code: exitError}
			}
			if !asJSON {
				fmt.Fprintf(out, "The lab %s is valid.\n", result.Lab.Name)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON, in the form of Terraform's")
	return cmd
}

func validationOf(diags hcl.Diagnostics, files map[string]*hcl.File) validation {
	v := validation{Format: "1.0", Valid: !diags.HasErrors(), Diagnostics: diag.JSON(diags, files)}
	if v.Diagnostics == nil {
		v.Diagnostics = []diag.Diagnostic{}
	}
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			v.Errors++
		} else {
			v.Warnings++
		}
	}
	return v
}
