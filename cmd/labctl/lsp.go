package main

import (
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/lsp"
	"github.com/labctl/labctl/internal/osinfo"
)

func newLSP(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "lsp",
		Short: "Serve editors: diagnostics, completion, hover, definitions, formatting",
		Long: `Speaks the Language Server Protocol on standard input and output. An editor starts it and asks it what is wrong with the
labs that are open, what may be written at the cursor, and what a name means. It reaches no host.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			systems := osinfo.NewCatalogue(osinfo.Places(os.Getenv)...)
			return lsp.New(strings.TrimPrefix(o.Version, "v"), os.Environ(), systems).Serve(cmd.Context(), pipe{cmd.InOrStdin(), cmd.OutOrStdout()})
		},
	}
}

// pipe is the two halves of a talk as one.
type pipe struct {
	io.Reader
	io.Writer
}

// Close has nothing to do: the halves end with the process.
func (pipe) Close() error { return nil }
