//go:build sandbox

package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/labctl/labctl/internal/sandbox"
	"github.com/labctl/labctl/internal/seed"
	"github.com/labctl/labctl/schema"
)

// TestDebian runs a lab with a whole Debian in it. It is by itself since it takes long, and waits for one guest at a time.
func TestDebian(t *testing.T) {
	if os.Getenv(sandbox.Variable) == "" {
		t.Fatal("run this with -exec 'labctl sandbox --': it makes bridges and machines")
	}
	runScripts(t, testscript.Params{Dir: "testdata/debian", Cmds: lookers()})
}

// plainLimit is far more than a Debian takes to boot on a machine that does much else.
const plainLimit = 30 * time.Minute

// lookers are commands of scripts that need no labctl to look at a lab: they do what people do with machines made by hand.
func lookers() map[string]func(*testscript.TestScript, bool, []string) {
	times := map[string]time.Duration{}
	return map[string]func(*testscript.TestScript, bool, []string){
		"keygen": keygen, "ssh": login, "serve": serve,
		"took": func(ts *testscript.TestScript, _ bool, args []string) {
			began := time.Now()
			ts.Check(ts.Exec(args[1], args[2:]...))
			times[args[0]] = time.Since(began)
		},
		"plainboot": func(ts *testscript.TestScript, _ bool, args []string) {
			plain := plainBoot(ts, args[0])
			ts.Logf("from nothing to converged in %.1f s, a plain boot takes %.1f s: %.2f × as long (wanted: at most 1.25 ×)",
				times["converged"].Seconds(), plain.Seconds(), times["converged"].Seconds()/plain.Seconds())
		},
	}
}

// keygen FILE writes a new key to FILE and FILE.pub.
func keygen(ts *testscript.TestScript, _ bool, args []string) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	ts.Check(err)
	block, err := ssh.MarshalPrivateKey(private, "")
	ts.Check(err)
	key, err := ssh.NewPublicKey(public)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(block), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pub"), ssh.MarshalAuthorizedKey(key), 0o600))
}

// ssh KEY USER@ADDRESS COMMAND runs a command as a person would who has the key.
func login(ts *testscript.TestScript, _ bool, args []string) {
	signer, err := ssh.ParsePrivateKey([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	user, address, _ := strings.Cut(args[1], "@")
	client, err := ssh.Dial("tcp", net.JoinHostPort(address, "22"), &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, Timeout: time.Minute,
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), //nolint:gosec // a machine that has just made its key
	})
	ts.Check(err)
	defer client.Close()
	session, err := client.NewSession()
	ts.Check(err)
	out, err := session.CombinedOutput(args[2])
	_, _ = ts.Stdout().Write(out)
	ts.Check(err)
}

// serve PORT FOLDER serves files over http until the script ends.
func serve(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := net.Listen("tcp", ":"+args[0])
	ts.Check(err)
	server := &http.Server{Handler: http.FileServer(http.Dir(ts.MkAbs(args[1]))), ReadHeaderTimeout: time.Minute}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(err)
		}
	}()
	ts.Defer(func() { _ = server.Close() })
}

// plainBoot makes a machine like the one of a lab without labctl: an overlay on the image, a seed disc with name, address and key, and
// virsh create. It returns how long it takes until the agent answers.
func plainBoot(ts *testscript.TestScript, like string) time.Duration {
	const name, folder = "plain", "/var/lib/libvirt/images/plain"
	virsh := func(args ...string) error {
		return ts.Exec("virsh", append([]string{"-q", "-c", "qemu:///system"}, args...)...)
	}
	ts.Check(virsh("dumpxml", "--inactive", like))
	var domain libvirtxml.Domain
	ts.Check(domain.Unmarshal(ts.ReadFile("stdout")))
	ts.Check(os.MkdirAll(folder, 0o755))
	defer os.RemoveAll(folder)
	domain.Name, domain.UUID, domain.Metadata = name, uuid.NewString(), nil
	for i := range domain.Devices.Serials {
		domain.Devices.Serials[i].Log = nil
	}
	for i := range domain.Devices.Consoles {
		domain.Devices.Consoles[i].Log = nil
	}
	nic := domain.Devices.Interfaces[0]
	disc, err := seed.Disc{InstanceID: name, Guest: &schema.Guest{
		Hostname: name, SSH: &schema.SSH{User: "ada", AuthorizedKeys: []string{strings.TrimSpace(ts.ReadFile("key.pub"))}},
		Interfaces: []schema.GuestInterface{{Name: "lan0", MAC: nic.MAC.Address, Addresses: []string{"192.168.70.10/24"}, ConnectedRoute: true}},
	}}.Build()
	ts.Check(err)
	for i := range domain.Devices.Disks {
		disk := &domain.Devices.Disks[i]
		path := filepath.Join(folder, disk.Target.Dev)
		if disk.ReadOnly != nil {
			ts.Check(os.WriteFile(path, disc, 0o644))
		} else {
			base := filepath.Join(filepath.Dir(domain.OS.Kernel), "disk.qcow2")
			ts.Check(ts.Exec("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, path))
		}
		disk.Source, disk.BackingStore = &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: path}}, nil
	}
	text, err := domain.Marshal()
	ts.Check(err)
	file := filepath.Join(folder, "domain.xml")
	ts.Check(os.WriteFile(file, []byte(text), 0o600))
	began := time.Now()
	ts.Check(virsh("create", file))
	awaitAgent(ts, name)
	took := time.Since(began)
	ts.Check(virsh("destroy", name))
	return took
}

// awaitAgent asks a machine's agent until it answers, over one connection: a virsh for each try would take the guest's time.
func awaitAgent(ts *testscript.TestScript, name string) {
	conn, err := libvirt.NewConnect("qemu:///system")
	ts.Check(err)
	defer conn.Close()
	domain, err := conn.LookupDomainByName(name)
	ts.Check(err)
	defer domain.Free()
	for began := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		if _, err := domain.QemuAgentCommand(`{"execute":"guest-ping"}`, libvirt.DOMAIN_QEMU_AGENT_COMMAND_DEFAULT, 0); err == nil {
			return
		} else if time.Since(began) > plainLimit {
			ts.Fatalf("the plain machine's agent does not answer after %v: %v", plainLimit, err)
		}
	}
}
