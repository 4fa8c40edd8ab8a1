package libvirt

import (
	"context"
	"os"
	"strings"
	"sync"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/kvm"
	"github.com/labctl/labctl/internal/seed"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/disk"
	"github.com/labctl/labctl/provider/libvirt/folder"
	"github.com/labctl/labctl/provider/libvirt/tap"
)

// Provider serves resources of type "vm": it makes domains.
type Provider struct {
	// Helper is the path, on this machine, of the static labctl-guest binary that goes on the seed disc of guests whose
	// image does not have it; "" puts none.
	Helper string

	conn  *daemon.Conn
	host  host.Host
	root  string
	taps  tap.Links
	disks *disk.Maker
	// packed is the helper as seed discs carry it.
	packed func() ([]byte, error)
	kvm    func(context.Context) (kvm.Verdict, error)
}

// New is a provider over a connection. h is the machine that the daemon runs on; root is labctl's folder there, for
// images (images/KEY) and for the labs' own files (labs/LAB).
func New(conn *daemon.Conn, h host.Host, root string) *Provider {
	p := &Provider{conn: conn, host: h, root: root, taps: tap.On(h), disks: &disk.Maker{Host: h}}
	p.packed = sync.OnceValues(func() ([]byte, error) {
		program, err := os.ReadFile(p.Helper)
		if err != nil {
			return nil, err
		}
		return seed.Pack(program)
	})
	var mu sync.Mutex
	var known *kvm.Verdict
	p.kvm = func(ctx context.Context) (kvm.Verdict, error) {
		mu.Lock()
		defer mu.Unlock()
		if known != nil {
			return *known, nil
		}
		verdict, err := kvm.Prove(ctx, h, root)
		if err == nil {
			known = &verdict
		}
		return verdict, err
	}
	return p
}

// ResolveVirt is what a declared virt comes to on this host, "kvm" or "qemu", and why, on one line. Under "auto" and ""
// it is kvm only where a guest has been seen to boot under it.
func (p *Provider) ResolveVirt(ctx context.Context, want string) (virt, why string, err error) {
	if strings.HasPrefix(p.conn.URI(), "test:") {
		return "test", "libvirt's test driver runs nothing", nil
	}
	if want == "kvm" || want == "qemu" {
		return want, "declared", nil
	}
	verdict, err := p.kvm(ctx)
	if err != nil {
		return "", "", err
	}
	if verdict.Works {
		return "kvm", verdict.Why, nil
	}
	return "qemu", "guests are emulated: " + verdict.Why, nil
}

func (p *Provider) folders() folder.Folders { return folder.Folders{Host: p.host, Root: p.root} }
