package memory_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/memory"
	"github.com/labctl/labctl/provider/providertest"
	"github.com/labctl/labctl/schema"
)

func machine(edit func(*schema.Domain)) schema.Resource {
	d := &schema.Domain{
		Name: "lab-a", Running: true, Memory: 128 << 20, VCPUs: 1,
		Interfaces: []schema.NIC{{Name: "eth0", Bridge: "br0", MAC: "52:54:00:00:00:01", Model: "virtio", Link: "up"}},
	}
	edit(d)
	return schema.Resource{Addr: schema.Addr{Kind: "vm", Name: "a"}, Deps: []schema.Addr{{Kind: "bridge", Name: "br0"}}, Body: d}
}

func harness(*testing.T) providertest.Harness {
	system := new(memory.System)
	want := machine(func(*schema.Domain) {})
	down := false
	foreign := memory.Entry{Type: "vm", ID: "lab-a", Body: &schema.Domain{Name: "lab-a", Memory: 1 << 30}}
	return providertest.Harness{
		Lab: "lab",
		New: func() provider.Provider {
			p := memory.New(system)
			p.Down = func(schema.Addr) error {
				if down {
					return errors.New("no answer")
				}
				return nil
			}
			return p
		},
		Want: want,
		Variants: []providertest.Variant{
			{Name: "bridge", Want: machine(func(d *schema.Domain) { d.Interfaces[0].Bridge = "br1" }), Action: provider.Update, Paths: []string{"interface.eth0.bridge"}},
			{Name: "memory", Want: machine(func(d *schema.Domain) { d.Memory *= 2 }), Action: provider.Restart, Paths: []string{"memory"}},
			{Name: "name", Want: machine(func(d *schema.Domain) { d.Name = "other" }), Action: provider.Replace, Paths: []string{"name"}},
		},
		Foreign: func() error { return system.Put(foreign) },
		Survives: func() error {
			list := system.Entries()
			if len(list) != 1 || list[0].Mark.Lab != "" || len(provider.Diff(list[0].Body, foreign.Body)) > 0 {
				return fmt.Errorf("there is %+v", list)
			}
			return nil
		},
		Mutate: func() error { return system.Change(want.Addr, func(b any) { b.(*schema.Domain).VCPUs = 4 }) },
		Lose:   func() error { return system.Lose(want.Addr) },
		Down:   func() (func(), error) { down = true; return func() { down = false }, nil },
		Gone: func() error {
			if left := system.Entries(); len(left) > 0 {
				return fmt.Errorf("%+v", left)
			}
			return nil
		},
	}
}

func TestContract(t *testing.T) { providertest.Run(t, harness) }

func TestSystemOutlivesItsProcessAsJSON(t *testing.T) {
	system := new(memory.System)
	p := memory.New(system)
	want := machine(func(*schema.Domain) {})
	if err := p.Apply(t.Context(), "lab", provider.Change{Addr: want.Addr, Action: provider.Create, Want: &want}); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(system)
	if err != nil {
		t.Fatal(err)
	}
	again := new(memory.System)
	if err := json.Unmarshal(text, again); err != nil {
		t.Fatal(err)
	}
	objects, err := memory.New(again).Read(t.Context(), "lab", nil)
	if err != nil || len(objects) != 1 {
		t.Fatalf("%+v, %v", objects, err)
	}
	if c, err := p.Plan(&want, &objects[0]); err != nil || c.Action != provider.NoOp {
		t.Errorf("%+v, %v", c, err)
	}
}
