package table

func vm() Block {
	var attrs []Attr
	for _, group := range [][]Attr{vmAttrs(), vmHardware(), vmSystem()} {
		attrs = append(attrs, group...)
	}
	return Block{
		Kind: "vm", Meta: true, Referable: true,
		Labels: []Label{{Name: "label", Doc: "The name in the lab, as in vm.LABEL."}},
		Doc:    "A virtual machine: a libvirt domain, and what the system inside it is configured to.",
		Attrs:  attrs,
		Blocks: append(vmBlocks(), vmDevices()...),
		Example: `vm "router" {
  image = image.micro
  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["192.168.111.101/24"]
  }
  route "default" {
    via = bridge.br0.ip
  }
}`,
	}
}

func vmAttrs() []Attr {
	return []Attr{
		{Name: "name", Type: String, Doc: "The domain's name: LAB-LABEL where it is left out, LAB-LABEL-KEY under for_each and count."},
		hostAttr(),
		{Name: "description", Type: String, Doc: "What the machine is for, kept in the domain."},
		{Name: "running", Type: Bool, Default: "true", Doc: "Whether the machine is on."},
		{Name: "autostart", Type: Bool, Default: "false", Doc: "Whether libvirt starts the machine when it starts itself."},
		{Name: "image", Type: Ref, Ref: "image", Doc: "The image to start from; the machine's own disk is an overlay on it."},
		{Name: "clone", Type: String, Doc: "The name of a stopped domain to start as a copy of."},
		{Name: "linked", Type: Bool, Default: "false", Doc: "With clone: overlays on the other's disks instead of full copies."},
		{Name: "cdrom", Type: Path, Doc: "An ISO image to boot an installer from."},
		{Name: "memory", Type: Size, Unit: "bytes", Derived: "512MiB; 128MiB with a micro image; what os_variant needs", Min: ptr(16 << 20), Doc: "The machine's memory."},
		{Name: "max_memory", Type: Size, Unit: "bytes", Doc: "How far memory may grow while the machine runs; memory where it is left out."},
		{Name: "vcpus", Type: Int, Default: "1", Min: ptr(1), Max: ptr(4096), Doc: "The number of processors. os_variant may need more."},
		{Name: "max_vcpus", Type: Int, Min: ptr(1), Max: ptr(4096), Doc: "How far vcpus may grow while the machine runs."},
		{Name: "ip", Type: String, Computed: true, Later: true, Doc: "The first declared address of the first interface that has one, without its prefix length; where none has, the first that a DHCP server gave."},
		idAttr(),
	}
}

func vmHardware() []Attr {
	return []Attr{
		{Name: "cpu", Type: String, Doc: "host-passthrough, host-model, maximum, or a model's name."},
		{Name: "machine", Type: String, Derived: "q35, or what os_variant has drivers for", Doc: "The machine type: q35, pc, or one with a version."},
		{Name: "arch", Type: String, Doc: "The processor architecture; the host's own where it is left out."},
		{Name: "virt", Type: String, Enum: []string{"auto", "kvm", "qemu"}, Default: `"auto"`, Doc: "kvm uses the processor, qemu emulates one; auto uses KVM where it is proved to work on the host."},
		{Name: "firmware", Type: String, Enum: []string{"bios", "uefi"}, Doc: "What the machine starts with."},
		{Name: "os_variant", Type: OS, Doc: "The operating system's short name in libosinfo's database, as debian11. What is not declared is then what that system has drivers for and needs: machine, firmware, memory, vcpus, the bus of disks, the model of interfaces, the size of a disk that says none, tpm; and besides, as plans show under system: the hardware clock, the video card, the USB controller, one socket of several cores, Hyper-V's interfaces. The database is the package osinfo-db on the machine that runs labctl."},
		{Name: "xml", Type: String, Doc: "A fragment of libvirt domain XML that is merged into the domain: the way out for what has no argument."},
	}
}

