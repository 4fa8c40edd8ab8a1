//go:build sandbox

package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/schema"
)

var update = flag.Bool("update", false, "write testdata anew")

// TestSnapshotIsTheSameJSON holds the protocol still: what a guest that has drifted in many ways answers.
func TestSnapshotIsTheSameJSON(t *testing.T) {
	for _, args := range [][]string{
		{"ip", "link", "add", "ens3", "address", "52:54:00:00:00:01", "type", "veth", "peer", "name", "far"},
		{"ip", "link", "set", "far", "up"},
		{"ip", "link", "set", "ens3", "up"},
		{"ip", "addr", "add", "10.1.0.1/24", "dev", "ens3"},
		{"ip", "addr", "add", "10.9.0.1/24", "dev", "ens3"},
		{"ip", "route", "add", "default", "via", "10.1.0.254"},
		{"ip", "route", "add", "blackhole", "10.8.0.0/16"},
		{"sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.tcp_syncookies=0"},
		{"nft", "add table ip left; add chain ip left over { type filter hook input priority 0; }; add rule ip left over tcp dport 1 drop"},
	} {
		if _, err := (host.Local{}).Run(t.Context(), host.Cmd(args...)); err != nil {
			t.Fatal(err)
		}
	}
	var request bytes.Buffer
	err := helper.Encode(&request, helper.Request{Protocol: helper.Protocol, Guest: &schema.Guest{
		Domain: "lab-x",
		Interfaces: []schema.GuestInterface{
			{Name: "eth0", MAC: "52:54:00:00:00:01", Addresses: []string{"10.1.0.1/24", "2001:db8::1/64"}, ConnectedRoute: true},
			{Name: "eth1", MAC: "52:54:00:00:00:02", Addresses: []string{"10.2.0.1/24"}, ConnectedRoute: true},
		},
		Routes:  []schema.Route{{To: "default", Via: "10.1.0.1"}},
		Sysctl:  map[string]string{"net.ipv4.tcp_syncookies": "1"},
		Files:   []schema.File{{Path: "/nonexistent/labctl", Content: "x"}},
		Ruleset: &schema.Ruleset{Text: "table ip want {\n\tchain c {\n\t\ttcp dport 2 drop\n\t}\n}\n"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var out, complaints bytes.Buffer
	if code := run([]string{"snapshot"}, &request, &out, &complaints); code != exitOK {
		t.Fatalf("exit %d: %s%s", code, out.String(), complaints.String())
	}
	got := withoutBuild(t, out.Bytes())
	const golden = "testdata/snapshot.json"
	if *update {
		if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Error(diff)
	}
}

func TestAnotherBuildIsRefusedAndNothingDone(t *testing.T) {
	var out, complaints bytes.Buffer
	request := `{"protocol":1,"build":"another","guest":{"domain":"x","hostname":"changed","forwarding":true,"interface":[]}}`
	if code := run([]string{"converge"}, strings.NewReader(request), &out, &complaints); code != exitProblem {
		t.Errorf("exit %d", code)
	}
	response, err := helper.DecodeResponse(out.Bytes())
	if err != nil || len(response.Problems) != 1 || response.Problems[0].Code != helper.Outdated || response.Guest != nil {
		t.Errorf("%+v, %v", response, err)
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{nil, {"dance"}, {"snapshot", "now"}} {
		var out, complaints bytes.Buffer
		if code := run(args, strings.NewReader(""), &out, &complaints); code != exitUsage || complaints.Len() == 0 || out.Len() > 0 {
			t.Errorf("%q: exit %d, %q, %q", args, code, out.String(), complaints.String())
		}
	}
	var out, complaints bytes.Buffer
	if code := run([]string{"snapshot"}, strings.NewReader("{"), &out, &complaints); code != exitProblem || complaints.Len() == 0 {
		t.Errorf("a broken request: exit %d, %q", code, complaints.String())
	}
}

// withoutBuild is a response in many lines, with a word in place of the build, which every change of code changes.
func withoutBuild(t *testing.T, text []byte) []byte {
	t.Helper()
	var response map[string]any
	if err := json.Unmarshal(text, &response); err != nil {
		t.Fatal(err)
	}
	if build, ok := response["build"].(string); !ok || build == "" {
		t.Errorf("build %v", response["build"])
	}
	response["build"] = "BUILD"
	out, err := json.MarshalIndent(response, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return out
}
