package table

func host() Block {
	return Block{
		Kind: "host", LabelOptional: true, RootOnly: true, Referable: true,
		Labels: []Label{{Name: "name", Doc: "Left out for the only host. Where there are several, every bridge, network, image and vm says which one with host."}},
		Doc:    "The machine that carries the lab. Without this block it is this machine.",
		Attrs: []Attr{
			{Name: "uri", Type: String, Default: `"qemu:///system"`, Doc: "The libvirt connection, made on the host itself."},
			{Name: "ssh", Type: String, Doc: "USER@HOST, with :PORT where it is not 22: the host is that machine, and labctl carries its commands out there. The files of the lab are read here, and paths of images, kernels, disks and folders are the host's but for files in the lab's own folder, which go along. Left out, the host is this machine."},
			{Name: "forwarding", Type: Bool, Doc: "Whether the host routes packets between its interfaces: net.ipv4.ip_forward and net.ipv6.conf.all.forwarding."},
			{Name: "nftables", Type: Ref, Coll: List, Ref: "nftables", Contents: true, Doc: "Rulesets to load on the host, each an nftables block. The lab owns the tables that they define and no others."},
			{Name: "sysctl", Type: Text, Coll: Map, Doc: "Kernel settings by dotted name."},
			idAttr(),
		},
		Example: `host {
  forwarding = true
}`,
	}
}

func idAttr() Attr {
	return Attr{Name: "id", Type: String, Computed: true, Doc: "The block's address, as in bridge.br0."}
}

func hostAttr() Attr {
	return Attr{Name: "host", Type: Ref, Ref: "host", Doc: "The host that carries it, where the lab has several."}
}

func bridge() Block {
	attrs := []Attr{
		{Name: "name", Type: String, Doc: "The interface's name, at most 15 characters. The block's label where it is left out, with -KEY under for_each."},
		hostAttr(),
		{Name: "addresses", Type: Address, Coll: List, Doc: "Addresses of the host on the bridge."},
		{Name: "interfaces", Type: String, Coll: List, Doc: "Interfaces of the host that become ports of the bridge."},
		{Name: "mtu", Type: Int, Unit: "bytes", Min: ptr(68), Max: ptr(65535), Doc: "The largest packet."},
		{Name: "mac", Type: MAC, Doc: "The bridge's own MAC address."},
		{Name: "nameservers", Type: IP, Coll: List, Doc: "DNS servers that the host asks by way of this bridge."},
		{Name: "search", Type: String, Coll: List, Doc: "DNS search domains."},
		{Name: "dhcp4", Type: Bool, Default: "false", Doc: "Whether the host asks for an IPv4 address on the bridge."},
		{Name: "dhcp6", Type: Bool, Default: "false", Doc: "Whether the host asks for an IPv6 address on the bridge."},
		{Name: "accept_ra", Type: Bool, Doc: "Whether the host takes router advertisements on the bridge."},
		{Name: "link_local", Type: String, Coll: List, Enum: []string{"ipv4", "ipv6"}, Doc: "Families that get a link-local address; an empty list for none."},
	}
	attrs = append(attrs, stpAttrs()...)
	attrs = append(attrs,
		Attr{Name: "masquerade", Type: Bool, Default: "false", Doc: "Whether traffic that leaves the host from this bridge's subnets gets the host's own address. Traffic between subnets of the lab never does."},
		Attr{Name: "optional", Type: Bool, Default: "false", Doc: "Whether the host's boot goes on without waiting for the bridge."},
		Attr{Name: "renderer", Type: String, Enum: []string{"networkd", "NetworkManager"}, Doc: "What netplan configures the bridge with; the host's default where it is left out."},
		Attr{Name: "ip", Type: String, Computed: true, Doc: "The first of addresses without its prefix length."},
		idAttr(),
	)
	return Block{
		Kind: "bridge", Meta: true, Referable: true,
		Labels: []Label{{Name: "label", Doc: "The name in the lab, as in bridge.LABEL."}},
		Doc:    "A Linux bridge on the host, made by netplan and so there again after a reboot.",
		Attrs:  attrs,
		Blocks: []Block{route("the host", nil)},
		Example: `bridge "br0" {
  addresses = ["192.168.111.1/24"]
}`,
	}
}

func stpAttrs() []Attr {
	return []Attr{
		{Name: "stp", Type: Bool, Doc: "Whether the bridge speaks the spanning tree protocol."},
		{Name: "forward_delay", Type: Duration, Unit: "s", Doc: "How long a port listens and learns before it forwards."},
		{Name: "hello_time", Type: Duration, Unit: "s", Doc: "Time between two hello packets."},
		{Name: "max_age", Type: Duration, Unit: "s", Doc: "How old a hello packet may be."},
		{Name: "ageing_time", Type: Duration, Unit: "s", Doc: "How long a MAC address that is not seen again is remembered."},
		{Name: "priority", Type: Int, Min: ptr(0), Max: ptr(65535), Doc: "The bridge's priority; the lowest becomes the root."},
		{Name: "path_cost", Type: Int, Coll: Map, Doc: "Cost of each port, by interface."},
		{Name: "port_priority", Type: Int, Coll: Map, Min: ptr(0), Max: ptr(63), Doc: "Priority of each port, by interface."},
	}
}

