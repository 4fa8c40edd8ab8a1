//go:build sandbox

package natprobe_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/natprobe"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

// machine is a network namespace that plays one machine of a topology.
type machine struct {
	t  *testing.T
	ns netns.NsHandle
	nl *netlink.Handle
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t}
	err := onThread(func() (err error) {
		m.ns, err = netns.New()
		return err
	})
	if err == nil {
		m.nl, err = netlink.NewHandleAt(m.ns)
	}
	if err != nil {
		t.Fatalf("a network namespace (is this the sandbox?): %v", err)
	}
	t.Cleanup(func() { m.nl.Close(); m.ns.Close() })
	m.up("lo")
	for _, of := range []string{"all", "default"} {
		m.sysctl("net/ipv6/conf/"+of+"/accept_dad", "0") // link-local addresses can be used at once
	}
	return m
}

// onThread runs fn on a thread of its own, which ends with it, so that its namespace does too.
func onThread(fn func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
		done <- fn()
	}()
	return <-done
}

// in runs fn inside the machine. Sockets that it opens stay there.
func (m *machine) in(fn func() error) error {
	return onThread(func() error {
		if err := netns.Set(m.ns); err != nil {
			return err
		}
		return fn()
	})
}

func (m *machine) must(err error, what string) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("%s: %v", what, err)
	}
}

func (m *machine) link(name string) netlink.Link {
	m.t.Helper()
	link, err := m.nl.LinkByName(name)
	m.must(err, "link "+name)
	return link
}

func (m *machine) up(name string) {
	m.t.Helper()
	m.must(m.nl.LinkSetUp(m.link(name)), "link "+name+" up")
}

// cable joins two machines by a veth pair.
func (m *machine) cable(name string, other *machine, otherName string) {
	m.t.Helper()
	m.must(m.nl.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: otherName,
		PeerNamespace: netlink.NsFd(other.ns),
	}), "veth "+name)
	m.up(name)
	other.up(otherName)
}

// bridge adds a bridge that passes frames without asking the IP rules: where the kernel has br_netfilter, packets that
// cross the bridge would be translated on their way in, and those that have to turn round on one port are lost.
func (m *machine) bridge(name string) {
	m.t.Helper()
	if _, err := os.Stat("/proc/sys/net/bridge"); err == nil {
		m.sysctl("net/bridge/bridge-nf-call-iptables", "0")
		m.sysctl("net/bridge/bridge-nf-call-ip6tables", "0")
	}
	m.must(m.nl.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}), "bridge "+name)
	m.up(name)
}

func (m *machine) enslave(name, bridge string) {
	m.t.Helper()
	m.must(m.nl.LinkSetMaster(m.link(name), m.link(bridge)), "master of "+name)
}

// address adds an address with prefix length, with or without the route to its subnet.
func (m *machine) address(name, address string, connected bool) {
	m.t.Helper()
	addr, err := netlink.ParseAddr(address)
	m.must(err, address)
	if !connected {
		addr.Flags = 0x200 // IFA_F_NOPREFIXROUTE
	}
	if addr.IP.To4() == nil {
		addr.Flags |= 0x02 // IFA_F_NODAD: at once
	}
	m.must(m.nl.AddrAdd(m.link(name), addr), "address "+address)
}

func (m *machine) route(to, via, dev string) {
	m.t.Helper()
	_, dst, err := net.ParseCIDR(to)
	m.must(err, to)
	m.must(m.nl.RouteAdd(&netlink.Route{
		Dst: dst, Gw: net.ParseIP(via), LinkIndex: m.link(dev).Attrs().Index,
		Flags: int(netlink.FLAG_ONLINK),
	}), "route to "+to)
}

func (m *machine) sysctl(key, value string) {
	m.t.Helper()
	m.must(m.in(func() error { return os.WriteFile("/proc/sys/"+key, []byte(value), 0o644) }), "sysctl "+key)
}

// router makes m forward, and translate as n says, in place of what it did before.
func (m *machine) router(n schema.NAT) {
	m.t.Helper()
	if problems := nat.Problems(n); len(problems) > 0 {
		m.t.Fatalf("the NAT is wrong: %v", problems)
	}
	m.sysctl("net/ipv4/ip_forward", "1")
	m.sysctl("net/ipv6/conf/all/forwarding", "1")
	m.sysctl("net/ipv4/conf/all/send_redirects", "0")
	m.sysctl("net/ipv4/conf/eth0/send_redirects", "0")
	m.nft("flush ruleset\n" + nat.Compile(n))
}

func (m *machine) nft(text string) {
	m.t.Helper()
	m.must(m.in(func() error {
		_, err := host.Local{}.Run(context.Background(), host.Command{Args: []string{"nft", "-f", "-"}, Stdin: []byte(text)})
		return err
	}), "nft")
}

// run runs a command in the machine and returns what it prints.
func (m *machine) run(args ...string) string {
	m.t.Helper()
	var out host.Output
	m.must(m.in(func() (err error) {
		out, err = host.Local{}.Run(context.Background(), host.Cmd(args...))
		return err
	}), args[0])
	return string(out.Stdout)
}

// udp opens a UDP socket in the machine, on all its addresses; port 0 takes a free one.
func (m *machine) udp(port int) net.PacketConn {
	m.t.Helper()
	conn, err := m.openUDP("", port)
	m.must(err, "UDP socket")
	m.t.Cleanup(func() { conn.Close() })
	return conn
}

