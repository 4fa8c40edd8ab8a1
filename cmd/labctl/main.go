// Command labctl makes the virtual network labs that HCL files describe.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/labctl/labctl/internal/argv"
	"github.com/labctl/labctl/internal/courier"
	"github.com/labctl/labctl/internal/sandbox"
	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/internal/view"
)

// Exit codes. A command that a user runs through labctl (exec, sandbox) gives its own.
const (
	exitOK      = 0
	exitError   = 1
	exitChanges = 2 // plan -detailed-exitcode, and only there: the plan is not empty
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == sandbox.InitArg {
		os.Exit(sandbox.Init())
	}
	if len(os.Args) > 1 && os.Args[1] == courier.ServeArg {
		os.Exit(courier.Serve())
	}
	os.Exit(run(context.Background(), os.Args[1:]))
}

// collectAt is how far the heap grows between collections, in percent: commands are short, and memory is there.
const collectAt = 400

func run(ctx context.Context, args []string) (code int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	defer func() {
		if bug := recover(); bug != nil {
			fmt.Fprintf(os.Stderr, "labctl: this is a bug in labctl: %v\nPlease report it with the command you ran.\n", bug)
			if os.Getenv("LABCTL_DEBUG") != "" {
				fmt.Fprintf(os.Stderr, "%s", debug.Stack())
			}
			code = exitError
		}
	}()
	root := newRoot()
	root.SetArgs(argv.Normalise(root, args))
	done := oneDash(root, args)
	err := root.ExecuteContext(ctx)
	done()
	exit, ok := errors.AsType[session.ExitError](err)
	switch {
	case err == nil:
		return exitOK
	case !ok:
		fmt.Fprintf(os.Stderr, "labctl: %v\n", commandError(root, err))
		if hint := view.AsRoot(err); hint != "" {
			fmt.Fprintf(os.Stderr, "\n  Hint: %s\n", hint)
		}
		return exitError
	case exit.Err != nil:
		fmt.Fprintf(os.Stderr, "labctl: %v\n", exit.Err)
	}
	return exit.Code
}
