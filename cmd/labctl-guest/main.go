// Command labctl-guest is labctl's helper inside a guest. It is started by the guest agent, and once at boot.
//
// It speaks JSON: a request on standard input, a response on standard output (package helper). It exits 0 when the response
// tells of no problem, 1 when it does, and 2 when it was called wrongly.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/labctl/labctl/internal/guest"
	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/probe/inside"
)

// Exit codes.
const (
	exitOK      = 0
	exitProblem = 1
	exitUsage   = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, in io.Reader, out, complaints io.Writer) int {
	if len(args) == 2 && args[0] == helper.Lease {
		if err := (guest.System{Host: host.Local{}}).Lease(context.Background(), args[1], os.Getenv); err != nil {
			fmt.Fprintln(complaints, "labctl-guest: lease:", err)
			return exitProblem
		}
		return exitOK
	}
	if len(args) != 1 {
		fmt.Fprintln(complaints, "usage: labctl-guest snapshot|converge|probe|boot|version")
		return exitUsage
	}
	system := guest.System{Host: host.Local{}}
	build, err := ownBuild()
	if err != nil {
		fmt.Fprintln(complaints, "labctl-guest:", err)
		return exitProblem
	}
	switch args[0] {
	case helper.Version:
		return answer(out, complaints, helper.Response{Protocol: helper.Protocol, Build: build})
	case helper.Boot:
		return boot(system, build, complaints)
	case helper.Settle:
		ctx, cancel := context.WithTimeout(context.Background(), guest.SettleTime)
		defer cancel()
		if _, err := system.Settle(ctx); err != nil {
			fmt.Fprintln(complaints, "labctl-guest: settle:", err)
			return exitProblem
		}
		return exitOK
	case helper.Grow:
		did, err := system.Grow()
		if err != nil {
			fmt.Fprintln(complaints, "labctl-guest:", err)
			return exitProblem
		}
		if did != "" {
			fmt.Fprintln(complaints, did)
		}
		return exitOK
	case helper.Snapshot:
		return serve(in, out, complaints, build, system.Snapshot)
	case helper.Converge:
		return serve(in, out, complaints, build, system.Converge)
	case inside.Command:
		if err := inside.Serve(context.Background(), in, out); err != nil {
			fmt.Fprintln(complaints, "labctl-guest:", err)
			return exitProblem
		}
		return exitOK
	}
	fmt.Fprintf(complaints, "labctl-guest: there is no command %q\n", args[0])
	return exitUsage
}

func ownBuild() (string, error) {
	program, err := os.Open("/proc/self/exe")
	if err != nil {
		return "", err
	}
	defer program.Close() //nolint:errcheck // only read
	return helper.BuildID(program)
}

type command func(context.Context, helper.Request) helper.Response

func serve(in io.Reader, out, complaints io.Writer, build string, do command) int {
	data, err := io.ReadAll(io.LimitReader(in, helper.MaxMessage+1))
	if err != nil {
		fmt.Fprintln(complaints, "labctl-guest: read the request:", err)
		return exitProblem
	}
	request, err := helper.DecodeRequest(data)
	if err != nil {
		fmt.Fprintln(complaints, "labctl-guest: read the request:", err)
		return exitProblem
	}
	if request.Protocol != helper.Protocol || request.Build != "" && request.Build != build {
		if err := handOver(request.Build, build, data); err != nil {
			fmt.Fprintln(complaints, "labctl-guest:", err)
		}
		return answer(out, complaints, helper.Response{Protocol: helper.Protocol, Build: build, Problems: []helper.Problem{{
			Code: helper.Outdated, Message: fmt.Sprintf("the guest has another build of labctl-guest: %s", build),
		}}})
	}
	response := do(context.Background(), request)
	response.Build = build
	return answer(out, complaints, response)
}

func answer(out, complaints io.Writer, response helper.Response) int {
	if err := helper.Encode(out, response); err != nil {
		fmt.Fprintln(complaints, "labctl-guest: write the response:", err)
		return exitProblem
	}
	if len(response.Problems) > 0 {
		return exitProblem
	}
	return exitOK
}

// boot tells people what it did, on standard error.
func boot(system guest.System, build string, complaints io.Writer) int {
	if err := handOver("", build, nil); err != nil {
		fmt.Fprintln(complaints, "labctl-guest:", err)
	}
	response, err := system.Boot(context.Background())
	if err != nil {
		fmt.Fprintln(complaints, "labctl-guest: boot:", err)
		return exitProblem
	}
	for _, change := range response.Changed {
		fmt.Fprintln(complaints, change)
	}
	for _, problem := range response.Problems {
		fmt.Fprintln(complaints, "labctl-guest:", problem.Error())
	}
	if len(response.Problems) > 0 {
		return exitProblem
	}
	return exitOK
}
