package guest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
)

// keygen stands for ssh-keygen, and is this machine in all else.
type keygen struct{ host.Local }

func (k keygen) Run(ctx context.Context, c host.Command) (host.Output, error) {
	if c.Args[0] == "ssh-keygen" {
		root := c.Args[len(c.Args)-1]
		return host.Output{}, k.WriteFile(ctx, filepath.Join(root, "etc/ssh/ssh_host_ed25519_key"), []byte("new"), 0o600)
	}
	return k.Local.Run(ctx, c)
}

func TestCopyGetsAnIdentityOfItsOwn(t *testing.T) {
	s := System{Root: t.TempDir(), Host: keygen{}}
	put := func(name, text string) {
		t.Helper()
		if err := s.write(t.Context(), name, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	get := func(name string) string {
		t.Helper()
		text, err := s.read(name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	const others = "0123456789abcdef0123456789abcdef\n"
	put("/etc/machine-id", others)
	put("/var/lib/dbus/machine-id", others)
	put("/etc/ssh/ssh_host_ed25519_key", "old")
	put("/etc/ssh/ssh_host_ed25519_key.pub", "old")
	put("/etc/ssh/sshd_config", "kept")
	put("/etc/dropbear/dropbear_ed25519_host_key", "old")
	put("/var/lib/systemd/random-seed", "old")

	// Where no disc says that the machine is a copy, all stays as it is.
	kept := helper.Persist{Mark: "the first's"}
	if did, err := s.renew(t.Context(), &kept); did != nil || err != nil || get("/etc/machine-id") != others || kept.Mark == "" {
		t.Fatalf("with no word of a copy: %q, %v", did, err)
	}
	put("/run/seed/"+helper.SeedClone, "one\n")
	did, err := s.renew(t.Context(), &kept)
	if err != nil || len(did) != 3 || kept.Clone != "one" || kept.Mark != "" {
		t.Fatalf("%q, %v, kept %+v", did, err, kept)
	}
	id := get("/etc/machine-id")
	if id == others || len(id) != 33 || strings.Trim(id, "0123456789abcdef\n") != "" || get("/var/lib/dbus/machine-id") != id {
		t.Errorf("machine-id is %q, D-Bus's %q", id, get("/var/lib/dbus/machine-id"))
	}
	if get("/etc/ssh/ssh_host_ed25519_key") != "new" || get("/etc/ssh/ssh_host_ed25519_key.pub") != "" || get("/etc/ssh/sshd_config") != "kept" {
		t.Error("the host keys are not new, or more than them went")
	}
	if get("/etc/dropbear/dropbear_ed25519_host_key") != "" {
		t.Error("it has the other's key of dropbear")
	}
	if _, err := os.Stat(s.path("/var/lib/systemd/random-seed")); err == nil {
		t.Error("it has the other's random numbers before it")
	}

	// Once: it keeps what it has got. A copy of the copy is another machine.
	if did, err := s.renew(t.Context(), &kept); did != nil || err != nil || get("/etc/machine-id") != id {
		t.Errorf("a second time: %q, %v", did, err)
	}
	// A system with dropbear alone has no ssh-keygen.
	if err := s.removeAll("/etc/ssh/*"); err != nil {
		t.Fatal(err)
	}
	put("/etc/dropbear/dropbear_rsa_host_key", "old")
	put("/run/seed/"+helper.SeedClone, "two\n")
	if did, err := s.renew(t.Context(), &kept); len(did) != 3 || err != nil || get("/etc/machine-id") == id {
		t.Errorf("a copy of the copy: %q, %v", did, err)
	}
	if get("/etc/dropbear/dropbear_rsa_host_key")+get("/etc/ssh/ssh_host_ed25519_key") != "" {
		t.Error("dropbear's key is the other's, or there is one for a server that is not there")
	}
}
