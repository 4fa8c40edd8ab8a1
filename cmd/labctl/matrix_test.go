package main

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/config"
	"github.com/labctl/labctl/schema/table"
)

// innerArgument is one argument of what is in a machine, or some of one block, through its life: it is given, changed and taken
// away. The domain's own arguments have their matrix in provider/libvirt.
type innerArgument struct {
	args         string // by their paths in the table of blocks
	in           string // the interface that it is in, "" for the machine itself
	give, change string // HCL
	paths        string // of what the plans name
	left         bool   // it stays as it is once it is not declared
}

func insideMatrix() []innerArgument {
	return []innerArgument{
		{"hostname", "", `hostname = "alpha"`, `hostname = "omega"`, "hostname", false},
		{"nameservers", "", `nameservers = ["10.40.0.1"]`, `nameservers = ["10.40.0.1", "10.40.0.2"]`, "nameservers", false},
		{"search", "", `search = ["a.test"]`, `search = ["b.test"]`, "search", false},
		{"hosts", "", `hosts = { "10.40.0.1" = "gw" }`, `hosts = { "10.40.0.1" = ["gw", "router"] }`, "hosts", false},
		{"forwarding", "", `forwarding = true`, `forwarding = true`, "forwarding", false},
		{"sysctl", "", `sysctl = { "net.ipv4.tcp_syncookies" = 0 }`, `sysctl = { "net.ipv4.tcp_syncookies" = 2 }`, "sysctl", false},
		{"nftables", "", `nftables = [nftables.one]`, `nftables = [nftables.two]`, "table inet filter", false},
		{"file.content file.mode file.owner", "", "file \"/etc/x\" {\ncontent = \"a\"\nmode = \"0600\"\n}", "file \"/etc/x\" {\ncontent = \"b\"\nmode = \"0640\"\nowner = \"1:1\"\n}", "file", false},
		{"interface.addresses", "eth0", `addresses = ["10.40.0.10/24"]`, `addresses = ["10.40.0.10/24", "10.40.0.11/24", "fd00:40::10/64"]`, "interface.eth0.addresses", false},
		{"interface.nameservers", "eth1", `nameservers = ["10.46.0.1"]`, `nameservers = ["10.46.0.2"]`, "nameservers", false},
		{"interface.connected_route", "eth1", "addresses = [\"10.46.0.10/24\"]\nconnected_route = false", `addresses = ["10.46.0.10/24"]`, "interface.eth1.", false},
		{"interface.dhcp4", "eth2", `dhcp4 = true`, `addresses = ["10.47.0.10/24"]`, "interface.eth2.", false},
		{"interface.accept_ra", "eth3", `accept_ra = true`, `accept_ra = false`, "interface.eth3.accept_ra", true},
		{
			"interface.impair.direction interface.impair.delay interface.impair.jitter interface.impair.loss interface.impair.duplicate interface.impair.reorder interface.impair.rate", "eth1",
			"impair {\ndirection = \"out\"\ndelay = \"2ms\"\njitter = \"1ms\"\nloss = 0.5\nduplicate = 0.5\nreorder = 0.5\nrate = \"100mbit\"\n}",
			"impair {\ndirection = \"in\"\ndelay = \"4ms\"\njitter = \"2ms\"\nloss = 1\nduplicate = 1\nreorder = 1\nrate = \"200mbit\"\n}", "interface.eth1.impair", false,
		},
		{"route.via route.metric", "", "route \"10.50.0.0/16\" {\nvia = \"10.40.0.1\"\nmetric = 50\n}", "route \"10.50.0.0/16\" {\nvia = \"10.40.0.2\"\nmetric = 60\n}", `route[\"10.50.0.0/16\"`, false},
		{"route.type", "", "route \"10.51.0.0/16\" {\ntype = \"blackhole\"\n}", "route \"10.51.0.0/16\" {\ntype = \"unreachable\"\n}", `route[\"10.51.0.0/16\"`, false},
		{
			"route.interface route.on_link", "", "route \"10.52.0.0/16\" {\nvia = \"10.99.0.1\"\ninterface = \"eth0\"\non_link = true\n}",
			"route \"10.52.0.0/16\" {\nvia = \"10.99.0.2\"\ninterface = \"eth1\"\non_link = true\n}", `route[\"10.52.0.0/16\"`, false,
		},
		{
			"route.table route.source", "", "route \"10.53.0.0/16\" {\nvia = \"10.40.0.1\"\ntable = 100\nsource = \"10.40.0.10\"\n}",
			"route \"10.53.0.0/16\" {\nvia = \"10.40.0.1\"\ntable = 101\nsource = \"10.40.0.11\"\n}", `route[\"10.53.0.0/16 table`, false,
		},
	}
}

