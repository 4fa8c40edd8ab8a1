package machine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/provider/libvirt/tap"
	"github.com/labctl/labctl/schema"
)

// Machine is one domain as read: the provider's own knowledge beside an Object's Body, in its Aux.
type Machine struct {
	UUID      string
	Running   bool // its CPUs run; a paused or crashed machine is active and does not run
	Active    bool
	Autostart bool
	Meta      domainxml.Meta
	Defined   *libvirtxml.Domain // inactive XML
	Live      *libvirtxml.Domain // nil where it is not active
	Taps      map[string]tap.Tap
	Foreign   bool           // the lab that was read for does not own it
	LiveBody  *schema.Domain // nil where it is not active
}

// OthersDisks reports whether the machine has a disk that is not in its own folder, and so stays when the machine goes.
func (m *Machine) OthersDisks() bool {
	for _, x := range []*libvirtxml.Domain{m.Defined, m.Live} {
		if x == nil || x.Devices == nil {
			continue
		}
		for _, disk := range x.Devices.Disks {
			own := disk.Source == nil || m.Meta.Folder != "" && disk.Source.File != nil && filepath.Dir(disk.Source.File.File) == m.Meta.Folder
			if disk.Device != "cdrom" && disk.Device != "floppy" && !own {
				return true
			}
		}
	}
	return false
}

// Reader reads machines.
type Reader struct {
	Conn  *daemon.Conn
	Links tap.Links
}

// Scan reads every domain whose name and XML look wanted, and keeps those that keep says.
func (r Reader) Scan(parent context.Context, look func(name, text string) bool, keep func(*provider.Object) bool) ([]provider.Object, error) {
	var out []provider.Object
	err := r.Conn.Use(func(link *libvirt.Connect) error {
		out = nil
		domains, err := link.ListAllDomains(0)
		if err != nil {
			return err
		}
		defer free(domains)
		begins, err := autostarting(link)
		if err != nil {
			return err
		}
		shared := &sharedTaps{taps: r.Links}
		found := make([]*provider.Object, len(domains))
		group, ctx := errgroup.WithContext(parent)
		group.SetLimit(runtime.GOMAXPROCS(0))
		// One goroutine asks and the others parse: libvirt answers over one socket, and callers side by side only wait for
		// one another.
		for i := range domains {
			if ctx.Err() != nil {
				break
			}
			q, err := ask(&domains[i], look)
			if err != nil {
				return errors.Join(err, group.Wait())
			}
			if q == nil {
				continue
			}
			group.Go(func() error {
				o, err := q.parse(ctx, begins, shared)
				if err == nil && keep(o) {
					found[i] = o
				}
				return err
			})
		}
		if err := errors.Join(group.Wait(), parent.Err()); err != nil {
			return err
		}
		for _, o := range found {
			if o != nil {
				out = append(out, *o)
			}
		}
		return nil
	})
	if err != nil {
		return nil, readError(r.Conn.URI(), err)
	}
	return out, nil
}

// readError makes sure that what could not be read is never taken for absent.
func readError(uri string, err error) error {
	if errors.Is(err, provider.ErrUnreachable) || errors.Is(err, context.Canceled) {
		return err
	}
	return &provider.Error{Op: "read the domains of " + uri, Err: errors.Join(provider.ErrUnreachable, err)}
}

func free(domains []libvirt.Domain) {
	for i := range domains {
		_ = domains[i].Free()
	}
}

// autostarting is the UUIDs of the domains that start with the daemon, in one call for all of them.
func autostarting(link *libvirt.Connect) (map[string]bool, error) {
	domains, err := link.ListAllDomains(libvirt.CONNECT_LIST_DOMAINS_AUTOSTART)
	if err != nil {
		return nil, err
	}
	defer free(domains)
	out := make(map[string]bool, len(domains))
	for i := range domains {
		uuid, err := domains[i].GetUUIDString()
		if err != nil {
			return nil, err
		}
		out[uuid] = true
	}
	return out, nil
}

// sharedTaps reads the kernel's links once, and only when a running domain asks.
type sharedTaps struct {
	taps tap.Links
	once sync.Once
	all  map[string]tap.Tap
	err  error
}

func (s *sharedTaps) get(ctx context.Context) (map[string]tap.Tap, error) {
	s.once.Do(func() { s.all, s.err = s.taps.Read(ctx) })
	return s.all, s.err
}

