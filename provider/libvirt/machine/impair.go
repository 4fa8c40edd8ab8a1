package machine

import (
	"context"

	"github.com/labctl/labctl/provider/libvirt/domainxml"
	"github.com/labctl/labctl/provider/libvirt/tap"
	"github.com/labctl/labctl/schema"
)

// declareImpair puts what was declared of the host's ends of cards into a body: libvirt knows nothing of it.
func declareImpair(body, declared *schema.Domain) {
	if declared == nil {
		return
	}
	for i := range body.Interfaces {
		body.Interfaces[i].Impair = NICNamed(declared.Interfaces, body.Interfaces[i].Name).Impair
	}
}

// kernelImpair is what a tap does, in the words of the declaration where it is that.
func kernelImpair(rate uint64, declared schema.Impair) schema.Impair {
	switch rate {
	case 0:
		return schema.Impair{}
	case tap.Rate(declared.Rate):
		return declared
	}
	return schema.Impair{On: "host", Direction: "in", Rate: rate}
}

// Limit makes the taps of the running machine let through what is declared for its cards.
func (m *Machine) Limit(ctx context.Context, links tap.Links, cards []schema.NIC) error {
	if m.Live == nil {
		return nil
	}
	for _, card := range m.Live.Devices.Interfaces {
		if card.Target == nil {
			continue
		}
		now, known := m.Taps[card.Target.Dev]
		nic := NICNamed(cards, domainxml.ReadNIC(card, cards).Name)
		if !known || nic.Name == "" {
			continue
		}
		if err := tap.SetRate(ctx, links, card.Target.Dev, nic, now.Rate); err != nil {
			return err
		}
	}
	return nil
}
