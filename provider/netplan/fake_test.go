package netplan

import (
	"cmp"
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
	"time"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider/netplan/link"
	"github.com/labctl/labctl/provider/netplan/tree"
	"github.com/labctl/labctl/schema"
)

// machine is a host with a netplan, a networkd and a kernel that behave as the real ones were seen to (netplan 0.106,
// systemd 252): a reload brings addresses, routes and MTU up to date, but not stp and timers, and leaves dropped bridges.
const staticProtocol = 4 // RTPROT_STATIC of rtnetlink(7)

type machine struct {
	root string

	mu     sync.Mutex
	view   link.View
	loaded map[string]schema.Bridge  // what networkd has read
	made   map[string]schema.Bridge  // what netplan has generated
	log    []string                  // commands, in short
	refuse string                    // netplan refuses files that hold this
	cut    bool                      // the line to the machine is
	answer func(address string) bool // which addresses answer; none for nil
	late   bool                      // the trial does not meet what generate refuses
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{root: t.TempDir(), loaded: map[string]schema.Bridge{}, made: map[string]schema.Bridge{}}
	m.view.Links = map[string]*link.Link{"lo": {Name: "lo", Up: true}, "eth0": {Name: "eth0", Up: true}, "eth1": {Name: "eth1", Up: true}}
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
	case c.Args[0] == "sh" && strings.Contains(c.Args[2], "ip neigh"):
		m.note("ask", c.Args[3])
		if m.answer == nil || !m.answer(c.Args[3]) {
			return host.Output{}, &host.CommandError{Args: c.Args, Exit: 1}
		}
		return host.Output{}, nil
	case c.Args[0] == "sh" && strings.Contains(c.Args[2], "setsid"):
		m.note("arm")
		return host.Output{}, nil
	case c.Args[0] == "sh" && strings.Contains(c.Args[2], "kill "):
		m.note(map[bool]string{true: "take back", false: "disarm"}[strings.Contains(c.Args[2], "now")])
		return host.Output{}, nil
	case c.Args[0] == "sh" && strings.Contains(c.Args[2], "tar "): // reads files below the root, and nothing else
		return host.Local{}.Run(ctx, c)
	}
	// Nothing else may run: this is the test machine's own network.
	return host.Output{}, fmt.Errorf("the fake host has no %v", c.Args)
}

func (m *machine) complain(c host.Command, text string, heed bool) error {
	if m.refuse == "" || !strings.Contains(text, m.refuse) || !heed {
		return nil
	}
	return &host.CommandError{Args: c.Args, Exit: 1, Stderr: "Error in network definition: " + m.refuse}
}

func (m *machine) generate(ctx context.Context, c host.Command) error {
	t, err := tree.Read(ctx, host.Local{}, m.root)
	if err != nil {
		return err
	}
	made := map[string]schema.Bridge{}
	for _, f := range t.Files {
		if err := m.complain(c, string(f.Text), true); err != nil {
			return err
		}
		for _, e := range f.Entries {
			made[e.Name], _ = tree.Decode(e.Name, t.Merged(e.Name))
		}
	}
	m.made = made
	return nil
}

// load is a reload, and a reconfiguration of the links named.
func (m *machine) load(force []string) {
	for name, b := range m.made {
		l := m.view.Links[name]
		if l == nil {
			l = &link.Link{Name: name, Kind: "bridge", MTU: 1500, MAC: "02:00:00:00:00:01",
				Bridge: &link.BridgeState{ForwardDelay: 15, HelloTime: 2, MaxAge: 20, Ageing: 300, Priority: 32768, Root: true}}
			m.view.Links[name] = l
			for _, args := range link.Settings(&b, &schema.Bridge{}, &m.view) {
				m.set(args)
			}
		}
		if old, known := m.loaded[name]; known && fmt.Sprint(old) == fmt.Sprint(b) && !slices.Contains(force, name) && l.Up {
			continue
		}
		l.Up, l.Addresses = true, nil
		for _, a := range b.Addresses {
			l.Addresses = append(l.Addresses, link.Address{Prefix: link.CanonicalPrefix(a)})
		}
		l.MTU = cmp.Or(b.MTU, l.MTU)
		m.view.Routes = slices.DeleteFunc(m.view.Routes, func(r link.Route) bool { return r.Interface == name })
		for _, r := range b.Routes {
			r = link.NormalRoute(r)
			r.Interface = name
			m.view.Routes = append(m.view.Routes, link.Route{Route: r, Protocol: staticProtocol})
		}
		for _, port := range b.Interfaces {
			if m.view.Links[port] != nil {
				m.view.Links[port].Master, m.view.Links[port].Port = name, &link.PortState{Cost: 100, Priority: 32}
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
func (m *machine) Read(context.Context) (*link.View, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut {
		return nil, fmt.Errorf("no answer")
	}
	view := &link.View{Links: map[string]*link.Link{}, Routes: slices.Clone(m.view.Routes)}
	for name, l := range m.view.Links {
		copied := *l
		copied.Addresses = slices.Clone(l.Addresses)
		if l.Bridge != nil {
			copied.Bridge = new(*l.Bridge)
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
		for _, l := range m.view.Links {
			if l.Master == args[3] {
				l.Master, l.Port = "", nil
			}
		}
		m.view.Routes = slices.DeleteFunc(m.view.Routes, func(r link.Route) bool { return r.Interface == args[3] })
		return nil
	}
	m.set(args)
	return nil
}

// set does "link set dev NAME …".
func (m *machine) set(args []string) {
	l := m.view.Links[args[3]]
	for i := 4; i < len(args); i++ {
		value := ""
		if i+1 < len(args) {
			value = args[i+1]
		}
		n, _ := strconv.Atoi(value) // 0 for a word
		switch args[i] {
		case "up":
			l.Up = true
		case "mtu":
			l.MTU = n
		case "address":
			l.MAC = value
		case "master":
			l.Master, l.Port = value, &link.PortState{Cost: 100, Priority: 32}
		case "nomaster":
			l.Master, l.Port = "", nil
		case "stp_state":
			l.Bridge.STP = n == 1
		case "forward_delay":
			l.Bridge.ForwardDelay = float64(n) / 100
		case "hello_time":
			l.Bridge.HelloTime = float64(n) / 100
		case "max_age":
			l.Bridge.MaxAge = float64(n) / 100
		case "ageing_time":
			l.Bridge.Ageing = float64(n) / 100
		case "priority":
			if l.Port != nil {
				l.Port.Priority = n
			} else {
				l.Bridge.Priority = n
			}
		case "cost":
			l.Port.Cost = n
		}
	}
}

func (m *machine) Watch(ctx context.Context) (<-chan struct{}, error) {
	changes := make(chan struct{}, 1)
	go func() {
		for ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)

			select {
			case changes <- struct{}{}:
			default:
			}
		}
	}()
	return changes, nil
}