func vmSystem() []Attr {
	return []Attr{
		{Name: "hostname", Type: String, Derived: "the block's label, with -KEY under for_each", Doc: "The name that the system inside goes by."},
		{Name: "nameservers", Type: IP, Coll: List, Doc: "DNS servers that the machine asks."},
		{Name: "search", Type: String, Coll: List, Doc: "DNS search domains."},
		{Name: "hosts", Type: Any, Coll: Map, Doc: "Names by address, as in hosts(5): one name or a list of names for each address."},
		{Name: "forwarding", Type: Bool, Default: "false", Doc: "Whether the machine is a router. One with a single interface then also stops sending ICMP redirects (net.ipv4.conf.all and of the interface: send_redirects = 0), which would lead its neighbours past it."},
		{Name: "sysctl", Type: Text, Coll: Map, Doc: "Kernel settings by dotted name."},
		{Name: "nftables", Type: Ref, Coll: List, Ref: "nftables", Contents: true, Doc: "The machine's rules, each an nftables block. With this, nat or nat6 the whole ruleset of the machine is the lab's; with neither it is left alone."},
		{Name: "packages", Type: String, Coll: List, Doc: "Packages to install on first boot."},
		{Name: "user_data", Type: String, Doc: "Further cloud-init user data for the first boot."},
	}
}

func vmBlocks() []Block {
	return []Block{
		iface(), route("the machine", []Attr{{Name: "interface", Type: String, Doc: "The interface to leave by; found from via where it is left out."}}), nat(), nat6(),
		{Kind: "disk", Labels: []Label{{Name: "name", Doc: "The disk's name; root is the machine's own disk."}},
			Doc: "A disk. It grows in place; making it smaller is refused.",
			Attrs: []Attr{
				{Name: "size", Type: Size, Unit: "bytes", Doc: "Its size; for root, at least the image's. Where os_variant says what a system needs, it may be left out."},
				{Name: "format", Type: String, Enum: []string{"qcow2", "raw"}, Default: `"qcow2"`, Doc: "Its format."},
				{Name: "bus", Type: String, Enum: []string{"virtio", "scsi", "sata", "ide", "usb"}, Default: `"virtio"`, Doc: "How it is attached. os_variant may choose another."},
				{Name: "source", Type: Path, Doc: "An existing file or block device; where it is left out, the disk is made in the lab's own folder."},
				{Name: "readonly", Type: Bool, Default: "false", Doc: "Whether the machine may only read it."},
				{Name: "shareable", Type: Bool, Default: "false", Doc: "Whether several machines may use it at once."},
				{Name: "boot_order", Type: Int, Min: ptr(1), Doc: "Its place among the devices tried at boot, from 1."},
			}},
		{Kind: "boot", Count: AtMost1, Doc: "How the machine boots, where the image leaves it open.", Attrs: []Attr{
			{Name: "kernel", Type: Path, Doc: "A kernel on the host to boot directly."},
			{Name: "initrd", Type: Path, Doc: "Its initial ramdisk."},
			{Name: "cmdline", Type: String, Doc: "Its command line."},
			{Name: "order", Type: String, Coll: List, Enum: []string{"hd", "cdrom", "network"}, Doc: "The kinds of device to try, in order."},
		}},
		{Kind: "file", Labels: []Label{{Name: "path", Doc: "Where it stands in the machine: an absolute path."}},
			Doc: "A file in the machine.",
			Attrs: []Attr{
				{Name: "content", Type: String, Required: true, Doc: "What is in it."},
				{Name: "mode", Type: String, Default: `"0644"`, Doc: "Its permissions in octal."},
				{Name: "owner", Type: String, Default: `"root:root"`, Doc: "USER or USER:GROUP."},
			}},
		{Kind: "ssh", Count: AtMost1, Doc: "How people log in, set up on first boot.", Attrs: []Attr{
			{Name: "user", Type: String, Doc: "The user to make; the image's own default user where it is left out."},
			{Name: "authorized_keys", Type: String, Coll: List, Doc: "Public keys that may log in."},
		}},
		{Kind: "timeouts", Count: AtMost1, Doc: "How long labctl waits.", Attrs: []Attr{
			{Name: "boot", Type: Duration, Unit: "s", Doc: "For the machine to boot."},
			{Name: "agent", Type: Duration, Unit: "s", Doc: "For its guest agent to answer."},
			{Name: "shutdown", Type: Duration, Unit: "s", Doc: "For it to shut down before it is switched off."},
		}},
	}
}

