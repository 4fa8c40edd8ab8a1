package session

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/labctl/labctl/internal/engine"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/guest"
	"github.com/labctl/labctl/provider/image"
	"github.com/labctl/labctl/provider/libvirt"
	"github.com/labctl/labctl/provider/netplan"
	"github.com/labctl/labctl/provider/nftables"
	"github.com/labctl/labctl/provider/sysctl"
	"github.com/labctl/labctl/schema"
)

// DefaultURI is the libvirt of this machine.
const DefaultURI = "qemu:///system"

// Carrier is a host with the providers of what lives on it.
type Carrier struct {
	host    schema.Host
	machine host.Host
	Conn    *libvirt.Conn
	images  *image.Provider
	domains *libvirt.Provider
	bridges *netplan.Provider
	rules   *nftables.Provider
	kernel  *sysctl.Provider
	guests  *guest.Provider
}

// connect reaches a host.
func connect(h schema.Host) (*Carrier, error) {
	if h.URI == "" {
		h.URI = DefaultURI
	}
	if err := here(h.URI); err != nil {
		return nil, err
	}
	helper, err := GuestHelper()
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(helper)
	if err != nil {
		return nil, err
	}
	conn, err := libvirt.Connect(h.URI)
	if err != nil {
		return nil, err
	}
	local := host.Local{}
	conn.Host = local
	inner, err := guest.New(conn, local, program)
	if err != nil {
		conn.Close()
		return nil, err
	}
	c := &Carrier{
		host: h, machine: local, Conn: conn,
		images:  image.New(local, DataRoot, image.Options{GuestBinary: helper}),
		domains: libvirt.New(conn, local, DataRoot),
		bridges: netplan.New(local, netplan.Kernel(local)),
		rules:   nftables.New(local),
		kernel:  sysctl.New(local),
		guests:  inner,
	}
	c.domains.Helper = helper
	// Who works over ssh must not be cut off by a bridge: the client's address is the first word (ssh(1)).
	c.bridges.Peer, _, _ = strings.Cut(os.Getenv("SSH_CONNECTION"), " ")
	return c, nil
}

// here refuses the libvirt of another machine: bridges, rules, disks and settings would be made on this one, and the machines
// would not find them.
func here(uri string) error {
	u, err := url.Parse(uri)
	if err != nil {
		return &provider.Error{Op: "connect to libvirt at " + uri, Err: errors.New("this is no URI"), Hint: "say " + DefaultURI}
	}
	_, transport, remote := strings.Cut(u.Scheme, "+")
	if u.Host == "" && (!remote || transport == "unix") {
		return nil
	}
	return &provider.Error{
		Op:   "connect to libvirt at " + uri,
		Err:  errors.New("it is on another machine, and the bridges, rules and disks of the lab would be made on this one"),
		Hint: "run labctl on that host, with " + DefaultURI,
	}
}

// bindings lists which provider serves which type of resource. It is the only such list.
func (c *Carrier) bindings() []engine.Binding {
	var list []engine.Binding
	for _, b := range []struct {
		typ      string
		provider provider.Provider
	}{
		{"image", c.images},
		{"bridge", c.bridges},
		{"network", libvirt.NewNetworks(c.Conn)},
		{"vm", c.domains},
		{guest.Type, c.guests},
		{"host.nftables", c.rules},
		{"host.sysctl", c.kernel},
	} {
		list = append(list, engine.Binding{Type: b.typ, Host: c.host.Name, Provider: b.provider})
	}
	return list
}

// Guest is the system inside a machine, reached through its agent.
func (c *Carrier) Guest(domain string) host.Host {
	return host.Agent{Command: func(ctx context.Context, request []byte) ([]byte, error) {
		return c.Conn.AgentCommand(ctx, domain, request)
	}}
}

func (c *Carrier) close() { c.Conn.Close() }

// guestHelper is what the helper is called.
const guestHelper = "labctl-guest"

// GuestHelper is the static helper that goes into guests: $LABCTL_GUEST, or beside labctl itself, or in PATH.
func GuestHelper() (string, error) {
	if path := os.Getenv("LABCTL_GUEST"); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("LABCTL_GUEST: %w", err)
		}
		return path, nil
	}
	var folders []string
	if self, err := os.Executable(); err == nil {
		folders = append(folders, filepath.Dir(self))
	}
	folders = append(folders, filepath.SplitList(os.Getenv("PATH"))...)
	for _, folder := range folders {
		path := filepath.Join(folder, guestHelper)
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("the helper for guests, %s, is neither beside labctl nor in PATH (see LABCTL_GUEST): %w", guestHelper, fs.ErrNotExist)
}
