package schema

// Domain is the libvirt half of a vm block: the machine. What is inside it is its Guest. Sizes are bytes.
type Domain struct {
	Name        string       `json:"name"`
	Description string       `json:"description,omitempty"`
	Running     bool         `json:"running"`
	Autostart   bool         `json:"autostart,omitempty"`
	Image       *ImageRef    `json:"image,omitempty"`
	Clone       *Clone       `json:"clone,omitempty"`
	CDROM       string       `json:"cdrom,omitempty"` // path of an ISO
	Memory      uint64       `json:"memory"`
	MaxMemory   uint64       `json:"max_memory,omitempty"`
	VCPUs       int          `json:"vcpus"`
	MaxVCPUs    int          `json:"max_vcpus,omitempty"`
	CPU         string       `json:"cpu,omitempty"`     // "", "host-passthrough", "host-model", "maximum" or a model's name
	Machine     string       `json:"machine,omitempty"` // "q35", "pc", or a versioned machine type
	Arch        string       `json:"arch,omitempty"`
	Virt        string       `json:"virt,omitempty"`     // "auto", "kvm" or "qemu" as declared; a live domain's is "kvm" or "qemu"
	Firmware    string       `json:"firmware,omitempty"` // "bios" or "uefi"
	OSVariant   string       `json:"os_variant,omitempty"`
	OSID        string       `json:"os_id,omitempty"` // os_variant's identity in libosinfo's database
	System      System       `json:"system,omitzero"`
	Boot        Boot         `json:"boot,omitzero"`
	Disks       []Disk       `json:"disk,omitempty"`
	Interfaces  []NIC        `json:"interface,omitempty"`
	Consoles    []CharDevice `json:"console,omitempty"`
	Serials     []CharDevice `json:"serial,omitempty"`
	Channels    []CharDevice `json:"channel,omitempty"`
	Graphics    []Graphics   `json:"graphics,omitempty"`
	RNG         *RNG         `json:"rng,omitempty"`
	TPM         *TPM         `json:"tpm,omitempty"`
	Filesystems []Filesystem `json:"filesystem,omitempty"`
	HostDevs    []HostDev    `json:"hostdev,omitempty"`
	Watchdog    *Watchdog    `json:"watchdog,omitempty"`
	XML         string       `json:"xml,omitempty"` // libvirt XML fragment merged into the domain
	Timeouts    Timeouts     `json:"timeouts,omitzero"`

	// Seed is the guest's configuration, put on the seed disc so that the first boot comes up converged. It is not
	// compared here (the Guest resource is), and it is linked again by Lab.Link after decoding JSON.
	Seed *Guest `json:"-"`
}

// System is what a machine is given for the sake of the operating system that os_variant names, and what no argument says.
type System struct {
	Clock  string `json:"clock,omitempty"`  // what the hardware clock shows: "utc" or "localtime"
	Video  string `json:"video,omitempty"`  // model of the video card; "" where there is no screen
	USB    string `json:"usb,omitempty"`    // model of the USB controller; "" where nothing is on it
	Cores  bool   `json:"cores,omitempty"`  // the processors are cores of one socket, and not a socket each
	HyperV bool   `json:"hyperv,omitempty"` // KVM offers Hyper-V's interfaces too
}

// OSDefaults is what libosinfo's database says that an operating system wants of a machine.
type OSDefaults struct {
	ID, Name string // "http://debian.org/debian/11", "Debian 11"
	Machine  string // "q35" or "pc"; "" on other architectures
	Firmware string // "uefi" where it starts from nothing else
	Disk     string // bus of its disks
	NIC      string // model of its cards
	Memory   uint64 // bytes; 0 where the database does not say
	VCPUs    int    // likewise
	Storage  uint64 // bytes of its root disk; likewise
	TPM      bool   // it does not install without one
	System   System
}

// ImageRef is the image that a domain starts from.
type ImageRef struct {
	Addr  Addr   `json:"address,omitzero"`
	Key   string `json:"key"`             // folder in labctl's pool
	Build string `json:"build,omitempty"` // as Image.Build
}

// Clone is an existing, stopped domain that a domain starts as a copy of.
type Clone struct {
	From   string `json:"from"`
	Linked bool   `json:"linked,omitempty"` // overlays instead of full copies
}

