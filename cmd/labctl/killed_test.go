package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/labctl/labctl/provider"
)

const (
	stepVariable  = "LABCTL_TEST_STEP"  // the step, from 0, before which labctl-killed does something to itself or the host
	stageVariable = "LABCTL_TEST_STAGE" // the same by the stage's name: before the first step that is called so
	doVariable    = "LABCTL_TEST_DO"    // what it does: a command for sh; nothing is to die, as by kill -9
)

// killed is labctl with a fault before one of the steps of its apply.
func killed() {
	at, err := strconv.Atoi(os.Getenv(stepVariable))
	if err != nil {
		at = -1
	}
	steps := make(chan int, 1)
	steps <- 0
	ctx := provider.WithSteps(context.Background(), func(stage string) error {
		n := <-steps
		defer func() { steps <- n + 1 }()
		if n != at && (stage != os.Getenv(stageVariable) || stage == "") {
			return nil
		}
		_ = os.Setenv(stageVariable, "") // once
		if command := os.Getenv(doVariable); command != "" {
			out, err := exec.CommandContext(context.Background(), "sh", "-c", command).CombinedOutput()
			fmt.Fprintf(os.Stderr, "before %q: %s: %v\n%s", stage, command, err, out)
			return nil
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	})
	os.Exit(run(ctx, os.Args[1:]))
}
