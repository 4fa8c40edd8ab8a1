package libvirt

import (
	"context"
	"slices"
	"strings"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/libvirt/daemon"
	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/provider/libvirt/machine"
	"github.com/labctl/labctl/provider/libvirt/tap"
	"github.com/labctl/labctl/schema"
)

// liveNICs brings the running machine's network cards to what is declared.
func (j *job) liveNICs(ctx context.Context, m *machine.Machine) error {
	for _, card := range m.Live.Devices.Interfaces {
		name := domainxml.ReadNIC(card, j.body.Interfaces).Name
		if machine.NICNamed(j.body.Interfaces, name).Name != "" {
			continue
		}
		if err := j.detach(ctx, "interface "+name, aliasOfCard(card), card); err != nil {
			return err
		}
	}
	for _, nic := range j.body.Interfaces {
		if err := j.liveNIC(ctx, m, nic); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) liveNIC(ctx context.Context, m *machine.Machine, nic schema.NIC) error {
	card := j.cardNamed(m.Live, nic.Name)
	if card == nil {
		return j.plug(ctx, m, nic)
	}
	now := machine.NICNamed(m.LiveBody.Interfaces, domainxml.ReadNIC(*card, declaredNICs(m)).Name)
	if replug(now, nic, card) {
		if err := j.detach(ctx, "interface "+nic.Name, aliasOfCard(*card), *card); err != nil {
			return err
		}
		return j.plug(ctx, m, nic)
	}
	want, err := domainxml.NIC(nic)
	if err != nil {
		return err
	}
	xmlBridge := domainxml.ReadNIC(*card, j.body.Interfaces)
	if xmlBridge.Bridge != nic.Bridge || xmlBridge.Network != nic.Network || xmlBridge.Link != linkOf(nic) {
		card.Source, card.Link = want.Source, want.Link
		text, err := deviceXML(card)
		if err != nil {
			return err
		}
		if err := j.step(ctx, "update interface "+nic.Name, func(dom *libvirt.Domain) error {
			return dom.UpdateDeviceFlags(text, libvirt.DOMAIN_DEVICE_MODIFY_LIVE)
		}); err != nil {
			return err
		}
	}
	return j.kernelSide(ctx, card, machine.NICNamed(declaredNICs(j.now()), nic.Name), nic)
}

func declaredNICs(m *machine.Machine) []schema.NIC {
	if m.Meta.Declared == nil {
		return nil
	}
	return m.Meta.Declared.Interfaces
}

func linkOf(nic schema.NIC) string {
	if nic.Link == "" {
		return "up"
	}
	return nic.Link
}

// replug reports whether only another card in its place makes the change: libvirt changes neither model nor MAC of a
// card, and a guest's driver takes no MTU above the one that the card was made with (virtio 1.2, 5.1.4).
func replug(now, want schema.NIC, card *libvirtxml.DomainInterface) bool {
	model := want.Model
	if model == "" {
		model = "virtio"
	}
	if now.Model != model || !strings.EqualFold(now.MAC, want.MAC) {
		return true
	}
	mtu := want.MTU
	if mtu == 0 {
		mtu = machine.DefaultMTU
	}
	return card.MTU != nil && int(card.MTU.Size) < mtu
}

// plug attaches a card that the definition has.
func (j *job) plug(ctx context.Context, m *machine.Machine, nic schema.NIC) error {
	card := j.cardNamed(m.Defined, nic.Name)
	if card == nil {
		return &provider.Error{Op: "attach interface " + nic.Name, Err: provider.ErrIncomplete}
	}
	unplaced := func() any { card.Address = nil; return card }
	if err := j.attach(ctx, "interface "+nic.Name, card, unplaced); err != nil {
		return err
	}
	return j.limitAll(ctx)
}

// limitAll limits what cards receive whose taps are new: when the machine was started, or a card was added.
func (j *job) limitAll(ctx context.Context) error {
	if !slices.ContainsFunc(j.body.Interfaces, func(nic schema.NIC) bool { return nic.Impair.Rate != 0 }) {
		return nil
	}
	have, err := j.reader().One(ctx, daemon.ByUUID(j.uuid))
	if err != nil || have == nil {
		return err
	}
	return have.Aux.(*machine.Machine).Limit(ctx, j.taps, j.body.Interfaces)
}

func (j *job) cardNamed(x *libvirtxml.Domain, name string) *libvirtxml.DomainInterface {
	for i := range x.Devices.Interfaces {
		card := &x.Devices.Interfaces[i]
		if domainxml.ReadNIC(*card, j.body.Interfaces).Name == name {
			return card
		}
	}
	return nil
}

func aliasOfCard(card libvirtxml.DomainInterface) string {
	if card.Alias == nil {
		return ""
	}
	return card.Alias.Name
}

// kernelSide attaches the tap to its bridge and sets its MTU where the kernel has it otherwise, whatever libvirt's XML
// says: after a bridge was made anew an update of the device reports success and does nothing.
func (j *job) kernelSide(ctx context.Context, card *libvirtxml.DomainInterface, was, nic schema.NIC) error {
	if card.Target == nil || card.Target.Dev == "" {
		return nil
	}
	all, err := j.taps.Read(ctx)
	if err != nil {
		return err
	}
	link := card.Target.Dev
	now, known := all[link]
	if !known {
		return nil
	}
	if nic.Bridge != "" && now.Master != nic.Bridge {
		if err := provider.Step(ctx, "attach "+link+" to "+nic.Bridge); err != nil {
			return err
		}
		if err := j.taps.Enslave(ctx, link, nic.Bridge); err != nil {
			return &provider.Error{Op: "attach " + link + " to " + nic.Bridge, Path: "interface." + nic.Name + ".bridge", Err: err}
		}
	}
	if err := tap.SetRate(ctx, j.taps, link, nic, now.Rate); err != nil {
		return err
	}
	mtu := nic.MTU
	if mtu == 0 && was.MTU != 0 { // it is declared no longer: as any other on that bridge
		mtu = max(machine.DefaultMTU, all[nic.Bridge].MTU)
	}
	if mtu == 0 || mtu == now.MTU {
		return nil
	}
	if err := provider.Step(ctx, "set the MTU of "+link); err != nil {
		return err
	}
	return daemon.Failed("set the MTU of "+link, j.taps.SetMTU(ctx, link, mtu))
}