// Boot is how a domain boots. Empty fields leave it to the image.
type Boot struct {
	Kernel  string   `json:"kernel,omitempty"`
	Initrd  string   `json:"initrd,omitempty"`
	Cmdline string   `json:"cmdline,omitempty"`
	Order   []string `json:"order,omitempty"` // "hd", "cdrom", "network"
}

// Disk is one disk beside the image's own. The disk named "root" is the image's own, and may be given a size.
type Disk struct {
	Name      string `json:"name"`
	Size      uint64 `json:"size,omitempty"`   // bytes
	Source    string `json:"source,omitempty"` // path of an existing file or block device; "" makes one in the lab's folder
	Format    string `json:"format,omitempty"` // "qcow2" or "raw"
	Bus       string `json:"bus,omitempty"`    // "virtio", "scsi", "sata", "ide", "usb"
	ReadOnly  bool   `json:"readonly,omitempty"`
	Shareable bool   `json:"shareable,omitempty"`
	BootOrder int    `json:"boot_order,omitempty"`
}

// NIC is one network card of a domain, as libvirt sees it.
type NIC struct {
	Name    string `json:"name"`              // label of the interface block, and the interface's name in the guest
	Bridge  string `json:"bridge,omitempty"`  // name of the host's bridge
	Network string `json:"network,omitempty"` // name of the libvirt network; exactly one of both
	MAC     string `json:"mac"`
	Model   string `json:"model"`
	PCI     string `json:"pci,omitempty"` // "0000:00:03.0"
	MTU     int    `json:"mtu,omitempty"`
	Link    string `json:"link"`            // "up" or "down"
	Impair  Impair `json:"impair,omitzero"` // done by the host's kernel, on its end of the card
}

// Impair makes a link worse, as tc-netem(8) does. Zero values impair nothing.
type Impair struct {
	On        string  `json:"on,omitempty"`        // "host": at the host's end; "" or "guest": in the machine
	Direction string  `json:"direction,omitempty"` // "in": just what arrives, "out": just what is sent; "": both
	DelayMS   float64 `json:"delay,omitempty"`     // milliseconds
	JitterMS  float64 `json:"jitter,omitempty"`    // milliseconds
	Loss      float64 `json:"loss,omitempty"`      // percent
	Duplicate float64 `json:"duplicate,omitempty"` // percent
	Reorder   float64 `json:"reorder,omitempty"`   // percent
	Rate      uint64  `json:"rate,omitempty"`      // bits per second
}

// CharDevice is a console, serial port or channel.
type CharDevice struct {
	Type   string `json:"type"`             // "pty", "unix", "file", "tcp"
	Target string `json:"target,omitempty"` // console: "serial" or "virtio"; channel: the port's name
	Path   string `json:"path,omitempty"`
}

// Graphics is a screen that a person can connect to.
type Graphics struct {
	Type   string `json:"type"`             // "vnc" or "spice"
	Listen string `json:"listen,omitempty"` // address, default 127.0.0.1
	Port   int    `json:"port,omitempty"`   // 0 lets libvirt choose
}

// RNG is a source of randomness for the guest.
type RNG struct {
	Source string `json:"source"` // "/dev/urandom"
}

// TPM is an emulated trusted platform module.
type TPM struct {
	Version string `json:"version"` // "2.0" or "1.2"
	Model   string `json:"model,omitempty"`
}

// Filesystem is a folder of the host seen in the guest.
type Filesystem struct {
	Source   string `json:"source"`
	Target   string `json:"target"` // mount tag
	Driver   string `json:"driver"` // "virtiofs" or "9p"
	ReadOnly bool   `json:"readonly,omitempty"`
}

// HostDev is a device of the host handed to the guest.
type HostDev struct {
	PCI string `json:"pci,omitempty"`
	USB string `json:"usb,omitempty"` // "vendor:product" in hexadecimal
}

// Watchdog restarts or stops a guest that hangs.
type Watchdog struct {
	Model  string `json:"model"`
	Action string `json:"action"`
}

// Timeouts are deadlines in seconds; 0 is the default.
type Timeouts struct {
	Boot     float64 `json:"boot,omitempty"`
	Agent    float64 `json:"agent,omitempty"`
	Shutdown float64 `json:"shutdown,omitempty"`
}
