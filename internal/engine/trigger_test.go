package engine_test

import (
	"testing"

	"github.com/labctl/labctl/internal/engine"
	"github.com/labctl/labctl/schema"
)

func TestReplaceTriggeredByArgument(t *testing.T) {
	r := newRig(t)
	on := func() *schema.Lab {
		return lifecycle(small(), "vm.a", schema.Lifecycle{ReplaceOnArgument: []schema.Argument{{Addr: at("bridge.br0"), Path: "mtu"}}})
	}
	r.apply(on(), engine.PlanOptions{})
	p := r.plan(with(on(), "bridge.br0", func(b *schema.Bridge) { b.Optional = true }), engine.PlanOptions{})
	r.expect(p, "update bridge.br0")
	p = r.plan(with(on(), "bridge.br0", func(b *schema.Bridge) { b.MTU = 1400 }), engine.PlanOptions{})
	r.expect(p, "update bridge.br0", "replace vm.a", "verify vm.a.guest")
	if why := p.Item(at("vm.a")).Why; why != "replace_triggered_by: mtu of bridge.br0 changes" {
		t.Errorf("why: %q", why)
	}
}