func iface() Block {
	return Block{
		Kind: "interface", Labels: []Label{{Name: "name", Doc: "The interface's name in the machine, at most 15 characters."}},
		Doc: "A network card, and how the system inside configures it.",
		Attrs: []Attr{
			{Name: "bridge", Type: Ref, Ref: "bridge", Doc: "The bridge that it is plugged into: a bridge block, or the name of a bridge that the host has."},
			{Name: "network", Type: Ref, Ref: "network", Doc: "The libvirt network that it is plugged into, instead of a bridge."},
			{Name: "mac", Type: MAC, Derived: "made from lab, machine and interface", Doc: "Its MAC address."},
			{Name: "model", Type: String, Default: `"virtio"`, Doc: "The card: virtio, e1000, e1000e, rtl8139, …. os_variant may choose another."},
			{Name: "pci", Type: String, Doc: "Its PCI address in the machine, as 0000:00:03.0."},
			{Name: "mtu", Type: Int, Unit: "bytes", Min: ptr(68), Max: ptr(65535), Doc: "The largest packet."},
			{Name: "link", Type: String, Enum: []string{"up", "down"}, Default: `"up"`, Doc: "Whether the cable is plugged in."},
			{Name: "addresses", Type: Address, Coll: List, Doc: "Its addresses."},
			{Name: "dhcp4", Type: Bool, Default: "false", Doc: "Whether it asks for an IPv4 address."},
			{Name: "dhcp6", Type: Bool, Default: "false", Doc: "Whether it asks for an IPv6 address."},
			{Name: "accept_ra", Type: Bool, Doc: "Whether it takes router advertisements."},
			{Name: "nameservers", Type: IP, Coll: List, Doc: "DNS servers that the machine asks after its own nameservers. A system asks servers whatever interface they are behind."},
			{Name: "connected_route", Type: Bool, Default: "true", Doc: "Whether its addresses bring a route to their own subnets. Where false, even neighbours are reached through the gateway."},
			{Name: "ip", Type: String, Computed: true, Later: true, Doc: "The first of addresses without its prefix length; where there are none and it asks for some, the first of leases."},
			{Name: "leases", Type: Address, Coll: List, Computed: true, Later: true, Doc: "The addresses that it was given by a libvirt network or another DHCP server, or has by router advertisements, IPv4 first."},
		},
		Blocks: []Block{{
			Kind: "impair", Count: AtMost1, Doc: "Makes the link worse. It is done in the machine, whose kernel must have sch_netem, and ifb for what arrives; or at the host's end of the link (on).",
			Attrs: []Attr{
				{Name: "on", Type: String, Enum: []string{"guest", "host"}, Default: `"guest"`, Doc: "Where it is done. In the machine all of it can be done, both ways, and it is there again after every boot. At the host's end, what arrives at the machine can be given a rate, whatever its own kernel can or its users change; after somebody else than labctl starts the machine, the next apply puts it back."},
				{Name: "direction", Type: String, Enum: []string{"in", "out"}, Doc: "Just what arrives at the machine, or just what it sends; both where it is left out, so that a delay counts twice in a round trip."},
				{Name: "delay", Type: Duration, Unit: "ms", Doc: "How much later each packet arrives."},
				{Name: "jitter", Type: Duration, Unit: "ms", Doc: "By how much that varies."},
				{Name: "loss", Type: Number, Unit: "%", Min: ptr(0), Max: ptr(100), Doc: "Packets that are lost."},
				{Name: "duplicate", Type: Number, Unit: "%", Min: ptr(0), Max: ptr(100), Doc: "Packets that arrive twice."},
				{Name: "reorder", Type: Number, Unit: "%", Min: ptr(0), Max: ptr(100), Doc: "Packets that overtake others."},
				{Name: "rate", Type: Rate, Unit: "bit/s", Doc: "The most that passes."},
			},
		}},
	}
}
