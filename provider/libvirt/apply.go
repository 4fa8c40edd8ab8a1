package libvirt

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/provider/libvirt/machine"
	"github.com/labctl/labctl/provider/libvirt/source"
	"github.com/labctl/labctl/schema"
)

// Apply implements provider.Provider. It looks at the domain itself first and never trusts what the plan saw: so it
// can be repeated wherever an earlier one stopped.
func (p *Provider) Apply(ctx context.Context, lab string, c provider.Change) error {
	var err error
	switch c.Action {
	case provider.Create, provider.Update, provider.Restart:
		err = p.converge(ctx, lab, c)
	case provider.Replace:
		if err = p.remove(ctx, lab, c); err == nil {
			err = p.converge(ctx, lab, provider.Change{Addr: c.Addr, Action: provider.Create, Want: c.Want})
		}
	case provider.Delete:
		err = p.remove(ctx, lab, c)
	case provider.Forget:
		err = p.Forget(ctx, lab, *c.Have)
	}
	return located(c.Addr, err)
}

// located gives an error its address, and libvirt's message without its codes.
func located(addr schema.Addr, err error) error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*provider.Error](err); ok {
		if known.Addr == (schema.Addr{}) {
			known.Addr = addr
		}
		return err
	}
	return &provider.Error{Addr: addr, Err: err}
}

// job is one Apply under way.
type job struct {
	*Provider
	lab  string
	want *schema.Resource
	body *schema.Domain
	uuid string
	have *provider.Object // as it is now; nil where there is no domain yet
	spec domainxml.Spec
	xml  *libvirtxml.Domain
	from []source.Disk // disks to copy, for a clone that is not made yet
	// variables is the file of its firmware's variables to copy, "" for none.
	variables string
}

// now is what is known of the domain; have must not be nil.
func (j *job) now() *machine.Machine { return j.have.Aux.(*machine.Machine) }

// converge makes the domain as c.Want says, from whatever is there.
func (p *Provider) converge(ctx context.Context, lab string, c provider.Change) error {
	j := &job{Provider: p, lab: lab, want: c.Want, body: c.Want.Body.(*schema.Domain), uuid: schema.UUID(lab, c.Want.Addr)}
	if c.Have != nil {
		j.uuid = c.Have.Aux.(*machine.Machine).UUID // a moved or imported domain keeps its own
	}
	if err := j.look(ctx); err != nil {
		return err
	}
	if err := j.prepare(ctx); err != nil {
		return err
	}
	if j.have == nil {
		if err := j.create(ctx); err != nil || j.staysOff() {
			return err // what was defined is read with everything else at the end: nothing waits for it to be true
		}
	} else if err := j.update(ctx); err != nil {
		return err
	}
	return j.verify(ctx)
}

// look reads the domain, and refuses one that the lab does not own. That another one has its name libvirt says when it is
// defined.
func (j *job) look(ctx context.Context) error {
	have, err := j.reader().One(ctx, daemon.ByUUID(j.uuid))
	if err != nil {
		return err
	}
	if have != nil && !have.Owned(j.lab) {
		return foreign(j.want.Addr, have)
	}
	j.have = have
	return nil
}

// prepare builds the definition.
func (j *job) prepare(ctx context.Context) error {
	img, err := source.Image(ctx, j.host, j.Provider.root, j.body.Image)
	if err != nil {
		return err
	}
	j.spec = domainxml.Spec{
		Mark: provider.MarkOf(j.lab, j.want), UUID: j.uuid, Want: j.body, Image: img,
		Seeded: j.body.Seed != nil && (j.body.Image != nil || j.body.Boot.Kernel != "" || j.body.Clone != nil) && j.body.CDROM == "",
	}
	if j.body.Running || j.spec.Seeded || j.spec.HasRoot() || j.body.Clone != nil || hasOwnDisk(j.body) || j.body.Firmware == "uefi" {
		j.spec.Folder = j.folders().Of(j.lab, j.body.Name, j.uuid)
	}
	if j.have != nil && j.now().Meta.Folder != "" {
		j.spec.Folder = j.now().Meta.Folder
	}
	if j.body.Clone != nil {
		if err := j.cloneOf(ctx); err != nil {
			return err
		}
	}
	if err := j.resolveVirt(ctx); err != nil {
		return err
	}
	return j.rebuild()
}

