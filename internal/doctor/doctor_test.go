package doctor_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/doctor"
	"github.com/labctl/labctl/internal/host"
)

// machine is a host that answers as the test says; a command or file that is not there fails.
type machine struct {
	output  map[string]string // by command line, or by the program's name for the question whether it is there
	files   map[string]string
	refuses bool // writing
}

func (m machine) Run(_ context.Context, c host.Command) (host.Output, error) {
	line := strings.Join(c.Args, " ")
	if c.Args[0] == "sh" && strings.Contains(c.Args[2], "command -v") {
		line = "has " + c.Args[4]
	} else if c.Args[0] == "sh" && c.Args[3] == "find" {
		line = "find " + c.Args[4]
	} else if c.Args[0] == "sh" {
		line = "free"
	}
	out, ok := m.output[line]
	if !ok {
		return host.Output{}, &host.CommandError{Args: c.Args, Exit: 1, Stderr: line + " fails", Err: errors.New("exit status 1")}
	}
	return host.Output{Stdout: []byte(out)}, nil
}

func (m machine) ReadFile(_ context.Context, path string) ([]byte, error) {
	text, ok := m.files[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

func (m machine) WriteFile(context.Context, string, []byte, fs.FileMode) error {
	if m.refuses {
		return fs.ErrPermission
	}
	return nil
}

func (m machine) Remove(context.Context, string) error { return nil }

func healthy() machine {
	m := machine{output: map[string]string{
		"free": "10737418240\n", "nft -j list tables": `{"nftables":[{"table":{}}]}`, "nft -j list chains": `{"nftables":[]}`,
		"networkctl --no-legend list": "", "find /data": "", "find /data/images": "",
		"ls /sys/class/net": "lo\neth0\n", "ethtool -k lo": "large-receive-offload: off [fixed]\n", "ethtool -k eth0": "large-receive-offload: off\n",
	}, files: map[string]string{"/proc/meminfo": "MemTotal: 1 kB\nMemAvailable: 4194304 kB\n"}}
	for _, name := range []string{"qemu-system-x86_64", "qemu-img", "virsh", "nft", "netplan", "ip", "mke2fs", "dpkg-query", "networkctl", "ethtool"} {
		m.output["has "+name] = ""
	}
	return m
}

func patient(m machine) doctor.Patient {
	return doctor.Patient{
		Host: m, Root: "/data",
		Libvirt: func(context.Context) (string, error) { return "libvirt 9.0.0", nil },
		KVM:     func(context.Context) (bool, string, error) { return true, "a guest booted", nil },
	}
}

func TestHealthyHost(t *testing.T) {
	findings := doctor.Examine(t.Context(), patient(healthy()))
	if len(findings) < 10 || doctor.Worst(findings) != doctor.Good {
		t.Errorf("got %+v", findings)
	}
}

// TestWideProfile: AppArmor as Debian sets it up is no illness, nor is an addition of the administrator's.
func TestWideProfile(t *testing.T) {
	for profile, local := range map[string]string{"  /**.qcow{,2} r,\n": "", "  /srv/** r,\n": "/data/** r,\n"} {
		m := healthy()
		m.files["/sys/module/apparmor/parameters/enabled"] = "Y\n"
		m.files["/etc/apparmor.d/usr.lib.libvirt.virt-aa-helper"] = profile
		m.files["/etc/apparmor.d/local/usr.lib.libvirt.virt-aa-helper"] = local
		if findings := doctor.Examine(t.Context(), patient(m)); doctor.Worst(findings) != doctor.Good {
			t.Errorf("with %q and %q: %+v", profile, local, findings)
		}
	}
}

func TestEachIllnessIsFoundAlone(t *testing.T) {
	for _, test := range []struct {
		name   string
		infect func(*doctor.Patient, machine)
		where  string
		grade  doctor.Grade
		says   []string
	}{
		{"no qemu", func(_ *doctor.Patient, m machine) {
			delete(m.output, "has qemu-img")
			delete(m.output, "has qemu-system-x86_64")
		},
			"programs", doctor.Bad, []string{"qemu-system-x86_64, qemu-img", "apt-get install --no-install-recommends qemu-system-x86 qemu-utils"}},
		{"no libvirtd", func(p *doctor.Patient, _ machine) {
			p.Libvirt = func(context.Context) (string, error) { return "", errors.New("no socket\nthere") }
		}, "libvirt", doctor.Bad, []string{"no socket: there", "systemctl start libvirtd"}},
		{"no KVM", func(p *doctor.Patient, _ machine) {
			p.KVM = func(context.Context) (bool, string, error) { return false, "it hangs", nil }
		}, "KVM", doctor.Warn, []string{"it hangs", "emulated"}},
		{"no networkd", func(_ *doctor.Patient, m machine) { delete(m.output, "networkctl --no-legend list") },
			"netplan", doctor.Bad, []string{"neither", "systemctl enable --now systemd-networkd"}},
		{"no rights on rules", func(_ *doctor.Patient, m machine) { delete(m.output, "nft -j list tables") },
			"nftables", doctor.Bad, []string{"fails", "root"}},
		{"Docker", func(_ *doctor.Patient, m machine) {
			m.output["nft -j list chains"] = `{"nftables":[{"chain":{"family":"ip","table":"filter","name":"FORWARD","hook":"forward","policy":"drop"}},{"chain":{"family":"ip","table":"filter","name":"DOCKER-USER"}}]}`
		}, "forwarding", doctor.Warn, []string{"Docker drops", "ip filter, chain FORWARD", "DOCKER-USER"}},
		{"a firewall", func(_ *doctor.Patient, m machine) {
			m.output["nft -j list chains"] = `{"nftables":[{"chain":{"family":"inet","table":"fw","name":"f","hook":"forward","policy":"drop"}},{"chain":{"family":"inet","table":"labctl_x","name":"f","hook":"forward","policy":"drop"}}]}`
		}, "forwarding", doctor.Warn, []string{"inet fw, chain f", "accepts the lab's bridges"}},
		{"br_netfilter", func(_ *doctor.Patient, m machine) { m.files["/proc/sys/net/bridge/bridge-nf-call-iptables"] = "1\n" },
			"bridge filter", doctor.Warn, []string{"br_netfilter", "bridge-nf-call-iptables=0"}},
		{"strict reverse paths", func(_ *doctor.Patient, m machine) { m.files["/proc/sys/net/ipv4/conf/all/rp_filter"] = "1\n" },
			"routing", doctor.Warn, []string{"rp_filter=1", "rp_filter=2"}},
		{"packets joined", func(_ *doctor.Patient, m machine) { m.output["ethtool -k eth0"] = "large-receive-offload: on\n" },
			"offloads", doctor.Warn, []string{"eth0", "ethtool -K eth0 lro off"}},
		{"a narrow profile", func(_ *doctor.Patient, m machine) {
			m.files["/sys/module/apparmor/parameters/enabled"] = "Y\n"
			m.files["/etc/apparmor.d/usr.lib.libvirt.virt-aa-helper"] = "  /var/lib/libvirt/images/** r,\n"
		}, "AppArmor", doctor.Bad, []string{"virt-aa-helper", "/data/** r,"}},
		{"a closed folder", func(_ *doctor.Patient, m machine) { m.output["find /data"] = "/data\n" },
			"file rights", doctor.Bad, []string{"libvirt-qemu", "chmod o+x /data"}},
		{"closed images", func(_ *doctor.Patient, m machine) { m.output["find /data/images"] = "/data/images/a/disk.qcow2\n" },
			"file rights", doctor.Bad, []string{"1 of the images' files: /data/images/a/disk.qcow2", "chmod -R o+rX /data/images"}},
		{"a full disk", func(_ *doctor.Patient, m machine) { m.output["free"] = "1073741824\n" },
			"disk", doctor.Warn, []string{"1.0 GiB", "prune"}},
		{"no memory", func(_ *doctor.Patient, m machine) { m.files["/proc/meminfo"] = "MemAvailable: 524288 kB\n" },
			"memory", doctor.Warn, []string{"0.5 GiB", "128MiB"}},
		{"no rights on data", func(p *doctor.Patient, m machine) { m.refuses = true; p.Host = m },
			"data folder", doctor.Bad, []string{"/data cannot be written to", "root"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := healthy()
			p := patient(m)
			test.infect(&p, m)
			findings := doctor.Examine(t.Context(), p)
			if doctor.Worst(findings) != test.grade {
				t.Errorf("the worst is %s", doctor.Worst(findings))
			}
			for _, f := range findings {
				if f.Name != test.where {
					if f.Grade != doctor.Good {
						t.Errorf("it also found %+v", f)
					}
					continue
				}
				for _, says := range test.says {
					if f.Grade != test.grade || !strings.Contains(f.Text+"\n"+f.Mend, says) {
						t.Errorf("%q is not said: %+v", says, f)
					}
				}
			}
		})
	}
}
