package main

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/drawing"
	"github.com/labctl/labctl/internal/session"
)

// drawingTypes are the forms of a drawing; the first is the default.
var drawingTypes = []string{"dot", "mermaid", "svg"}

func newGraph(o *options) *cobra.Command {
	var form, file string
	cmd := &cobra.Command{
		Use:   "graph [DIR]",
		Short: "Draw the lab's network",
		Long: `Draws the lab in DIR (default: the current folder) as people draw networks: bridges as segments, and on them the
machines with their interfaces, addresses and NAT. It needs no host and no Graphviz: the files say it all.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			form, err := drawingType(form, file)
			if err != nil {
				return err
			}
			s := session.New(o, cmd.OutOrStdout(), cmd.ErrOrStderr(), false)
			if err := s.Load(folder(args)); err != nil {
				return err
			}
			var out bytes.Buffer
			if err := draw(&out, drawing.New(s.Lab), form); err != nil {
				return err
			}
			text := s.Hide(out.String())
			if file == "" {
				_, err := io.WriteString(cmd.OutOrStdout(), text)
				return err
			}
			return renameio.WriteFile(file, []byte(text), 0o644)
		},
	}
	cmd.Flags().StringVar(&form, "type", "", "draw as this `TYPE`: dot, mermaid or svg (default: as the name of -out ends, or dot)")
	cmd.Flags().StringVar(&file, "out", "", "write to this `FILE`")
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(drawingTypes, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// drawingType is the form that is asked for, or that a file's name tells.
func drawingType(form, file string) (string, error) {
	if form == "" {
		switch form = strings.TrimPrefix(filepath.Ext(file), "."); form {
		case "":
			form = drawingTypes[0]
		case "gv":
			form = "dot"
		case "mmd":
			form = "mermaid"
		}
		if !slices.Contains(drawingTypes, form) {
			return "", fmt.Errorf("-out %s: %q tells no form of a drawing; add -type with %s", file, filepath.Ext(file), strings.Join(drawingTypes, ", "))
		}
	}
	if !slices.Contains(drawingTypes, form) {
		return "", fmt.Errorf("-type %s: write one of %s", form, strings.Join(drawingTypes, ", "))
	}
	return form, nil
}

func draw(w io.Writer, picture *drawing.Picture, form string) error {
	switch form {
	case "svg":
		return picture.SVG(w)
	case "mermaid":
		return picture.Mermaid(w)
	}
	return picture.DOT(w)
}