// rebuild makes the XML anew from the spec.
func (j *job) rebuild() error {
	var err error
	if j.xml, err = domainxml.Build(j.spec); err != nil {
		return &provider.Error{Op: "build domain XML", Err: err}
	}
	if j.have != nil {
		return domainxml.Carry(j.now().Defined, j.xml)
	}
	return nil
}

// resolveVirt decides between KVM and emulation; a domain that is there keeps what was decided for it.
func (j *job) resolveVirt(ctx context.Context) error {
	if j.have != nil && (j.body.Virt == "" || j.body.Virt == "auto") {
		j.spec.Virt = j.now().Defined.Type
		return nil
	}
	virt, _, err := j.ResolveVirt(ctx, j.body.Virt)
	j.spec.Virt = virt
	return err
}

func hasOwnDisk(d *schema.Domain) bool {
	for _, disk := range d.Disks {
		if disk.Source == "" {
			return true
		}
	}
	return false
}

// define stores the definition over an old one. libvirt checks it first and keeps the old one where it refuses.
func (j *job) define(ctx context.Context) error {
	if err := provider.Step(ctx, "define"); err != nil {
		return err
	}
	text, err := j.xml.Marshal()
	if err != nil {
		return err
	}
	err = j.conn.Use(func(link *libvirt.Connect) error {
		dom, err := link.DomainDefineXMLFlags(text, defineFlags(j.body))
		if err != nil {
			return err
		}
		return dom.Free()
	})
	if daemon.Is(err, libvirt.ERR_OPERATION_FAILED) && j.have == nil {
		if other, asked := j.reader().One(ctx, daemon.ByName(j.body.Name)); asked == nil && other != nil {
			return foreign(j.want.Addr, other)
		}
	}
	return daemon.Failed("define domain "+j.body.Name, err)
}

// defineFlags has libvirt check the XML against its schema where a part of it is the user's own. For what labctl itself
// builds the check says nothing new and costs more than the definition.
func defineFlags(d *schema.Domain) libvirt.DomainDefineFlags {
	usb := slices.ContainsFunc(d.HostDevs, func(h schema.HostDev) bool { return h.USB != "" })
	if d.XML == "" || usb { // libvirt's Go types write a USB device's vendor and product in an order that its schema refuses
		return 0
	}
	return libvirt.DOMAIN_DEFINE_VALIDATE
}

// mark writes the mark alone, on the definition and on the running machine.
func (j *job) mark(incomplete bool) error {
	j.spec.Mark.Incomplete = incomplete
	text, err := domainxml.Meta{Mark: j.spec.Mark, Folder: j.spec.Folder, Declared: j.body}.Bare()
	if err != nil {
		return err
	}
	return daemon.Failed("mark domain "+j.body.Name, j.conn.Domain(daemon.ByUUID(j.uuid), func(dom *libvirt.Domain) error {
		return setMetadata(dom, text)
	}))
}

// metadataKey is the prefix under which libvirt writes labctl's element.
const metadataKey = "lab"

// verify reads back: a return code of zero is no proof that libvirt did anything.
func (j *job) verify(ctx context.Context) error {
	have, err := j.reader().One(ctx, daemon.ByUUID(j.uuid))
	if err != nil {
		return err
	}
	if have == nil {
		return fmt.Errorf("the domain %s has vanished while it was made", j.body.Name)
	}
	left, err := machine.Details(j.want, have)
	if err != nil {
		return err
	}
	if len(left) == 0 && !have.Mark.Incomplete {
		return nil
	}
	var what []error
	for _, d := range left {
		what = append(what, fmt.Errorf("%s is %v, not %v", d.Path, d.Old, d.New))
	}
	return &provider.Error{Op: "read back domain " + j.body.Name, Err: errors.Join(append([]error{provider.ErrIncomplete}, what...)...)}
}
