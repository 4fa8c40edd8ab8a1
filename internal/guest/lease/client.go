// Package lease keeps a DHCP client running on interfaces of a guest whose system has none of its own (the micro image),
// and puts what the client is given into the kernel.
package lease

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/labctl/labctl/internal/guest/note"
	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/schema"
)

// Clients are the DHCP clients of a guest: BusyBox's udhcpc, one for each interface that wants one.
type Clients struct {
	*note.Report
	Host host.Host
	Dir  string // where the clients' process IDs and script are, until the next boot
}

// Needed reports whether the guest's own system takes no leases: no service manager that would, no ifupdown.
func Needed() bool {
	for _, own := range []string{"/run/systemd/system", "/etc/network/interfaces", "/run/openrc"} {
		if _, err := os.Stat(own); err == nil {
			return false
		}
	}
	return true
}

// program is BusyBox's client as a command, nil where the guest has none.
func program() []string {
	for _, command := range [][]string{{"/usr/bin/udhcpc"}, {"/sbin/udhcpc"}, {"/usr/bin/busybox", "udhcpc"}, {"/bin/busybox", "udhcpc"}} {
		if _, err := os.Stat(command[0]); err == nil {
			return command
		}
	}
	return nil
}

// Observe corrects in have, interface by interface, whether leases are taken.
func (c *Clients) Observe(have []schema.GuestInterface) {
	for n := range have {
		have[n].DHCP4 = c.pid(have[n].Name) != 0
		have[n].DHCP6 = false // there is no client for it
	}
}

// Apply starts and stops clients.
func (c *Clients) Apply(ctx context.Context, want []schema.GuestInterface) {
	for _, i := range want {
		at := "interface." + i.Name
		if i.DHCP6 {
			c.Problem(at+".dhcp6", note.Refuse("the guest's system has no DHCPv6 client: declare addresses, or let accept_ra take them"))
		}
		switch pid := c.pid(i.Name); {
		case i.DHCP4 && pid == 0:
			c.Problem(at+".dhcp4", c.start(ctx, i.Name))
		case !i.DHCP4 && pid != 0:
			c.Problem(at+".dhcp4", c.stop(i.Name, pid))
		}
	}
}

func (c *Clients) pidFile(name string) string { return filepath.Join(c.Dir, "udhcpc-"+name+".pid") }

// pid is the process that serves an interface, 0 for none. A number that now belongs to another program is none.
func (c *Clients) pid(name string) int {
	text, err := os.ReadFile(c.pidFile(name))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 0 {
		return 0
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(line), "udhcpc") {
		return 0
	}
	return pid
}

// launch starts a client that is no child of ours and holds none of our files, or the caller would wait for it.
const launch = `pid=$1; shift; setsid "$@" </dev/null >/dev/null 2>&1 & echo $! >"$pid"`

func (c *Clients) start(ctx context.Context, name string) error {
	client := program()
	if client == nil {
		return note.Refuse("the guest's system has no DHCP client")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	script := filepath.Join(c.Dir, "udhcpc")
	text := "#!/bin/sh\nexec " + self + " " + helper.Lease + " \"$1\"\n"
	if err := c.Host.WriteFile(ctx, script, []byte(text), 0o755); err != nil {
		return err
	}
	// In the foreground, so that it has one process from the start, and asking again every 5 s while nobody answers.
	args := append([]string{"sh", "-c", launch, "sh", c.pidFile(name)}, client...)
	if _, err = c.Host.Run(ctx, host.Cmd(append(args, "-f", "-i", name, "-s", script, "-t", "6", "-T", "1", "-A", "2")...)); err != nil {
		return err
	}
	c.Did("take leases on %s", name)
	return nil
}

func (c *Clients) stop(name string, pid int) error {
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	if err := os.Remove(c.pidFile(name)); err != nil && !os.IsNotExist(err) {
		return err
	}
	c.Did("take no more leases on %s", name)
	return Drop(name)
}