// insideElsewhere names where the rest is taken through its life.
func insideElsewhere(path string) string {
	switch {
	case strings.HasPrefix(path, "nat"):
		return "internal/natprobe, which measures what each word does, and the example nat-matrix, which changes them live"
	case path == "packages", path == "user_data", strings.HasPrefix(path, "ssh."):
		return "the first boot alone: the Debian guest of provider/image"
	case path == "interface.dhcp6":
		return "internal/guest/native: a micro guest has no DHCPv6 client"
	case path == "interface.impair.on":
		return "provider/libvirt, which gives the host's end of a link a rate"
	case path == "host":
		return "schema/config, which knows where a machine stands"
	}
	return ""
}

// insideLab is the lab with the arguments as pick says.
func insideLab(pick func(innerArgument) string) string {
	var lab strings.Builder
	lab.WriteString("lab \"inside\" {}\nimage \"micro\" {\nbuild = \"micro\"\n}\nbridge \"br0\" {\naddresses = [\"10.40.0.1/24\"]\n}\nbridge \"br1\" {}\n")
	for name, port := range map[string]string{"one": "22", "two": "80"} {
		fmt.Fprintf(&lab, "nftables %q {\ntable \"inet\" \"filter\" {\nchain \"input\" {\nhook = \"input\"\nrules = [\"tcp dport %s accept\"]\n}\n}\n}\n", name, port)
	}
	lab.WriteString("vm \"a\" {\nimage = image.micro\n")
	write := func(in string) {
		for _, row := range insideMatrix() {
			if row.in == in {
				lab.WriteString(pick(row) + "\n")
			}
		}
	}
	for name, bridge := range map[string]string{"eth0": "br0", "eth1": "br1", "eth2": "br1", "eth3": "br1"} {
		fmt.Fprintf(&lab, "interface %q {\nbridge = bridge.%s\n", name, bridge)
		write(name)
		lab.WriteString("}\n")
	}
	write("")
	lab.WriteString("}\n")
	return lab.String()
}

func nothing(innerArgument) string     { return "" }
func given(row innerArgument) string   { return row.give }
func changed(row innerArgument) string { return row.change }
func stages() []func(innerArgument) string {
	return []func(innerArgument) string{nothing, given, changed, nothing}
}

// TestInsideMatrixIsWhole goes through the table of blocks: every argument of a machine that its domain has not needs a row, so
// that none comes without; and every stage is a lab.
func TestInsideMatrixIsWhole(t *testing.T) {
	rows := map[string]bool{}
	for _, row := range insideMatrix() {
		for _, arg := range strings.Fields(row.args) {
			rows[arg] = true
		}
	}
	n := 0
	notInDomain(table.Root().Block("vm"), "", reflect.TypeFor[schema.Domain](), func(path string) {
		n++
		elsewhere := insideElsewhere(path)
		if rows[path] == (elsewhere != "") {
			t.Errorf("%s: it has a row: %t, and is elsewhere: %q", path, rows[path], elsewhere)
		}
		delete(rows, path)
	})
	for path := range rows {
		t.Errorf("%s is no argument of what is in a machine", path)
	}
	if n < 30 {
		t.Errorf("only %d arguments were found", n)
	}
	for i, stage := range stages() {
		text := insideLab(stage)
		_, diags := config.Load("lab", config.Options{Overlay: map[string][]byte{"lab/lab.hcl": []byte(text)}})
		if diags.HasErrors() {
			_ = session.WriteDiagnostics(t.Output(), &session.Options{}, diags, nil)
			t.Errorf("stage %d is refused:\n%s", i, text)
		}
	}
}

// notInDomain calls f with the path of each argument of the block for which the type has no field.
func notInDomain(b *table.Block, prefix string, typ reflect.Type, f func(path string)) {
	field := func(name string) (reflect.Type, bool) {
		for typ != nil && (typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer) {
			typ = typ.Elem()
		}
		if typ == nil || typ.Kind() != reflect.Struct {
			return nil, false
		}
		for i := range typ.NumField() {
			if tag, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ","); tag == name {
				return typ.Field(i).Type, true
			}
		}
		return nil, false
	}
	for i := range b.Attrs {
		a := &b.Attrs[i]
		if _, there := field(a.Name); !there && !a.Computed && a.Type != table.Static && prefix+a.Name != "linked" && a.Name != "for_each" && a.Name != "count" {
			f(prefix + a.Name)
		}
	}
	for i := range b.Blocks {
		kind := b.Blocks[i].Kind
		inner, _ := field(kind)
		if kind == "impair" { // the domain has what is done at the host's end
			inner = nil
		}
		if kind != "lifecycle" {
			notInDomain(&b.Blocks[i], prefix+kind+".", inner, f)
		}
	}
}
