//go:build sandbox

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"libvirt.org/go/libvirt"
)

// crowd is a lab of many machines that are defined and stay off, worked on by the real labctl and, to hold it against, by
// libvirt alone over one connection.
type crowd struct {
	testing.TB
	n      int
	dir    string
	labctl string
}

// crowds are the labs, by name: a machine of each has just a definition, or also a disk over an image's and a seed disc.
var crowds = map[string]string{
	"bare": `boot {
    order = ["network"]
  }`,
	"image": `image = image.micro`,
}

func newCrowd(tb testing.TB, kind string, n int) *crowd {
	tb.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		tb.Fatal(err)
	}
	c := &crowd{tb, n, tb.TempDir(), filepath.Join(root, "bin", "labctl")}
	text := fmt.Sprintf(`
lab "crowd" {}

bridge "br0" {
  addresses = ["10.200.0.1/16"]
}

image "micro" {
  build = "micro"
}

vm "m" {
  count   = %d
  memory  = "128MiB"
  running = false
  %s

  interface "eth0" {
    bridge    = bridge.br0
    addresses = ["10.200.${floor(count.index / 200) + 1}.${count.index %% 200 + 1}/16"]
  }
}
`, n, crowds[kind])
	if kind == "bare" { // addresses are for machines that are configured inside
		text = regexp.MustCompile(`(?m)^    addresses = .*index.*$`).ReplaceAllString(text, "")
	}
	if err := os.WriteFile(filepath.Join(c.dir, "lab.hcl"), []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return c
}

// run runs labctl to its end, and returns how long it took and the most memory that it held, in bytes.
func (c *crowd) run(args ...string) (took time.Duration, peak int64) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.labctl, append([]string{"-chdir=" + c.dir}, args...)...)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took = time.Since(began)
	if err != nil {
		c.Fatalf("%v: %v\n%s", args, err, out[max(0, len(out)-4000):])
	}
	return took, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10 // getrusage(2): in KiB
}

// race is what one run has shown.
type race struct {
	apply, plan, destroy   time.Duration // labctl's
	define, dump, undefine time.Duration // libvirt's alone
	peak                   int64         // labctl's memory, bytes
}

var metadata = regexp.MustCompile(`(?s)<metadata>.*?</metadata>`)

// race does everything once, by labctl and by libvirt alone.
func (c *crowd) race() (r race) {
	c.Helper()
	c.run("apply", "-auto-approve", "-target=image.micro", "-target=bridge.br0")
	var peak int64
	r.apply, r.peak = c.run("apply", "-auto-approve")
	r.plan, peak = c.run("plan", "-detailed-exitcode")
	r.peak = max(r.peak, peak)
	link, err := libvirt.NewConnect("qemu:///system")
	if err != nil {
		c.Fatal(err)
	}
	defer link.Close()
	texts, took := c.dump(link)
	r.dump = took
	r.destroy, peak = c.run("destroy", "-auto-approve")
	r.peak = max(r.peak, peak)
	for i, text := range texts {
		texts[i] = metadata.ReplaceAllString(text, "")
	}
	r.define, r.undefine = c.define(link, texts)
	return r
}

func (c *crowd) dump(link *libvirt.Connect) (texts []string, took time.Duration) {
	c.Helper()
	began := time.Now()
	list, err := link.ListAllDomains(0)
	if err != nil || len(list) != c.n {
		c.Fatalf("%d domains, %v", len(list), err)
	}
	for i := range list {
		text, err := list[i].GetXMLDesc(libvirt.DOMAIN_XML_INACTIVE)
		if err != nil {
			c.Fatal(err)
		}
		texts = append(texts, text)
	}
	took = time.Since(began)
	for i := range list {
		_ = list[i].Free()
	}
	return texts, took
}

func (c *crowd) define(link *libvirt.Connect, texts []string) (define, undefine time.Duration) {
	c.Helper()
	list := make([]*libvirt.Domain, len(texts))
	var err error
	began := time.Now()
	for i, text := range texts {
		if list[i], err = link.DomainDefineXML(text); err != nil {
			c.Fatal(err)
		}
	}
	define = time.Since(began)
	began = time.Now()
	for _, dom := range list {
		if err := dom.Undefine(); err != nil {
			c.Fatal(err)
		}
	}
	undefine = time.Since(began)
	for _, dom := range list {
		_ = dom.Free()
	}
	return define, undefine
}

func (r race) String() string {
	row := func(what string, ours, raw time.Duration) string {
		return fmt.Sprintf("%s %.2f s, libvirt alone %.2f s: %.2f ×", what, ours.Seconds(), raw.Seconds(), ours.Seconds()/raw.Seconds())
	}
	return strings.Join([]string{
		row("apply", r.apply, r.define), row("plan", r.plan, r.dump), row("destroy", r.destroy, r.undefine),
		row("destroy, against reading and undefining", r.destroy, r.dump+r.undefine),
		fmt.Sprintf("at most %d MB", r.peak>>20),
	}, "; ")
}
