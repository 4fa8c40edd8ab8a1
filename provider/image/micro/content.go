package micro

// program is something that the guest can run.
type program struct {
	name     string // base name, looked for in the usual folders
	pkg      string // Debian package that brings it
	required bool
}

// programs are what is copied from this machine.
var programs = [...]program{
	{"busybox", "busybox-static", true},
	{"qemu-ga", "qemu-guest-agent", true},
	{"nft", "nftables", true},
	{"ip", "iproute2", true},
	{"conntrack", "conntrack", true},
	{"ncat", "ncat", true},
	{"tc", "iproute2", false},
	{"tcpdump", "tcpdump", false},
}

// tools are the programs of the building machine that a build runs.
var tools = [...]program{
	{"mke2fs", "e2fsprogs", true},
	{"qemu-img", "qemu-utils", true},
	{"zstd", "zstd", true},
}

// programDirs are where programs are looked for.
var programDirs = [...]string{"/usr/bin", "/usr/sbin", "/bin", "/sbin"}

// modules are the kernel modules that the guest may need, as patterns of path.Match below /lib/modules/RELEASE/kernel.
// What they need comes along. Those that a kernel does not have are left out.
var modules = [...]string{
	// The machine: QEMU's virtio devices, power button, watchdog, clock.
	"drivers/virtio/virtio_pci", "drivers/virtio/virtio_balloon", "drivers/virtio/virtio_mmio",
	"drivers/block/virtio_blk", "drivers/net/virtio_net", "drivers/char/virtio_console",
	"drivers/char/hw_random/virtio-rng", "drivers/acpi/button", "drivers/input/evdev",
	"drivers/watchdog/i6300esb", "drivers/scsi/virtio_scsi", "drivers/scsi/sd_mod",
	"drivers/net/ethernet/intel/e1000/e1000", "drivers/net/ethernet/intel/e1000e/e1000e", "drivers/net/ethernet/realtek/8139cp",
	// File systems.
	"fs/isofs/isofs", "fs/ext4/ext4", "fs/fuse/virtiofs", "fs/fuse/fuse", "fs/9p/9p", "net/9p/9pnet_virtio",
	// Links.
	"net/bridge/bridge", "net/8021q/8021q", "drivers/net/veth", "drivers/net/dummy", "drivers/net/tun", "drivers/net/ifb",
	"drivers/net/vxlan/vxlan", "drivers/net/macvlan", "drivers/net/vrf", "drivers/net/wireguard/wireguard",
	"net/ipv4/ip_gre", "net/ipv4/ipip", "net/ipv6/sit", "drivers/net/bonding/bonding", "net/packet/af_packet",
	// Impaired links.
	"net/sched/sch_netem", "net/sched/sch_tbf", "net/sched/sch_htb", "net/sched/sch_ingress", "net/sched/sch_fq_codel",
	"net/sched/cls_u32", "net/sched/cls_matchall", "net/sched/act_mirred",
	// nftables, NAT and connection tracking.
	"net/netfilter/nf_tables*", "net/netfilter/nft_*", "net/netfilter/nfnetlink*", "net/netfilter/nf_conntrack*",
	"net/netfilter/nf_nat*", "net/netfilter/nf_log*", "net/netfilter/nf_flow_table*", "net/netfilter/nf_conncount",
	"net/ipv4/netfilter/nft_*", "net/ipv4/netfilter/nf_*", "net/ipv6/netfilter/nft_*", "net/ipv6/netfilter/nf_*",
	"net/bridge/netfilter/nft_*", "net/bridge/netfilter/nf_*",
	// crc32c for ext4's journal and libcrc32c, where they are modules.
	"arch/x86/crypto/crc32c-intel", "crypto/crc32c_generic",
}

// applets that the guest does not get although BusyBox has them: a full program stands in their place, or they make no
// sense in a guest that lives in memory.
var withoutApplets = [...]string{
	"ip", "init", "linuxrc", "poweroff", "reboot", "halt", "dpkg", "dpkg-deb", "rpm", "rpm2cpio", "busybox", "ipneigh",
}
