//go:build sandbox

package guest_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/labctl/labctl/schema"
)

// neighbour gives the far end of a machine's link a network namespace of its own, with an address and a default route.
func neighbour(t *testing.T, name, far, address, via string) netns.NsHandle {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	ns, err := netns.NewNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := netns.Set(here); err != nil {
		t.Fatal(err)
	}
	link, err := netlink.LinkByName(far)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetNsFd(link, int(ns)); err != nil {
		t.Fatal(err)
	}
	run(t, "ip", "-n", name, "link", "set", far, "up")
	run(t, "ip", "-n", name, "addr", "add", address, "dev", far)
	if via != "" {
		run(t, "ip", "-n", name, "route", "add", "default", "via", via)
	}
	t.Cleanup(func() {
		ns.Close()
		run(t, "ip", "netns", "del", name)
	})
	return ns
}

// in runs f in a network namespace.
func in(t *testing.T, ns netns.NsHandle, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := netns.Set(ns)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func natRouter(masquerade, extra string) *schema.Guest {
	return &schema.Guest{
		Domain: "x", Forwarding: true,
		Interfaces: []schema.GuestInterface{
			{Name: "eth0", MAC: mac0, Addresses: []string{"192.168.111.101/24"}, ConnectedRoute: true},
			{Name: "eth1", MAC: mac1, Addresses: []string{"10.0.0.1/24"}, ConnectedRoute: true},
		},
		Ruleset: &schema.Ruleset{Text: `table ip nat {
	chain post {
		type nat hook postrouting priority srcnat;
		oifname "eth0" ip saddr 10.0.0.0/24 ` + masquerade + `
	}
}
table inet filter {
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established accept
		` + extra + `
	}
}
`},
	}
}

// send sends one datagram, and returns how it looks when it comes out at the far side.
func sendUDP(t *testing.T, to string) {
	t.Helper()
	conn, err := net.Dial("udp", to)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Error(err)
	}
}

func TestOnlyStaleFlowsAreDropped(t *testing.T) {
	s := machine(t)
	inside := neighbour(t, "inside", "farb", "10.0.0.9/24", "10.0.0.1")
	neighbour(t, "outside", "fara", "192.168.111.200/24", "")
	converge(t, s, natRouter("masquerade", ""))
	in(t, inside, func() { sendUDP(t, "192.168.111.200:1000") }) // translated
	in(t, inside, func() { sendUDP(t, "10.0.0.1:2000") })        // to the router itself
	flows := func() string { return run(t, "conntrack", "-L", "-p", "udp") }
	translated := func(list string) bool { return strings.Contains(list, "dst=192.168.111.101") }
	own := func(list string) bool { return strings.Contains(list, "dport=2000") }
	if list := flows(); !translated(list) || !own(list) {
		t.Fatalf("the flows are not there:\n%s", list)
	}
	r := converge(t, s, natRouter("masquerade", "tcp dport 99 drop"))
	if list := flows(); r.Flows != 0 || !translated(list) || !own(list) {
		t.Errorf("a filter rule dropped %d flows:\n%s", r.Flows, list)
	}
	r = converge(t, s, natRouter("masquerade random", "tcp dport 99 drop"))
	if list := flows(); r.Flows != 1 || translated(list) || !own(list) {
		t.Errorf("a change of NAT dropped %d flows:\n%s", r.Flows, list)
	}
}

// TestConnectionsOutliveChanges changes nearly everything around a TCP connection through the router and one to it.
func TestConnectionsOutliveChanges(t *testing.T) {
	s := machine(t)
	inside := neighbour(t, "inside", "farb", "10.0.0.9/24", "10.0.0.1")
	outside := neighbour(t, "outside", "fara", "192.168.111.200/24", "")
	g := natRouter("masquerade", "")
	g.Interfaces[1].Addresses = []string{"10.0.0.5/24", "10.0.0.1/24"} // the kernel calls the second a secondary one
	converge(t, s, g)
	through := echo(t, outside, "192.168.111.200:7", inside)
	to := echo(t, 0, "10.0.0.1:7", inside)
	through("before")
	to("before")
	changes := []func(g *schema.Guest){
		func(g *schema.Guest) { g.Interfaces[1].Addresses = []string{"10.0.0.1/24"} },
		func(g *schema.Guest) { g.Interfaces[1].Addresses = []string{"10.0.0.1/24", "172.20.0.1/16"} },
		func(g *schema.Guest) { g.Interfaces[1].ConnectedRoute = false },
		func(g *schema.Guest) { g.Interfaces[1].ConnectedRoute = true },
		func(g *schema.Guest) { g.Interfaces[1].MTU = 1400 },
		func(g *schema.Guest) { g.Routes = []schema.Route{{To: "10.200.0.0/16", Via: "192.168.111.200"}} },
		func(g *schema.Guest) { g.Ruleset = natRouter("masquerade", "udp dport 53 drop").Ruleset },
		func(g *schema.Guest) { g.Sysctl = map[string]string{"net.ipv4.tcp_syncookies": "0"} },
	}
	for n, change := range changes {
		change(g)
		r := converge(t, s, g)
		if len(r.Changed) == 0 || n == 0 && len(r.Changed) != 1 {
			t.Errorf("change %d did %q", n, r.Changed)
		}
		if !g.Interfaces[1].ConnectedRoute {
			continue // the way back is cut, as declared; the connections must live on once it is there again
		}
		through(fmt.Sprintf("after change %d: %q", n, r.Changed))
		to(fmt.Sprintf("after change %d: %q", n, r.Changed))
	}
}

