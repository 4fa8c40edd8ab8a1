package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/mitchellh/go-wordwrap"
	"github.com/spf13/cobra"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"golang.org/x/term"

	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/config"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/reference"
	"github.com/labctl/labctl/schema/table"
)

func newSchema() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Write the lab language as JSON Schema",
		Long: `Writes the lab language as JSON Schema (2020-12), for editors and checkers of *.hcl.json. It is made from the table by
which labs are read.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			encoder := json.NewEncoder(cmd.OutOrStdout())
			encoder.SetIndent("", "  ")
			encoder.SetEscapeHTML(false)
			return encoder.Encode(reference.JSONSchema(table.Root()))
		},
	}
	cmd.Flags().Bool("json", true, "write JSON Schema; there is no other form")
	return cmd
}

func newDocs() *cobra.Command {
	return &cobra.Command{
		Use:   "docs [DIR]",
		Short: "Write the reference pages of the lab language",
		Long: `Writes the reference pages of the lab language into DIR (default: docs/reference), one for each
block, and the JSON Schema. They are made from
the table by which labs are read.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := filepath.Join("docs", "reference")
			if len(args) > 0 {
				dir = args[0]
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			pages := reference.Pages(table.Root())
			text, err := json.MarshalIndent(reference.JSONSchema(table.Root()), "", "  ")
			if err != nil {
				return err
			}
			pages["lab.schema.json"] = string(text) + "\n"
			for _, name := range slices.Sorted(maps.Keys(pages)) {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(pages[name]), 0o644); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d pages are in %s.\n", len(pages), dir)
			return err
		},
	}
}

func newExplain() *cobra.Command {
	return &cobra.Command{
		Use:   "explain [CODE]",
		Short: "Explain the code of an error or warning",
		Long:  `Explains a code such as LAB0002 that stands behind an error or a warning; without CODE it lists them all.`,
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			if len(args) == 0 {
				for _, e := range diag.Codes() {
					fmt.Fprintf(out, "%s  %s\n", e.Code, e.Title)
				}
				return nil
			}
			e, ok := diag.Explain(strings.ToUpper(args[0]))
			if !ok {
				return fmt.Errorf("there is no code %s: 'labctl explain' lists them", args[0])
			}
			fmt.Fprintf(out, "%s: %s\n\n%s\n", e.Code, e.Title, wordwrap.WrapString(e.Text, uint(min(session.Width(out), 100))))
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var codes []string
			for _, e := range diag.Codes() {
				codes = append(codes, e.Code+"\t"+e.Title)
			}
			return codes, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

func newEval(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "eval [EXPRESSION]",
		Short: "Evaluate an expression against the lab",
		Long: `Evaluates an expression against the lab in the current folder (see -chdir) and shows its value. Without one it asks
for them on a terminal, with the arrow keys for what was typed before; exit or ^D leaves. With -, or where standard input is
no terminal, it reads one expression a line.`,
		Example: `  labctl eval 'vm.nat["a"].ip'
  labctl eval '[for name, router in vm.nat : router.ip]'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			result, diags, err := o.Read(".")
			if err != nil {
				return err
			}
			if diags.HasErrors() {
				_ = session.WriteDiagnostics(cmd.ErrOrStderr(), o, diags, result.Files)
				return session.ExitError{Code: exitError}
			}
			if len(args) > 0 && args[0] != "-" {
				return evaluate(cmd, o, result, args[0], asJSON)
			}
			if stdin, ok := cmd.InOrStdin().(*os.File); ok && len(args) == 0 && term.IsTerminal(int(stdin.Fd())) {
				return prompt(cmd, o, result, stdin, asJSON)
			}
			text, err := io.ReadAll(cmd.InOrStdin())
			if err != nil {
				return err
			}
			var errs []error
			for line := range strings.Lines(string(text)) {
				if line = strings.TrimSpace(line); line != "" {
					errs = append(errs, evaluate(cmd, o, result, line, asJSON))
				}
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the value as JSON")
	return cmd
}

func evaluate(cmd *cobra.Command, o *options, result *config.Result, text string, asJSON bool) error {
	const name = "<expression>"
	expression, diags := hclsyntax.ParseExpression([]byte(text), name, hcl.InitialPos)
	if !diags.HasErrors() {
		value, more := result.Evaluate(expression)
		diags = append(diags, more...)
		if !diags.HasErrors() {
			if value.ContainsMarked() && asJSON {
				return fmt.Errorf("the value is sensitive, so it is not written as JSON: nonsensitive(%s) is", text)
			}
			if value.ContainsMarked() {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "(sensitive value)")
				return err
			}
			if !value.IsWhollyKnown() {
				return errors.New("the value is known only while a machine runs: put it into an output, and ask with 'labctl output'")
			}
			data, err := ctyjson.Marshal(value, value.Type())
			if err != nil {
				return fmt.Errorf("this value cannot be shown: %w", err)
			}
			if asJSON {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), string(data))
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), shown(schema.Output{Value: json.RawMessage(data)}))
			return err
		}
	}
	files := map[string]*hcl.File{name: {Bytes: []byte(text)}}
	_ = session.WriteDiagnostics(cmd.ErrOrStderr(), o, diag.Unique(diag.Coded(diag.Evaluation, diags)), files)
	return session.ExitError{Code: exitError}
}
