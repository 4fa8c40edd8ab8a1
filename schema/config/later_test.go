package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/schema"
)

const leasing = `
lab "x" {}
image "i" {
  source = "/x.qcow2"
}
bridge "br0" {
  addresses = ["10.1.0.1/24"]
}
network "lan" {
  addresses = ["10.2.0.1/24"]
}
vm "a" {
  image = image.i
  interface "eth0" {
    network = network.lan
    dhcp4   = true
  }
  interface "eth1" {
    bridge    = bridge.br0
    addresses = ["10.1.0.2/24"]
  }
  graphics {}
  graphics {
    type = "spice"
  }
  serial {}
  serial {
    type = "tcp"
    path = "127.0.0.1:4444"
  }
  console {
    target = "virtio"
  }
}
vm "b" {
  image = image.i
  interface "eth0" {
    network = network.lan
    dhcp4   = true
  }
}
vm "off" {
  image   = image.i
  running = false
  interface "eth0" {
    network = network.lan
    dhcp4   = true
  }
  graphics {}
}
`

// facts are what is known of the machines above once they run.
func facts() map[schema.Addr]*schema.Facts {
	return map[schema.Addr]*schema.Facts{
		{Kind: "vm", Name: "a"}: {
			Leases:  map[string][]string{"eth0": {"10.2.0.17/24", "fd00::17/128"}},
			Screens: []string{"vnc://127.0.0.1:5900", "spice://127.0.0.1:5901"}, Serials: []string{"/dev/pts/1", ""}, Consoles: []string{"/dev/pts/2"},
		},
		{Kind: "vm", Name: "b"}: {},
	}
}

// TestOutputsOfWhatIsKnownLater: an output waits for what is known only while a machine runs, and has it then.
func TestOutputsOfWhatIsKnownLater(t *testing.T) {
	for name, test := range map[string]struct {
		value          string
		pending, stays bool
		want           any // once the machines run
	}{
		"a lease":               {"vm.a.interface.eth0.leases", true, false, []any{"10.2.0.17/24", "fd00::17/128"}},
		"its address":           {"vm.a.interface.eth0.ip", true, false, "10.2.0.17"},
		"in a text":             {`"http://${vm.a.interface.eth0.ip}/"`, true, false, "http://10.2.0.17/"},
		"a declared address":    {"vm.a.interface.eth1.ip", false, false, "10.1.0.2"},
		"a machine's":           {"vm.a.ip", false, false, "10.1.0.2"},
		"a machine's from DHCP": {"vm.b.ip", true, true, nil},
		"a screen":              {"vm.a.graphics[1].address", true, false, "spice://127.0.0.1:5901"},
		"all screens":           {"vm.a.graphics[*].address", true, false, []any{"vnc://127.0.0.1:5900", "spice://127.0.0.1:5901"}},
		"a terminal":            {"vm.a.serial[0].pty", true, false, "/dev/pts/1"},
		"a socket":              {"vm.a.serial[1].pty", false, false, nil},
		"a console":             {"vm.a.console[0].pty", true, false, "/dev/pts/2"},
		"of a machine off":      {"[vm.off.ip, vm.off.interface.eth0.leases, vm.off.graphics[0].address]", false, false, []any{nil, nil, nil}},
		"by way of a local":     {"local.address", true, false, "10.2.0.17"},
		"none yet":              {"vm.b.interface.eth0.leases", true, true, nil},
		"what is known of it":   {"vm.a.interface.eth0.mac == vm.a.interface.eth0.mac", false, false, true},
		"in all machines":       {"[for m in [vm.a, vm.b] : m.name]", false, false, []any{"x-a", "x-b"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"lab.hcl": leasing + "locals {\n  address = vm.a.interface.eth0.ip\n}\noutput \"o\" {\n  value = " + test.value + "\n}\n"})
			before := load(t, dir, Options{}).Lab.Outputs[0]
			if before.Pending != test.pending || test.pending && before.Value != nil {
				t.Errorf("before an apply it is %+v", before)
			}
			after := load(t, dir, Options{Facts: facts()}).Lab.Outputs[0]
			if after.Pending != test.stays {
				t.Errorf("after an apply it is %+v", after)
			}
			if d := cmp.Diff(test.want, after.Value); d != "" {
				t.Errorf("after an apply (-want +got):\n%s", d)
			}
		})
	}
}

