package seed

import (
	"bytes"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"
	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/schema"
)

func guest() *schema.Guest {
	return &schema.Guest{
		Domain: "lab-a", Hostname: "a",
		Interfaces: []schema.GuestInterface{{
			Name: "eth0", MAC: "52:54:00:AA:bb:cc", MTU: 1400, Addresses: []string{"192.0.2.2/24", "2001:db8::2/64"}, ConnectedRoute: true,
		}},
		Routes: []schema.Route{
			{To: "default", Via: "192.0.2.1", Interface: "eth0", Metric: 7},
			{To: "default6", Via: "2001:db8::1", Interface: "eth0", OnLink: true},
			{To: "198.51.100.0/24", Type: "blackhole"},
		},
		Nameservers: []string{"192.0.2.53"},
		Packages:    []string{"tcpdump"},
		SSH:         &schema.SSH{User: "lab", AuthorizedKeys: []string{"ssh-ed25519 AAAA lab"}},
	}
}

// TestDiscReadsBack reads every file off a disc that was built, by its true name.
func TestDiscReadsBack(t *testing.T) {
	disc := Disc{InstanceID: "11111111-2222-3333-4444-555555555555", Guest: guest(), Helper: bytes.Repeat([]byte("helper\n"), 5000)}
	image, err := disc.Build()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "seed.iso")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	read, err := iso9660.Read(file.New(in, true), int64(len(image)), 0, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if label := strings.TrimSpace(read.Label()); label != Label {
		t.Errorf("the label is %q, want %q", label, Label)
	}
	want, err := disc.Files()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		got, err := fs.ReadFile(read, name)
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: %d bytes, %v; want %d bytes", name, len(got), err, len(text))
		}
	}
	if len(want) != 5 {
		t.Errorf("%d files on the disc, want 5", len(want))
	}
}

func TestNetworkConfig(t *testing.T) {
	text, err := networkConfig(guest())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := yaml.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"version": uint64(2), "ethernets": map[string]any{"eth0": map[string]any{
		"match": map[string]any{"macaddress": "52:54:00:aa:bb:cc"}, "set-name": "eth0", "mtu": uint64(1400),
		"dhcp4": false, "dhcp6": false,
		"addresses":   []any{"192.0.2.2/24", "2001:db8::2/64"},
		"nameservers": map[string]any{"addresses": []any{"192.0.2.53"}},
		"routes": []any{
			map[string]any{"to": "0.0.0.0/0", "via": "192.0.2.1", "metric": uint64(7)},
			map[string]any{"to": "::/0", "via": "2001:db8::1", "on-link": true},
		},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUserDataMerges(t *testing.T) {
	g := guest()
	g.UserData = "#cloud-config\npackages: [nmap]\ntimezone: Europe/Berlin\nbootcmd:\n  - echo hello\n"
	text, err := userData(g, true)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "#cloud-config\n") {
		t.Fatalf("the first line is not cloud-init's:\n%s", text)
	}
	var got map[string]any
	if err := yaml.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{"tcpdump", "nmap"}, got["packages"]); diff != "" {
		t.Error(diff)
	}
	if boot := got["bootcmd"].([]any); len(boot) != 2 || boot[1] != "echo hello" {
		t.Errorf("bootcmd is %v", boot)
	} else if script := boot[0].([]any)[2]; script != install {
		t.Errorf("the script came through YAML as %q", script)
	}
	if got["timezone"] != "Europe/Berlin" || got["hostname"] != "a" {
		t.Errorf("got %v", got)
	}
	users := got["users"].([]any)
	if users[0] != "default" || users[1].(map[string]any)["name"] != "lab" {
		t.Errorf("users are %v", users)
	}
}

func TestScriptBecomesAnArchive(t *testing.T) {
	g := guest()
	g.UserData = "#!/bin/sh\necho hello\n"
	text, err := userData(g, false)
	if err != nil {
		t.Fatal(err)
	}
	message, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(message.Body, params["boundary"])
	var kinds []string
	var last []byte
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		kinds = append(kinds, kind)
		last, _ = io.ReadAll(part)
	}
	if diff := cmp.Diff([]string{"text/cloud-config", "text/x-shellscript"}, kinds); diff != "" {
		t.Error(diff)
	}
	if string(last) != g.UserData {
		t.Errorf("the script is %q", last)
	}
}

func TestUnknownUserDataIsRefused(t *testing.T) {
	for _, text := range []string{"hello", "#cloud-config\n\tnot: [yaml"} {
		g := guest()
		g.UserData = text
		if _, err := userData(g, false); err == nil || !strings.Contains(err.Error(), "user_data") {
			t.Errorf("%q: error %v, want one that names user_data", text, err)
		}
	}
}