// answers are what libvirt says of one domain.
type answers struct {
	name, uuid string
	defined    string // inactive XML
	live       string // "" where it is not active
	state      libvirt.DomainState
}

// ask is everything that has to be asked of one domain; nil where it does not look wanted or has vanished meanwhile.
func ask(dom *libvirt.Domain, look func(name, text string) bool) (*answers, error) {
	var q answers
	err := q.ask(dom, look)
	switch {
	case daemon.Is(err, libvirt.ERR_NO_DOMAIN):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", q.name, err)
	case q.uuid == "":
		return nil, nil
	}
	return &q, nil
}

func (q *answers) ask(dom *libvirt.Domain, look func(name, text string) bool) (err error) {
	if q.name, err = dom.GetName(); err != nil {
		return err
	}
	if q.defined, err = dom.GetXMLDesc(libvirt.DOMAIN_XML_INACTIVE); err != nil {
		return err
	}
	if !look(q.name, q.defined) {
		return nil
	}
	// The handle knows without a round trip whether the domain was active when it was looked up.
	if _, inactive := dom.GetID(); inactive == nil {
		if q.state, _, err = dom.GetState(); err != nil {
			return err
		}
		if q.state != libvirt.DOMAIN_SHUTOFF {
			if q.live, err = dom.GetXMLDesc(0); err != nil {
				return err
			}
		}
	}
	q.uuid, err = dom.GetUUIDString()
	return err
}

// parse is the machine that the answers tell of.
func (q *answers) parse(ctx context.Context, begins map[string]bool, shared *sharedTaps) (*provider.Object, error) {
	m := &Machine{Defined: new(libvirtxml.Domain), UUID: q.uuid, Autostart: begins[q.uuid]}
	if err := m.Defined.Unmarshal(q.defined); err != nil {
		return nil, fmt.Errorf("%s: domain XML: %w", q.name, err)
	}
	if q.live != "" {
		m.Active, m.Running = true, q.state == libvirt.DOMAIN_RUNNING || q.state == libvirt.DOMAIN_BLOCKED
		m.Live = new(libvirtxml.Domain)
		if err := m.Live.Unmarshal(q.live); err != nil {
			return nil, fmt.Errorf("%s: live domain XML: %w", q.name, err)
		}
		var err error
		if m.Taps, err = shared.get(ctx); err != nil {
			return nil, err
		}
	}
	return m.object()
}

// object is the machine as the contract has it.
func (m *Machine) object() (*provider.Object, error) {
	o := &provider.Object{ID: m.Defined.Name, Aux: m}
	if m.Defined.Metadata != nil {
		meta, _, ok, err := domainxml.ParseMeta(m.Defined.Metadata.XML)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Defined.Name, err)
		}
		if ok {
			m.Meta = meta
			o.Mark, o.Addr, o.Deps = meta.Mark, meta.Mark.Addr, meta.Mark.Deps
		}
	}
	body := domainxml.Read(m.Defined, m.Meta)
	declareImpair(body, m.Meta.Declared)
	body.Running, body.Autostart = m.Running, m.Autostart
	if m.Active {
		m.LiveBody = domainxml.Read(m.Live, m.Meta)
		m.seeKernel(m.LiveBody)
		overlay(body, m.LiveBody, m.Meta.Declared)
		if err := m.pending(body); err != nil {
			return nil, err
		}
	}
	o.Body = body
	return o, nil
}

// One reads one domain anew; nil where there is none.
func (r Reader) One(ctx context.Context, find daemon.Finder) (*provider.Object, error) {
	var o *provider.Object
	err := r.Conn.Domain(find, func(dom *libvirt.Domain) error {
		begins := map[string]bool{}
		uuid, err := dom.GetUUIDString()
		if err != nil {
			return err
		}
		if begins[uuid], err = dom.GetAutostart(); err != nil {
			return err
		}
		q, err := ask(dom, func(string, string) bool { return true })
		if err != nil || q == nil {
			return err
		}
		o, err = q.parse(ctx, begins, &sharedTaps{taps: r.Links})
		return err
	})
	if daemon.Is(err, libvirt.ERR_NO_DOMAIN) {
		return nil, nil
	}
	if err != nil {
		return nil, readError(r.Conn.URI(), err)
	}
	return o, nil
}
