//go:build sandbox

package capture

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// collector keeps lines, and tells once it has some.
type collector struct {
	lines []string
	some  func()
}

func (c *collector) Write(p Packet) error {
	c.lines = append(c.lines, p.String())
	if len(c.lines) == 2 {
		c.some()
	}
	return nil
}

func TestRunReadsALink(t *testing.T) {
	link, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() {
		for t.Context().Err() == nil {
			for _, port := range []string{"4444", "5555"} {
				if conn, err := net.Dial("udp", "127.0.0.1:"+port); err == nil {
					_, _ = conn.Write([]byte("hello"))
					conn.Close()
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	sink := &collector{some: cancel}
	n, err := Run(ctx, "lo", Filter{Protocol: "udp", Port: 4444}, 0, sink)
	if err != nil || n < 2 || n != len(sink.lines) {
		t.Fatalf("%d packets and %d lines, %v", n, len(sink.lines), err)
	}
	for _, line := range sink.lines {
		if !strings.Contains(line, `127.0.0.1:4444  UDP 5 bytes "hello"`) {
			t.Errorf("got %s", line)
		}
	}
	if n, err := Run(t.Context(), "lo", Filter{}, 3, &collector{some: func() {}}); n != 3 || err != nil {
		t.Errorf("with a limit: %d, %v", n, err)
	}
	if _, err := Run(t.Context(), "nothere", Filter{}, 1, sink); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("of a link that is not there: %v", err)
	}
}
