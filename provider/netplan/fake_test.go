package netplan

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/schema"
)

// machine is a host with a netplan, a networkd and a kernel that behave as the real ones were seen to (netplan 0.106,
// systemd 252): a reload brings addresses, routes and MTU up to date, but not stp and timers, and leaves dropped bridges.
type machine struct {
	root string

	mu     sync.Mutex
	view   View
	loaded map[string]schema.Bridge // what networkd has read
	made   map[string]schema.Bridge // what netplan has generated
	log    []string                 // commands, in short
	refuse string                   // netplan refuses files that hold this
	cut    bool                     // the line to the machine is
	late   bool                     // the trial does not meet what generate refuses
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{root: t.TempDir(), loaded: map[string]schema.Bridge{}, made: map[string]schema.Bridge{}}
	m.view.Links = map[string]*Link{"lo": {Name: "lo", Up: true}, "eth0": {Name: "eth0", Up: true}, "eth1": {Name: "eth1", Up: true}}
	if err := os.MkdirAll(filepath.Join(m.root, "etc/netplan"), 0o755); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *machine) provider() *Provider {
	p := New(m, m)
	p.Root = m.root
	return p
}

func (m *machine) note(words ...string) { m.log = append(m.log, strings.Join(words, " ")) }

// ReadFile and the like are the folder's own.
func (m *machine) ReadFile(ctx context.Context, path string) ([]byte, error) {
	return host.Local{}.ReadFile(ctx, path)
}

func (m *machine) WriteFile(ctx context.Context, path string, data []byte, mode os.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note("write", filepath.Base(path))
	return host.Local{}.WriteFile(ctx, path, data, mode)
}

func (m *machine) Remove(ctx context.Context, path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note("remove", filepath.Base(path))
	return host.Local{}.Remove(ctx, path)
}

// Run plays the programs, or runs the shell where it only reads files.
func (m *machine) Run(ctx context.Context, c host.Command) (host.Output, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut {
		return host.Output{}, fmt.Errorf("no answer")
	}
	switch {
	case c.Args[0] == "sh" && strings.Contains(c.Args[2], "mktemp"):
		m.note("try")
		return host.Output{}, m.complain(c, string(c.Stdin), !m.late)
	case c.Args[0] == "sh" && strings.Contains(c.Args[2], "generate"):
		m.note("generate")
		return host.Output{}, m.generate(ctx, c)
	case c.Args[0] == "networkctl", c.Args[0] == "netplan":
		m.note(c.Args...)
		m.load(c.Args[2:])
		return host.Output{}, nil
	case c.Args[0] == "busctl":
		return host.Output{}, nil
	}
	return host.Local{}.Run(ctx, c)
}

func (m *machine) complain(c host.Command, text string, heed bool) error {
	if m.refuse == "" || !strings.Contains(text, m.refuse) || !heed {
		return nil
	}
	return &host.CommandError{Args: c.Args, Exit: 1, Stderr: "Error in network definition: " + m.refuse}
}

func (m *machine) generate(ctx context.Context, c host.Command) error {
	t, err := readTree(ctx, host.Local{}, m.root)
	if err != nil {
		return err
	}
	made := map[string]schema.Bridge{}
	for _, f := range t.files {
		if err := m.complain(c, string(f.text), true); err != nil {
			return err
		}
		for _, e := range f.entries {
			made[e.name], _ = decode(e.name, t.merged(e.name))
		}
	}
	m.made = made
	return nil
}

// load is a reload, and a reconfiguration of the links named.
func (m *machine) load(force []string) {
	for name, b := range m.made {
		link := m.view.Links[name]
		if link == nil {
			link = &Link{Name: name, Kind: "bridge", MTU: 1500, MAC: "02:00:00:00:00:01",
				Bridge: &BridgeState{ForwardDelay: 15, HelloTime: 2, MaxAge: 20, Ageing: 300, Priority: 32768, Root: true}}
			m.view.Links[name] = link
			for _, args := range settings(&b, &schema.Bridge{}, &m.view) {
				m.set(args)
			}
		}
		if old, known := m.loaded[name]; known && fmt.Sprint(old) == fmt.Sprint(b) && !slices.Contains(force, name) && link.Up {
			continue
		}
		link.Up, link.Addresses = true, nil
		for _, a := range b.Addresses {
			link.Addresses = append(link.Addresses, Address{Prefix: canonicalPrefix(a)})
		}
		link.MTU = target(b.MTU, 0, link.MTU)
		m.view.Routes = slices.DeleteFunc(m.view.Routes, func(r KernelRoute) bool { return r.Interface == name })
		for _, r := range b.Routes {
			r = normalRoute(r)
			r.Interface = name
			m.view.Routes = append(m.view.Routes, KernelRoute{Route: r, Protocol: protoStatic})
		}
		for _, port := range b.Interfaces {
			if m.view.Links[port] != nil {
				m.view.Links[port].Master, m.view.Links[port].Port = name, &PortState{Cost: 100, Priority: 32}
			}
		}
	}
	for name := range m.loaded {
		if _, stays := m.made[name]; !stays && m.view.Links[name] != nil {
			m.view.Links[name].Addresses = nil
		}
	}
	m.loaded = maps.Clone(m.made)
}

// Read, Change and Watch are the kernel's.
func (m *machine) Read(context.Context) (*View, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut {
		return nil, fmt.Errorf("no answer")
	}
	view := &View{Links: map[string]*Link{}, Routes: slices.Clone(m.view.Routes)}
	for name, link := range m.view.Links {
		copied := *link
		copied.Addresses = slices.Clone(link.Addresses)
		if link.Bridge != nil {
			copied.Bridge = new(*link.Bridge)
		}
		view.Links[name] = &copied
	}
	return view, nil
}

func (m *machine) Change(_ context.Context, args ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note(append([]string{"ip"}, args...)...)
	if args[1] == "delete" {
		delete(m.view.Links, args[3])
		for _, link := range m.view.Links {
			if link.Master == args[3] {
				link.Master, link.Port = "", nil
			}
		}
		m.view.Routes = slices.DeleteFunc(m.view.Routes, func(r KernelRoute) bool { return r.Interface == args[3] })
		return nil
	}
	m.set(args)
	return nil
}

// set does "link set dev NAME …".
func (m *machine) set(args []string) {
	link := m.view.Links[args[3]]
	for i := 4; i < len(args); i++ {
		value := ""
		if i+1 < len(args) {
			value = args[i+1]
		}
		n, _ := strconv.Atoi(value) // 0 for a word
		switch args[i] {
		case "up":
			link.Up = true
		case "mtu":
			link.MTU = n
		case "address":
			link.MAC = value
		case "master":
			link.Master, link.Port = value, &PortState{Cost: 100, Priority: 32}
		case "nomaster":
			link.Master, link.Port = "", nil
		case "stp_state":
			link.Bridge.STP = n == 1
		case "forward_delay":
			link.Bridge.ForwardDelay = float64(n) / 100
		case "hello_time":
			link.Bridge.HelloTime = float64(n) / 100
		case "max_age":
			link.Bridge.MaxAge = float64(n) / 100
		case "ageing_time":
			link.Bridge.Ageing = float64(n) / 100
		case "priority":
			if link.Port != nil {
				link.Port.Priority = n
			} else {
				link.Bridge.Priority = n
			}
		case "cost":
			link.Port.Cost = n
		}
	}
}

func (m *machine) Watch(ctx context.Context) (<-chan struct{}, error) {
	changes := make(chan struct{}, 1)
	go tick(ctx, func() {
		select {
		case changes <- struct{}{}:
		default:
		}
	})
	return changes, nil
}