func (m *machine) openUDP(address string, port int) (conn net.PacketConn, err error) {
	err = m.in(func() (err error) {
		network := "udp4"
		if strings.Contains(address, ":") {
			network = "udp6"
		}
		conn, err = net.ListenPacket(network, net.JoinHostPort(address, strconv.Itoa(port)))
		return err
	})
	return conn, err
}

// plan is the addresses of a topology: the internet has a STUN server's two, each site has a subnet of its own there.
type plan struct {
	family         string // of schema.NAT
	servers        [2]netip.Addr
	nets           []string // of the sites, outside; a host's number is appended
	inside         string   // likewise, behind each router
	length, single string   // of a subnet's prefix, and of one address
	everywhere     string
}

var (
	plan4           = plan{"", [2]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}, []string{"203.0.113.", "198.51.100."}, "10.0.0.", "/24", "/32", "0.0.0.0/0"}
	plan6           = plan{nat.IPv6, [2]netip.Addr{netip.MustParseAddr("2001:db8:ffff::1"), netip.MustParseAddr("2001:db8:ffff::2")}, []string{"2001:db8:1::", "2001:db8:2::"}, "fd00::", "/64", "/128", "::/0"}
	serverAddresses = plan4.servers
	siteNets        = plan4.nets
)

// world is an internet with a STUN and a rendezvous server, and sites behind routers.
type world struct {
	t         *testing.T
	internet  *machine
	addresses [2]netip.Addr  // of the servers
	server    netip.AddrPort // STUN
	via       netip.AddrPort // rendezvous
	sites     []*site
}

// site is a router and the two hosts behind it.
type site struct {
	router  *machine
	hosts   [2]*machine
	inside  [2]string  // addresses of the hosts
	outside netip.Addr // of the router
	nat     schema.NAT // interfaces only: what every NAT of this site has in common
}

// set makes the site's router translate as n says.
func (s *site) set(n schema.NAT) {
	s.router.t.Helper()
	n.Outside, n.Inside, n.OutsideAddress, n.Family = s.nat.Outside, s.nat.Inside, s.nat.OutsideAddress, s.nat.Family
	s.router.router(n)
}

// newWorld builds sites, each with a router of one arm or two.
func newWorld(t *testing.T, oneArm ...bool) *world {
	t.Helper()
	return newWorldOf(t, plan4, oneArm...)
}

func newWorldOf(t *testing.T, p plan, oneArm ...bool) *world {
	t.Helper()
	w := &world{t: t, internet: newMachine(t), addresses: p.servers}
	w.internet.sysctl("net/ipv4/ip_forward", "1")
	w.internet.sysctl("net/ipv6/conf/all/forwarding", "1")
	for _, address := range p.servers {
		w.internet.address("lo", address.String()+p.single, true)
	}
	for i, one := range oneArm {
		w.sites = append(w.sites, w.newSite(p, i, one))
	}
	w.serve()
	return w
}

func (w *world) newSite(p plan, i int, oneArm bool) *site {
	w.t.Helper()
	s := &site{router: newMachine(w.t), outside: netip.MustParseAddr(p.nets[i] + "2")}
	port, segment := "router"+strconv.Itoa(i), "segment"+strconv.Itoa(i)
	w.internet.bridge(segment)
	w.internet.sysctl("net/ipv4/conf/"+segment+"/send_redirects", "0")
	w.internet.address(segment, p.nets[i]+"1"+p.length, true)
	w.internet.cable(port, s.router, "eth0")
	w.internet.enslave(port, segment)
	s.router.address("eth0", p.nets[i]+"2"+p.length, true)
	s.router.route(p.everywhere, p.nets[i]+"1", "eth0")
	s.nat = schema.NAT{Outside: "eth0", OutsideAddress: p.nets[i] + "2" + p.length, Family: p.family}
	gateway, net := p.nets[i]+"2", p.nets[i]
	at, attach := segment, w.internet
	if !oneArm {
		gateway, net = p.inside+"1", p.inside
		at, attach = "eth1", s.router
		s.nat.Inside = []string{"eth1"}
		s.router.bridge("eth1")
		s.router.address("eth1", p.inside+"1"+p.length, true)
	}
	for j := range s.hosts {
		s.hosts[j] = newMachine(w.t)
		s.inside[j] = net + strconv.Itoa(100+j)
		name := "host" + strconv.Itoa(i) + strconv.Itoa(j)
		attach.cable(name, s.hosts[j], "eth0")
		attach.enslave(name, at)
		s.hosts[j].address("eth0", s.inside[j]+p.length, !oneArm)
		s.hosts[j].route(p.everywhere, gateway, "eth0")
	}
	return s
}

func (w *world) serve() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var stun *natprobe.Server
	var meet *natprobe.Rendezvous
	w.internet.must(w.internet.in(func() (err error) {
		if stun, err = natprobe.ListenServer(ctx, w.addresses, [2]uint16{natprobe.STUNPort, natprobe.AlternatePort}); err != nil {
			return err
		}
		meet, err = natprobe.ListenRendezvous(ctx, netip.AddrPortFrom(w.addresses[0], 4000))
		return err
	}), "servers")
	ended := make(chan error, 2)
	go func() { ended <- stun.Serve(ctx) }()
	go func() { ended <- meet.Serve(ctx) }()
	w.server, w.via = stun.Address(), meet.Address()
	w.t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, <-ended); err != nil {
			w.t.Errorf("a server ended: %v", err)
		}
	})
}