// TestModulesGiveWhatIsKnownLater: it comes out of a module by its outputs, and stays secret where it is.
func TestModulesGiveWhatIsKnownLater(t *testing.T) {
	dir := write(t, map[string]string{
		"lab.hcl": "lab \"x\" {}\nmodule \"m\" {\n  source = \"./m\"\n}\noutput \"o\" {\n  value = module.m.address\n  sensitive = true\n}\n",
		"m/m.hcl": `
network "lan" {
  existing = true
}
image "i" {
  source = "/x.qcow2"
}
vm "a" {
  image = image.i
  interface "eth0" {
    network = network.lan
    dhcp4   = true
  }
}
output "address" {
  value = vm.a.ip
}
`,
	})
	if o := load(t, dir, Options{}).Lab.Outputs[0]; !o.Pending || !o.Sensitive {
		t.Errorf("%+v", o)
	}
	addr := schema.Addr{Module: "module.m", Kind: "vm", Name: "a"}
	o := load(t, dir, Options{Facts: map[schema.Addr]*schema.Facts{addr: {Leases: map[string][]string{"eth0": {"10.0.0.9/24"}}}}}).Lab.Outputs[0]
	if o.Pending || !o.Sensitive || o.Value != "10.0.0.9" {
		t.Errorf("%+v", o)
	}
}

// TestKnownLaterIsForOutputsAlone: wherever a plan would depend on it, it is refused, once and at its place.
func TestKnownLaterIsForOutputsAlone(t *testing.T) {
	for name, test := range map[string]struct{ text, at string }{
		"an argument":      {"vm \"c\" {\n  image = image.i\n  description = vm.a.interface.eth0.ip\n}\n", "vm.a.interface.eth0.ip"},
		"in a text":        {"vm \"c\" {\n  image = image.i\n  description = \"${vm.b.ip}:80\"\n}\n", "vm.b.ip"},
		"a list":           {"bridge \"br1\" {\n  addresses = vm.a.interface.eth0.leases\n}\n", "vm.a.interface.eth0.leases"},
		"a file":           {"vm \"c\" {\n  image = image.i\n  file \"/f\" {\n    content = jsonencode(vm.a.interface)\n  }\n}\n", "The value"},
		"for_each":         {"vm \"c\" {\n  image = image.i\n  for_each = toset(vm.a.interface.eth0.leases)\n}\n", "vm.a.interface.eth0.leases"},
		"count":            {"vm \"c\" {\n  image = image.i\n  count = length(vm.a.interface.eth0.leases)\n}\n", "vm.a.interface.eth0.leases"},
		"a dynamic block":  {"vm \"c\" {\n  image = image.i\n  dynamic \"graphics\" {\n    for_each = vm.a.interface.eth0.leases\n    content {\n      type = \"vnc\"\n    }\n  }\n}\n", "The value"},
		"a local":          {"locals {\n  l = vm.b.ip\n}\nvm \"c\" {\n  image = image.i\n  description = local.l\n}\n", "local.l"},
		"a check":          {"check \"k\" {\n  ping {\n    from = vm.a\n    to = vm.b.ip\n  }\n}\n", "vm.b.ip"},
		"an endpoint":      {"check \"k\" {\n  tcp {\n    from = vm.a\n    to = { address = vm.b.ip, port = 1 }\n  }\n}\n", "vm.b.ip"},
		"a precondition":   {"vm \"c\" {\n  image = image.i\n  lifecycle {\n    precondition {\n      condition = vm.b.ip != \"\"\n      error_message = \"m\"\n    }\n  }\n}\n", "vm.b.ip"},
		"a postcondition":  {"vm \"c\" {\n  image = image.i\n  graphics {}\n  lifecycle {\n    postcondition {\n      condition = self.graphics[0].address != \"\"\n      error_message = \"m\"\n    }\n  }\n}\n", "self.graphics[0].address"},
		"twice, told once": {"vm \"c\" {\n  count = 2\n  image = image.i\n  description = vm.b.ip\n}\n", "vm.b.ip"},
	} {
		t.Run(name, func(t *testing.T) {
			got := said(t, write(t, map[string]string{"lab.hcl": leasing + test.text}), Options{})
			if strings.Count(got, "Error:") != 1 || !strings.Contains(got, "LAB0112") || !strings.Contains(got, "Error: "+test.at+" is known only after an apply") {
				t.Errorf("%s", got)
			}
		})
	}
}

// TestMachinesAreReferableBefore: whole machines are referred to, whatever of them is known later.
func TestMachinesAreReferableBefore(t *testing.T) {
	res := load(t, write(t, map[string]string{"lab.hcl": leasing + `
locals {
  machines = { a = vm.a, b = vm.b }
}
vm "c" {
  for_each    = local.machines
  image       = image.i
  description = each.value.interface.eth0.mac
}
check "k" {
  ping {
    from = vm.b
    to   = vm.a
  }
}
`}), Options{})
	if n := len(res.Lab.Resources); n != 3+2*5 {
		t.Errorf("%d resources", n)
	}
}
