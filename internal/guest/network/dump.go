package network

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// dumpTries is how often a dump is begun again that the kernel's tables changed under (NLM_F_DUMP_INTR, netlink(7)).
const dumpTries = 20

// whole asks the kernel for a list until no change came between.
func whole[T any](list func() (T, error)) (T, error) {
	all, err := list()
	for try := 1; try < dumpTries && errors.Is(err, netlink.ErrDumpInterrupted); try++ {
		all, err = list()
	}
	return all, err
}
