//go:build sandbox

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// phantomLabs is how many random labs are tried unless LABCTL_TEST_LABS says another number; LABCTL_TEST_SEED is the first.
const phantomLabs = 200

func numberOf(t *testing.T, variable string, standard int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return standard
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// TestNoPhantomDrift applies random labs to the real libvirt, netplan and nftables, every second one over the one before, as a
// change of everything at once. After each, a fresh plan is empty, and a destroy leaves the host as it was.
func TestNoPhantomDrift(t *testing.T) {
	c := newCrash(t)
	lent := "/var/lib/labctl/lent"
	lend(t, lent)
	for n := range 3 {
		onHost(t, fmt.Sprintf("ip link add port%d type veth peer name peer%d && ip link set port%d up && ip link set peer%d up", n, n, n, n))
	}
	onHost(t, `virsh -q -c qemu:///system net-start default && virsh -q -c qemu:///system net-destroy default
		sysctl -q -w net.ipv4.ip_forward=0`) // libvirt's own tables stay for good
	before := leftovers(t)
	refused, failed := 0, 0
	first, count := numberOf(t, "LABCTL_TEST_SEED", 1), numberOf(t, "LABCTL_TEST_LABS", phantomLabs)
	for seed := first; seed < first+count; seed++ {
		text := newGenerator(seed, lent).lab("random")
		if err := os.WriteFile(filepath.Join(c.dir, "lab.hcl"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if code, out := c.labctl(-1, "validate"); code != 0 {
			refused++
			t.Logf("seed %d is refused:\n%s", seed, out)
			continue
		}
		steps := [][]string{{"apply", "-auto-approve"}, {"plan", "-detailed-exitcode"}, {"destroy", "-auto-approve"}}
		over := (seed-first)%2 == 0 && seed+1 < first+count
		if over {
			steps = steps[:2]
		}
		for _, step := range steps {
			if code, out := c.labctl(-1, step...); code != 0 {
				t.Errorf("seed %d, %s: exit code %d\n%s\n%s", seed, step[0], code, out, text)
				failed++
				c.want(0, "destroy", "-auto-approve")
				break
			}
		}
		if after := leftovers(t); !over && after != before {
			t.Fatalf("seed %d: the host was\n%s\nand is\n%s\n%s", seed, before, after, text)
		}
		if failed > 5 {
			t.Fatal("too many to go on")
		}
	}
	t.Logf("%d labs, %d refused by their declarations", count, refused)
	if refused > count/10 {
		t.Errorf("%d of %d labs are refused: the generator does not know the language", refused, count)
	}
}
