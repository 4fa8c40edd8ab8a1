package machine

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// running is a machine that runs with 512 MiB, two of three processors on, and a virtio disk.
func running() *Machine {
	x := &libvirtxml.Domain{
		OS:      &libvirtxml.DomainOS{Type: &libvirtxml.DomainOSType{Machine: "pc-q35-7.2"}},
		Memory:  &libvirtxml.DomainMemory{Value: 512 << 10},
		VCPU:    &libvirtxml.DomainVCPU{Value: 3, Current: 2},
		Devices: &libvirtxml.DomainDeviceList{},
	}
	return &Machine{Running: true, Active: true, Live: x, Defined: x, LiveBody: &schema.Domain{VCPUs: 2}}
}

// row is one line of the page: an argument and a change of it.
type row struct {
	path, what string
	old, new   any
	want       schema.Domain // as far as the cost depends on it
}

func rows() []row {
	disk := func(bus string) any { return map[string]any{"bus": bus} }
	number := func(n int) any { return json.Number(fmt.Sprint(n)) }
	list := []row{
		{path: "memory", what: "up to max_memory", want: schema.Domain{Memory: 256 << 20}},
		{path: "memory", what: "above what it was started with", want: schema.Domain{Memory: 1 << 30}},
		{path: "vcpus", what: "more, up to max_vcpus", want: schema.Domain{VCPUs: 3}},
		{path: "vcpus", what: "more than it was started with", want: schema.Domain{VCPUs: 4}},
		{path: "vcpus", what: "fewer", want: schema.Domain{VCPUs: 1}},
		{path: "cdrom", what: "another disc", old: "a", new: "b"},
		{path: "cdrom", what: "added, removed", new: "b"},
		{path: "interface.eth0", what: "added, removed"},
		{path: "disk.data", what: "added, removed, on virtio", new: disk("virtio")},
		{path: "disk.data", what: "added, removed, on SATA", new: disk("sata")},
		{path: "disk.data", what: "the first on SCSI or USB", new: disk("scsi")},
		{path: "disk.data.size", what: "grown", old: number(1), new: number(2)},
	}
	for _, name := range fields(schema.NIC{}, "Name", "Impair") {
		list = append(list, row{path: "interface.eth0." + name, what: "changed"})
	}
	for _, name := range fields(schema.Disk{}, "Name", "Size") {
		list = append(list, row{path: "disk.data." + name, what: "changed"})
	}
	for _, name := range fields(schema.Domain{}, "Memory", "VCPUs", "CDROM", "Interfaces", "Disks") {
		list = append(list, row{path: name, what: "changed"})
	}
	return list
}

// fields are the JSON names of a struct's fields, so that none is forgotten that comes later.
func fields(of any, without ...string) (names []string) {
	typ := reflect.TypeOf(of)
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "-" && !strings.Contains(" "+strings.Join(without, " ")+" ", " "+field.Name+" ") {
			names = append(names, name)
		}
	}
	return names
}

const (
	page  = "../../../docs/changes.md"
	begin = "<!-- The table is made by UPDATE=1 go test ./provider/libvirt/machine -->\n"
	end   = "<!-- The table ends. -->\n"
)

// TestPage holds the page that says what each change costs against what the plan says.
func TestPage(t *testing.T) {
	var table strings.Builder
	table.WriteString("| argument of `vm` | change | cost | why |\n| --- | --- | --- | --- |\n")
	for _, r := range rows() {
		effect, why, err := effectOf(provider.Detail{Path: r.path, Old: r.old, New: r.new}, running(), &r.want)
		if err != nil {
			t.Fatalf("%s: %v", r.path, err)
		}
		if (effect == provider.Live) != (why == "") {
			t.Errorf("%s %s: %s, and it says why: %q", r.path, r.what, effect, why)
		}
		name := strings.NewReplacer("disk.data", "disk", "interface.eth0", "interface").Replace(r.path)
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", name, r.what, effect, why)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	old, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatal("the page has no place for the table")
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(page, []byte(before+begin+table.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if old != table.String() {
		t.Errorf("docs/changes.md is stale: run UPDATE=1 go test ./provider/libvirt/machine\n%s", table.String())
	}
}

// TestShrinkIsRefused: what is at a disk's end would be lost.
func TestShrinkIsRefused(t *testing.T) {
	d := provider.Detail{Path: "disk.data.size", Old: json.Number("2"), New: json.Number("1")}
	if _, _, err := effectOf(d, running(), &schema.Domain{}); err == nil {
		t.Error("a disk is made smaller")
	}
}
