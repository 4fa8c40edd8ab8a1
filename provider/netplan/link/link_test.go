package link

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/schema"
)

// printed is what iproute2 6.1 prints for a bridge with a port and a tap, as far as it matters here.
const printed = `[{"ifname":"lo","flags":["LOOPBACK","UP"],"mtu":65536,"addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host"}]},
{"ifname":"br0","flags":["BROADCAST","UP"],"mtu":1400,"address":"42:4d:10:98:ff:2c","linkinfo":{"info_kind":"bridge","info_data":{"forward_delay":400,"hello_time":150,"max_age":2000,"ageing_time":30000,"stp_state":1,"priority":4096,"bridge_id":"1000.42:4d","root_id":"0800.aa:bb"}},
"addr_info":[{"family":"inet","local":"192.168.111.1","prefixlen":24,"scope":"global"},{"family":"inet","local":"10.3.0.7","prefixlen":8,"scope":"global","dynamic":true},{"family":"inet6","local":"fe80::1","prefixlen":64,"scope":"link"},{"family":"inet6","local":"fd00::1","prefixlen":64,"scope":"global","tentative":true}]},
{"ifname":"eth1","master":"br0","mtu":1500,"linkinfo":{"info_kind":"veth","info_slave_kind":"bridge","info_slave_data":{"priority":20,"cost":50}}},
{"ifname":"bond0","linkinfo":{"info_kind":"bond","info_data":{"priority":"x"}}}]
[{"dst":"10.5.0.0/16","gateway":"192.168.111.101","dev":"br0","protocol":"4","metric":5,"flags":["linkdown","onlink"]},
{"dst":"10.6.0.0/16","dev":"br0","scope":"253","flags":[]},
{"type":"6","dst":"10.7.0.0/16","protocol":"4","flags":[]},
{"dst":"default","gateway":"fd00::9","dev":"br0","protocol":"4","metric":1024,"flags":[],"pref":"medium"},
{"dst":"10.8.0.1","dev":"br0","table":"77","protocol":"4","flags":[]},
{"dst":"192.168.111.0/24","dev":"br0","protocol":"2","flags":[]},{"dst":"10.9.0.0/16","dev":"br0","protocol":"12","flags":[]}]`

func TestView(t *testing.T) {
	view, err := parseView([]byte(printed))
	if err != nil {
		t.Fatal(err)
	}
	b := schema.Bridge{Name: "br0", Addresses: []string{"192.168.111.1/24"}, MTU: 1500, STP: new(false), Interfaces: []string{"eth1", "eth9"},
		HelloTime: new(7.0), PathCost: map[string]int{"eth1": 1}, Routes: []schema.Route{{To: "fd01::/16", Source: "fd00::1"}, {To: "fd02::/16", Source: "fd00::2"}}}
	want := &schema.Bridge{Priority: new(1), AgeingTime: new(1.0), PortPriority: map[string]int{"eth1": 1, "eth9": 1},
		Routes: []schema.Route{{To: "10.7.0.0/16", Type: "blackhole"}}}
	Overlay(&b, want, view)
	live := schema.Bridge{Name: "br0", Addresses: []string{"192.168.111.1/24", "fd00::1/64"}, MTU: 1400, STP: new(true), Interfaces: []string{"eth1"},
		HelloTime: new(7.0), // another bridge is the root, so the kernel shows that one's timers
		Priority:  new(4096), AgeingTime: new(300.0), PathCost: map[string]int{"eth1": 50}, PortPriority: map[string]int{"eth1": 20},
		Routes: []schema.Route{
			{To: "10.5.0.0/16", Via: "192.168.111.101", Metric: 5, OnLink: true}, {To: "10.6.0.0/16"},
			{To: "10.7.0.0/16", Type: "blackhole"}, {To: "default6", Via: "fd00::9"}, {To: "10.8.0.1/32", Table: 77},
			{To: "fd01::/16", Source: "fd00::1"}, // its source is tentative
		}}
	if diff := cmp.Diff(live, b); diff != "" {
		t.Error(diff)
	}
	gone := schema.Bridge{Name: "br1", Addresses: []string{"10.0.0.1/8"}, MTU: 1400, DHCP4: true}
	Overlay(&gone, nil, view)
	if diff := cmp.Diff(schema.Bridge{Name: "br1", DHCP4: true}, gone); diff != "" {
		t.Error(diff)
	}
}

func TestSettings(t *testing.T) {
	view, err := parseView([]byte(printed))
	if err != nil {
		t.Fatal(err)
	}
	view.Links["br0"].Bridge.Root = true
	want := &schema.Bridge{Name: "br0", MTU: 9000, MAC: "52:54:00:00:00:01", STP: new(false), ForwardDelay: new(4.0), HelloTime: new(2.5),
		Interfaces: []string{"eth1", "bond0", "gone0"}, PathCost: map[string]int{"eth1": 7}}
	before := &schema.Bridge{MTU: 1400, MaxAge: new(8.0), Priority: new(4096)}
	wantArgs := [][]string{
		{"link", "set", "dev", "br0", "mtu", "9000"},
		{"link", "set", "dev", "br0", "address", "52:54:00:00:00:01"},
		{"link", "set", "dev", "br0", "type", "bridge", "stp_state", "0", "hello_time", "250", "priority", "32768"},
		{"link", "set", "dev", "eth1", "type", "bridge_slave", "cost", "7"},
		{"link", "set", "dev", "bond0", "master", "br0"},
	}
	if diff := cmp.Diff(wantArgs, Settings(want, before, view)); diff != "" {
		t.Error(diff)
	}
	if none := Settings(&schema.Bridge{Name: "br0"}, &schema.Bridge{}, view); none != nil {
		t.Errorf("with nothing declared: %v", none)
	}
}

func TestRoutesMatch(t *testing.T) {
	live := NormalRoute(schema.Route{To: "fd00::/16", Via: "FD00::1", Metric: 1024, Interface: "br0"})
	for declared, same := range map[schema.Route]bool{
		{To: "fd00::1/16", Via: "fd00:0::1"}: true, {To: "fd00::/16", Via: "fd00::2"}: false, {To: "fd00::/16", Via: "fd00::1", Metric: 5}: false,
		{To: "fd00::/16", Via: "fd00::1", Table: 254}: true, {To: "fd00::/16", Via: "fd00::1", OnLink: true}: true,
	} {
		if Matches(declared, live) != same {
			t.Errorf("%+v", declared)
		}
	}
}
