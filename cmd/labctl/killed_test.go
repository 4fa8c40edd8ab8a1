package main

import (
	"context"
	"os"
	"strconv"
	"syscall"

	"github.com/labctl/labctl/provider"
)

// killVariable names the step, from 0, before which labctl-killed dies.
const killVariable = "LABCTL_TEST_KILL"

// killed is labctl that kills itself, as kill -9 does, before one of the steps of its apply.
func killed() {
	at, err := strconv.Atoi(os.Getenv(killVariable))
	if err != nil {
		panic(err)
	}
	steps := make(chan int, 1)
	steps <- 0
	ctx := provider.WithSteps(context.Background(), func(string) error {
		n := <-steps
		if n == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		steps <- n + 1
		return nil
	})
	os.Exit(run(ctx, os.Args[1:]))
}
