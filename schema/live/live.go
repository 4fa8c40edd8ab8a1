// Package live gives references to a machine what is known of it only while it runs: as unknown values before, and as the
// facts once somebody has asked it.
package live

import (
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/decode"
)

// Give gives a vm block and those in it the values. Facts is nil before an apply.
func Give(vm *decode.Node, facts *schema.Facts) {
	if !vm.Flag("running") {
		return
	}
	if facts == nil {
		facts = new(schema.Facts)
	}
	first, asks := "", false
	vm.Each("interface", func(card *decode.Node) {
		leases := facts.Leases[card.Label()]
		list := cty.NilVal
		if len(leases) > 0 {
			values := make([]cty.Value, len(leases))
			for i, lease := range leases {
				values[i] = cty.StringVal(lease)
			}
			list = cty.ListVal(values)
		}
		give(card, "leases", list)
		if !card.Flag("dhcp4") && !card.Flag("dhcp6") && !card.Flag("accept_ra") || card.Has("ip") {
			return
		}
		asks = true
		ip := ""
		if len(leases) > 0 {
			ip, _, _ = strings.Cut(leases[0], "/")
		}
		if first == "" {
			first = ip
		}
		giveText(card, "ip", ip)
	})
	if asks && !vm.Has("ip") {
		giveText(vm, "ip", first)
	}
	inOrder(vm, "graphics", "address", facts.Screens)
	inOrder(vm, "serial", "pty", facts.Serials)
	inOrder(vm, "console", "pty", facts.Consoles)
}

// inOrder gives the blocks of a kind their texts.
func inOrder(vm *decode.Node, kind, name string, texts []string) {
	i := 0
	vm.Each(kind, func(n *decode.Node) {
		text := ""
		if i < len(texts) {
			text = texts[i]
		}
		i++
		if name != "pty" || n.Text("type") == "pty" {
			giveText(n, name, text)
		}
	})
}

func giveText(n *decode.Node, name, text string) {
	if text == "" {
		give(n, name, cty.NilVal)
		return
	}
	give(n, name, cty.StringVal(text))
}

// give gives an attribute its value, or says that it comes later.
func give(n *decode.Node, name string, v cty.Value) {
	if v == cty.NilVal {
		n.Later(name)
		return
	}
	n.Set(name, v)
}