// echo opens a connection from one namespace to a server in another (0 is this one), and returns what proves that it lives.
func echo(t *testing.T, server netns.NsHandle, address string, client netns.NsHandle) (alive func(when string)) {
	t.Helper()
	var listener net.Listener
	listen := func() {
		var err error
		if listener, err = net.Listen("tcp", address); err != nil {
			t.Error(err)
		}
	}
	if server == 0 {
		listen()
	} else {
		in(t, server, listen)
	}
	if listener == nil {
		t.FailNow()
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		lines := bufio.NewScanner(conn)
		for lines.Scan() {
			fmt.Fprintln(conn, lines.Text())
		}
	}()
	var conn net.Conn
	in(t, client, func() {
		var err error
		if conn, err = net.DialTimeout("tcp", address, 5*time.Second); err != nil {
			t.Error(err)
		}
	})
	if conn == nil {
		t.FailNow()
	}
	t.Cleanup(func() { conn.Close() })
	lines := bufio.NewReader(conn)
	return func(when string) {
		t.Helper()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprintln(conn, "hello")
		if line, err := lines.ReadString('\n'); err != nil || line != "hello\n" {
			t.Fatalf("the connection to %s is dead %s: %v", address, when, err)
		}
	}
}

// TestSettleMendsWhatADaemonDoesLate plays a network daemon that sets what it knows after the helper has run.
func TestSettleMendsWhatADaemonDoesLate(t *testing.T) {
	s := machine(t)
	g := natRouter("masquerade", "")
	g.Interfaces[1].ConnectedRoute = false
	g.Routes = []schema.Route{{To: "default", Via: "192.168.111.1"}}
	converge(t, s, g)
	ctx, stop := context.WithCancel(t.Context())
	type end struct {
		mended int
		err    error
	}
	ended := make(chan end)
	go func() {
		mended, err := s.Settle(ctx)
		ended <- end{mended, err}
	}()
	time.Sleep(300 * time.Millisecond) // until it watches
	run(t, "ip", "addr", "add", "192.168.111.66/24", "dev", "eth0")
	run(t, "ip", "route", "replace", "default", "via", "192.168.111.7", "proto", "static")
	run(t, "ip", "route", "add", "10.0.0.0/24", "dev", "eth1", "proto", "kernel", "scope", "link", "src", "10.0.0.1")
	wrong := func() bool {
		have := snapshot(t, s, g).Guest
		return len(have.Interfaces[0].Addresses) != 1 || have.Interfaces[1].ConnectedRoute || len(have.Routes) != 1 || have.Routes[0].Via != "192.168.111.1"
	}
	for end := time.Now().Add(5 * time.Second); wrong(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not mended: %+v", snapshot(t, s, g).Guest)
		}
	}
	stop()
	if e := <-ended; e.err != nil || e.mended == 0 {
		t.Errorf("%+v", e)
	}
}

// TestWhatAnotherTableLearntStays changes one table beside one that packets have filled.
func TestWhatAnotherTableLearntStays(t *testing.T) {
	s := machine(t)
	const learns = "table ip learns {\n\tmap seen {\n\t\ttype ipv4_addr : inet_service\n\t\tflags dynamic,timeout\n\t\tsize 9\n\t}\n" +
		"\tchain c {\n\t\ttype filter hook output priority filter\n\t\tcounter\n\t}\n}\n"
	beside := func(tables string) *schema.Guest {
		g := natRouter("masquerade", "")
		g.Ruleset = &schema.Ruleset{Text: learns + tables}
		return g
	}
	one := "table inet one {\n\tchain c {\n\t\ttcp dport 1 drop\n\t}\n}\n"
	two := "table inet two {\n\tchain c {\n\t\ttcp dport 2 drop\n\t}\n}\n"
	converge(t, s, beside(one))
	run(t, "nft", "add element ip learns seen { 10.0.0.9 timeout 1h : 4321 }")
	sendUDP(t, "10.0.0.1:2000")
	counted := run(t, "nft", "list", "chain", "ip", "learns", "c")
	if strings.Contains(counted, "packets 0 ") {
		t.Fatalf("nothing was counted:\n%s", counted)
	}
	for _, change := range [][2]string{
		{"a rule changes", strings.Replace(one, "1 drop", "3 drop", 1)}, {"a table comes", one + two}, {"one goes", two}, {"all others go", ""},
	} {
		what := change[0]
		converge(t, s, beside(change[1]))
		if list := run(t, "nft", "list", "map", "ip", "learns", "seen"); !strings.Contains(list, ": 4321") {
			t.Errorf("%s, and what was learnt is lost:\n%s", what, list)
		}
		if now := run(t, "nft", "list", "chain", "ip", "learns", "c"); now != counted {
			t.Errorf("%s, and the counters began again:\n%s", what, now)
		}
	}
	// What is kept for the next boot is all of it: from nothing, it comes up as declared.
	run(t, "nft", "flush", "ruleset")
	if _, err := s.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, snapshot(t, s, beside("")), beside(""))
}
