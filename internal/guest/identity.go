package guest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
)

// renew gives the copy of another machine an identity of its own, once: machine-id(5), host keys of ssh, and the seed of
// random numbers are the other's until then. That it is a copy the seed disc says, and that it was done is kept. It returns
// what it did, nothing where nothing was to be done.
func (s System) renew(ctx context.Context, kept *helper.Persist) (did []string, err error) {
	copied, err := s.copied()
	if err != nil || copied == "" || copied == kept.Clone {
		return nil, err
	}
	did = []string{"begin as a copy of another machine"}
	if s.exists("/etc/machine-id") {
		if err := s.renewMachineID(ctx); err != nil {
			return did, fmt.Errorf("give it a machine-id of its own: %w", err)
		}
		did = append(did, "renew /etc/machine-id")
	}
	if err := s.removeAll("/var/lib/systemd/random-seed", "/var/lib/dhcp/*.leases"); err != nil {
		return did, err
	}
	renewed, err := s.renewHostKeys(ctx)
	if err != nil {
		return did, fmt.Errorf("give it host keys of its own: %w", err)
	}
	if renewed {
		did = append(did, "renew the host keys of ssh")
	}
	kept.Clone, kept.Mark = copied, "" // the mark is the other machine's
	return did, nil
}

// copied is the identity of the machine where the seed disc says that it is a copy, else "".
func (s System) copied() (string, error) {
	text, err := s.read(filepath.Join(mountedSeed, helper.SeedClone))
	if err != nil || text != "" || s.Root != "" || s.exists(filepath.Join(mountedSeed, "meta-data")) {
		return strings.TrimSpace(text), err
	}
	text, err = s.seedDisc(helper.SeedClone)
	if errors.Is(err, errNoSeed) || errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(text), err
}

func (s System) renewMachineID(ctx context.Context) error {
	random := make([]byte, 16)
	rand.Read(random) //nolint:errcheck // it never fails (crypto/rand)
	// Of UUIDs made of random numbers, as machine-id(5) asks (RFC 9562 5.4).
	random[6], random[8] = random[6]&0x0f|0x40, random[8]&0x3f|0x80
	id := hex.EncodeToString(random) + "\n"
	if err := s.write(ctx, "/etc/machine-id", id, 0o444); err != nil {
		return err
	}
	const older = "/var/lib/dbus/machine-id"
	if info, err := os.Lstat(s.path(older)); err == nil && info.Mode().IsRegular() { // else it is a link to the other
		return s.write(ctx, older, id, 0o444)
	}
	return nil
}

const (
	sshKeys      = "/etc/ssh/ssh_host_*_key"
	dropbearKeys = "/etc/dropbear/dropbear_*_host_key"
)

// renewHostKeys makes keys anew where there are some, and has a server that runs read them.
func (s System) renewHostKeys(ctx context.Context) (bool, error) {
	keys, err := filepath.Glob(s.path(sshKeys))
	if err != nil {
		return false, err
	}
	others, err := filepath.Glob(s.path(dropbearKeys)) // which its service makes when it starts
	if err != nil || len(keys)+len(others) == 0 {
		return false, err
	}
	if err := s.removeAll(sshKeys, sshKeys+".pub", dropbearKeys); err != nil {
		return false, err
	}
	if len(keys) > 0 {
		if err := s.makeHostKeys(ctx); err != nil {
			return false, err
		}
	}
	if s.Root == "" {
		s.restartServers(ctx)
	}
	return true, nil
}

func (s System) makeHostKeys(ctx context.Context) error {
	command := host.Cmd("ssh-keygen", "-A")
	if s.Root != "" {
		command = host.Cmd("ssh-keygen", "-A", "-f", s.Root)
	}
	_, err := s.Host.Run(ctx, command)
	return err
}

// restartServers has a server of ssh that runs already start anew. One of each list is there at most.
func (s System) restartServers(ctx context.Context) {
	switch {
	case s.exists("/run/systemd/system"):
		for _, unit := range []string{"ssh.service", "sshd.service", "dropbear.service"} {
			_, _ = s.Host.Run(ctx, host.Cmd("systemctl", "--no-block", "try-restart", unit))
		}
	case s.exists("/run/openrc"):
		for _, service := range []string{"sshd", "dropbear"} {
			_, _ = s.Host.Run(ctx, host.Cmd("rc-service", "--ifexists", "--ifstarted", service, "restart"))
		}
	}
}

func (s System) removeAll(patterns ...string) error {
	for _, pattern := range patterns {
		paths, err := filepath.Glob(s.path(pattern))
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
