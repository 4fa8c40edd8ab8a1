package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/vishvananda/netlink"
)

// patience is how long a daemon may take to come up. It is generous, for many sandboxes may start at once.
const patience = 60 * time.Second

// startDaemons brings up what runs on a lab host, in the order in which one needs another, and returns once libvirtd
// answers and systemd-networkd is on the bus.
func startDaemons(procs *processes, clock *stopwatch, signals <-chan os.Signal) error {
	if err := prepare(); err != nil {
		return err
	}
	bus, err := startDaemon(procs, "dbus-daemon", "--system", "--nofork", "--nopidfile", "--nosyslog")
	if err != nil {
		return err
	}
	if err := bus.await(signals, "/run/dbus/system_bus_socket", openToAll); err != nil {
		return err
	}
	clock.lap("dbus")
	network, err := startDaemon(procs, networkd)
	if err != nil {
		return err
	}
	logger, err := startDaemon(procs, "virtlogd")
	if err != nil {
		return err
	}
	machines, err := startDaemon(procs, "libvirtd")
	if err != nil {
		return err
	}
	if err := network.await(signals, "/run/systemd/netif/state", exists); err != nil {
		return err
	}
	clock.lap("systemd-networkd")
	if err := logger.await(signals, "/run/libvirt/virtlogd-sock", exists); err != nil {
		return err
	}
	if err := machines.await(signals, "/run/libvirt/libvirt-sock", exists); err != nil {
		return err
	}
	clock.lap("libvirtd's socket")
	if err := machines.answers(procs, signals); err != nil {
		return err
	}
	clock.lap("libvirtd's answer")
	return nil
}

// prepare makes the folders that the daemons take for granted, and brings the loopback interface up.
func prepare() error {
	for _, dir := range []string{
		scratch, "/run/dbus", "/run/libvirt", "/run/lock", "/run/systemd/network", "/run/systemd/netif",
		"/var/lib/libvirt/qemu", "/var/lib/libvirt/images", "/var/lib/libvirt/boot", "/etc/libvirt/qemu/networks",
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := chownToUser("/run/systemd/netif", "systemd-network"); err != nil {
		return err
	}
	if text, err := os.ReadFile("/etc/machine-id"); err != nil || len(strings.TrimSpace(string(text))) == 0 {
		id := strings.ReplaceAll(uuid.NewString(), "-", "") + "\n"
		if err := os.WriteFile("/etc/machine-id", []byte(id), 0o444); err != nil {
			return err
		}
	}
	carry("/usr/share/libvirt/networks/default.xml", "/etc/libvirt/qemu/networks/default.xml") // as on a host, and off as there
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback interface: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring the loopback interface up: %w", err)
	}
	return nil
}

func chownToUser(path, name string) error {
	owner, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("package systemd makes the user %s, who is not there: %w", name, err)
	}
	uid, uidErr := strconv.Atoi(owner.Uid)
	gid, gidErr := strconv.Atoi(owner.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return err
	}
	return os.Chown(path, uid, gid)
}

// daemon is a running daemon of the sandbox, whose output goes to a file.
type daemon struct {
	name  string
	log   string
	ended <-chan syscall.WaitStatus
}

func startDaemon(procs *processes, program string, args ...string) (*daemon, error) {
	d := &daemon{name: filepath.Base(program)}
	d.log = filepath.Join(scratch, d.name+".log")
	path, err := lookPath(program)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	log, err := os.Create(d.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	// A session of its own keeps the terminal's signals away.
	_, d.ended, err = procs.start(path, append([]string{path}, args...), []*os.File{null, log, log}, &syscall.SysProcAttr{Setsid: true})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", d.name, err)
	}
	return d, nil
}

func exists(os.FileInfo) bool { return true }

// openToAll tells when others may use a socket: dbus-daemon makes it first and opens it to them a moment later.
func openToAll(info os.FileInfo) bool { return info.Mode().Perm()&0o002 != 0 }

// await returns once path, which the daemon makes when it is up, is there and ready.
func (d *daemon) await(signals <-chan os.Signal, path string, ready func(os.FileInfo) bool) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		if info, err := os.Stat(path); err == nil && ready(info) {
			return nil
		}
		select {
		case <-tick.C:
		case <-d.ended:
			return d.failed("ended at once")
		case <-deadline:
			return d.failed(fmt.Sprintf("did not come up within %v", patience))
		case s := <-signals:
			return fmt.Errorf("stopped by a signal (%v) before the command ran", s)
		}
	}
}

// answers returns once libvirtd answers a question about its QEMU driver. libvirtd takes the connection from its socket
// at once and answers when its drivers are up, so one virsh is enough; it is tried again in case they are not.
func (d *daemon) answers(procs *processes, signals <-chan os.Signal) error {
	deadline := time.Now().Add(patience)
	for {
		virsh, err := startDaemon(procs, "virsh", "-q", "-c", "qemu:///system", "uri")
		if err != nil {
			return err
		}
		select {
		case status := <-virsh.ended:
			if status.ExitStatus() == 0 {
				return nil
			}
			if time.Now().After(deadline) {
				return d.failed("does not answer: " + lastLines(virsh.log, 5))
			}
		case <-d.ended:
			return d.failed("ended at once")
		case s := <-signals:
			return fmt.Errorf("stopped by a signal (%v) before the command ran", s)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (d *daemon) failed(how string) error {
	said := lastLines(d.log, 10)
	if said == "" {
		return fmt.Errorf("%s %s and said nothing", d.name, how)
	}
	return fmt.Errorf("%s %s; it said:\n%s", d.name, how, said)
}
