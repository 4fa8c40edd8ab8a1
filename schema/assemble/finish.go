package assemble

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/diag"
)

// Finish makes the lab of all blocks taken up. Blocks in error are left out.
func (a *Assembler) Finish() (*schema.Lab, hcl.Diagnostics) {
	lab := &schema.Lab{Name: a.lab}
	slices.SortStableFunc(a.blocks, func(x, y *block) int { return x.order.compare(y.order) })
	for kind := range a.byKind {
		slices.SortStableFunc(a.byKind[kind], func(x, y *block) int { return x.order.compare(y.order) })
	}
	hosts, diags := a.labHosts()
	lab.Hosts = hosts
	a.joinBridges()
	for _, h := range hosts {
		resources, more := a.hostResources(h, a.byAddr[schema.Addr{Kind: "host", Name: h.Name}])
		diags = append(diags, more...)
		lab.Resources = append(lab.Resources, resources...)
	}
	lab.Resources = slices.Grow(lab.Resources, 2*len(a.blocks))
	for _, b := range a.blocks {
		if b.node.Failed {
			a.anyFailed = true
			continue
		}
		lab.Resources = append(lab.Resources, b.resources()...)
	}
	lab.SettingsFirst()
	a.depend(lab)
	for _, b := range a.byKind["nftables"] {
		if !b.used && !b.node.Failed && !a.anyFailed {
			diags = append(diags, diag.At(b.addr.String(), hcl.Diagnostics{diag.Warn(diag.UnusedRuleset, b.node.DefRange,
				"The ruleset is attached to nothing", fmt.Sprintf("Write nftables = [%s] in a vm or host block.", b.addr))})...)
		}
	}
	checks, more := a.checks()
	lab.Checks = checks
	return lab, append(diags, more...)
}

// joinBridges lets machines that name a bridge of the lab by text depend on it all the same.
func (a *Assembler) joinBridges() {
	byName := make(map[[2]string]schema.Addr)
	for _, b := range a.byKind["bridge"] {
		if !b.node.Failed {
			byName[[2]string{b.host, b.bridge.Name}] = b.addr
		}
	}
	for _, b := range a.byKind["vm"] {
		if b.node.Failed {
			continue
		}
		for _, nic := range b.domain.Interfaces {
			if addr, ok := byName[[2]string{b.host, nic.Bridge}]; ok && !slices.Contains(b.deps, addr) {
				b.deps = append(b.deps, addr)
			}
		}
	}
}

// resources are what a block makes.
func (b *block) resources() []schema.Resource {
	r := schema.Resource{Addr: b.addr, Host: b.host, Lifecycle: b.lifecycle, Sensitive: b.node.SensitivePaths(), Deps: unique(b.deps)}
	switch {
	case b.bridge != nil:
		r.Body = b.bridge
	case b.network != nil:
		if b.network.Existing {
			return nil // it is only referred to
		}
		r.Body = b.network
	case b.image != nil:
		r.Body = b.image
	case b.domain != nil:
		r.Body = b.domain
		guest := r
		guest.Addr.Part, guest.Body = "guest", b.guest
		guest.Deps = []schema.Addr{b.addr}
		guest.Lifecycle.ReplaceOn, guest.Lifecycle.ReplaceOnArgument = nil, nil
		if slices.Contains(guest.Sensitive, "nftables") {
			guest.Sensitive = append(slices.Clone(guest.Sensitive), "nftables.text")
		}
		return []schema.Resource{r, guest}
	default:
		return nil // nftables, host: they make no resource of their own
	}
	return []schema.Resource{r}
}

func unique(addrs []schema.Addr) []schema.Addr {
	var out []schema.Addr
	for _, addr := range addrs {
		if !slices.Contains(out, addr) {
			out = append(out, addr)
		}
	}
	return out
}

// depend turns depends_on into dependencies on resources. A machine is there when its guest is.
func (a *Assembler) depend(lab *schema.Lab) {
	if len(a.dependent) == 0 {
		return
	}
	byBlock := make(map[schema.Addr][]schema.Addr)
	modules := make(map[string][]schema.Addr)
	for _, r := range lab.Resources {
		if r.Addr.Type() == "vm" {
			continue
		}
		whole := r.Addr.Whole()
		byBlock[whole] = append(byBlock[whole], r.Addr)
		if block := r.Addr.Block(); block != whole {
			byBlock[block] = append(byBlock[block], r.Addr)
		}
		modules[r.Addr.Module] = append(modules[r.Addr.Module], r.Addr)
	}
	for i := range lab.Resources {
		r := &lab.Resources[i]
		for _, dep := range a.dependent[r.Addr.Whole()] {
			targets := byBlock[dep]
			if dep.Kind == "" {
				targets = nil
				for module, addrs := range modules {
					if dep.Contains(schema.Addr{Module: module, Kind: "vm"}) {
						targets = append(targets, addrs...)
					}
				}
				slices.SortFunc(targets, func(x, y schema.Addr) int { return compareText(x.String(), y.String()) })
			}
			for _, target := range targets {
				if target.Whole() != r.Addr.Whole() && !slices.Contains(r.Deps, target) {
					r.Deps = append(r.Deps, target)
				}
			}
		}
	}
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
