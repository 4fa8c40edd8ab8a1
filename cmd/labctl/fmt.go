package main

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/format"
	"github.com/labctl/labctl/internal/session"
)

// exitUnformatted is what `fmt -check` ends with, as Terraform's does.
const exitUnformatted = 3

func newFmt(o *options) *cobra.Command {
	f := &format.Run{}
	list, write := true, true
	cmd := &cobra.Command{
		Use:   "fmt [DIR|FILE|-]...",
		Short: "Rewrite files in the canonical format",
		Long: `Rewrites the *.hcl and *.hclvars files of DIR (default: the current folder), or the given files, in the
canonical format, and lists those that it changed. With -, it formats its standard input.

The exit code is 1 for a file that cannot be read or parsed, and 3 for 'fmt -check' where a file is not
formatted.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.Out, f.Quiet, f.Keep = cmd.OutOrStdout(), !list, !write
			f.Complain = func(diags hcl.Diagnostics, files map[string]*hcl.File) {
				_ = session.WriteDiagnostics(cmd.ErrOrStderr(), o, diags, files)
			}
			outcome, err := f.Files(args, cmd.InOrStdin())
			switch {
			case err != nil:
				return err
			case outcome.Unreadable:
				return session.ExitError{Code: exitError}
			case outcome.Unformatted && f.Check:
				return session.ExitError{Code: exitUnformatted}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&f.Check, "check", false, "change nothing; exit 3 if a file is not formatted")
	cmd.Flags().BoolVar(&f.Diff, "diff", false, "show what would change, and change nothing")
	cmd.Flags().BoolVar(&list, "list", true, "list the files that are not formatted")
	cmd.Flags().BoolVar(&write, "write", true, "write the files anew; -write=false changes nothing")
	cmd.Flags().BoolVar(&f.Recursive, "recursive", false, "go into folders below too")
	return cmd
}