// route is a route block; on a machine, which has several interfaces, it may name one.
func route(where string, iface []Attr) Block {
	return Block{
		Kind: "route", Labels: []Label{{Name: "to", Doc: "A prefix, default (0.0.0.0/0) or default6 (::/0)."}},
		Doc: "A route of " + where + ".",
		Attrs: append(iface, []Attr{
			{Name: "via", Type: IP, Doc: "The gateway."},
			{Name: "metric", Type: Int, Min: ptr(0), Doc: "Among routes to the same place the lowest wins."},
			{Name: "table", Type: Int, Min: ptr(0), Doc: "The routing table; the main one where it is left out."},
			{Name: "on_link", Type: Bool, Doc: "Whether via is taken to be a neighbour though no connected route says so. It is true by itself where via is in the subnet of an interface with connected_route = false."},
			{Name: "source", Type: IP, Doc: "The address to send from."},
			{Name: "type", Type: String, Enum: []string{"unicast", "blackhole", "unreachable", "prohibit"}, Doc: "What is done with the packets; unicast sends them on."},
		}...),
	}
}

func network() Block {
	return Block{
		Kind: "network", Meta: true, Referable: true,
		Labels: []Label{{Name: "label", Doc: "The name in the lab, as in network.LABEL."}},
		Doc:    "A libvirt network, for interfaces that want one: an existing one such as default, or one of the lab's own.",
		Attrs: []Attr{
			{Name: "name", Type: String, Doc: "The network's name in libvirt. For an existing one the block's label, else LAB-LABEL."},
			hostAttr(),
			{Name: "existing", Type: Bool, Default: "false", Doc: "Whether it is there already; then it is only referred to, and never made, changed or deleted."},
			{Name: "mode", Type: String, Enum: []string{"nat", "route", "open", "isolated"}, Default: `"nat"`, Doc: "How its machines reach the outside."},
			{Name: "bridge", Type: String, Doc: "The name of the bridge that libvirt makes for it."},
			{Name: "domain", Type: String, Doc: "The DNS domain of its machines."},
			{Name: "mtu", Type: Int, Unit: "bytes", Min: ptr(68), Max: ptr(65535), Doc: "The largest packet."},
			{Name: "autostart", Type: Bool, Default: "false", Doc: "Whether libvirt starts it when it starts itself."},
			{Name: "addresses", Type: Address, Coll: List, Doc: "Addresses of the host on it."},
			idAttr(),
		},
		Blocks: []Block{
			{Kind: "dhcp", Doc: "Addresses that its DHCP server gives out.", Attrs: []Attr{
				{Name: "start", Type: IP, Required: true, Doc: "The first."},
				{Name: "end", Type: IP, Required: true, Doc: "The last."},
			}},
			{Kind: "lease", Doc: "An address kept for one machine.", Attrs: []Attr{
				{Name: "mac", Type: MAC, Required: true, Doc: "The machine's MAC address."},
				{Name: "ip", Type: IP, Required: true, Doc: "Its address."},
				{Name: "name", Type: String, Doc: "Its name."},
			}},
			{Kind: "dns", Doc: "Names that its DNS server answers.", Attrs: []Attr{
				{Name: "ip", Type: IP, Required: true, Doc: "The address."},
				{Name: "names", Type: String, Coll: List, Required: true, Doc: "Its names."},
			}},
		},
		Example: `network "default" {
  existing = true
}`,
	}
}

func image() Block {
	return Block{
		Kind: "image", Meta: true, Referable: true,
		Labels: []Label{{Name: "label", Doc: "The name in the lab, as in image.LABEL."}},
		Doc:    "What machines start from. It is fetched or built once, verified, kept in labctl's pool and shared by all labs.",
		Attrs: []Attr{
			{Name: "source", Type: String, Doc: "A path, or an http or https URL, of a disk image; .gz, .xz and .zst are unpacked."},
			{Name: "checksum", Type: String, Doc: "sha256:… or sha512:… of the file as fetched."},
			{Name: "format", Type: String, Enum: []string{"qcow2", "raw"}, Doc: "The disk's format; found out where it is left out."},
			{Name: "build", Type: String, Enum: []string{"micro", "debian"}, Doc: "Made by labctl instead of fetched: micro is a guest of a few megabytes from this machine's own packages that is up in seconds, debian a whole Debian."},
			{Name: "packages", Type: String, Coll: List, Doc: "Further Debian packages, for build = \"debian\"."},
			hostAttr(), idAttr(),
		},
		Example: `image "micro" {
  build = "micro"
}`,
	}
}
