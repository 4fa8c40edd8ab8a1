//go:build sandbox

package inside_test

import (
	"net"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/probe/inside"
)

func TestListensWhereNobodyDoes(t *testing.T) {
	listen := inside.Request{Listen: &inside.Listen{Port: 7010, Timeout: 5 * time.Second}}
	ask := inside.Request{TCP: &inside.Connect{To: "127.0.0.1", Port: 7010, Patient: 3 * time.Second, Timeout: time.Second}}
	heard, asked := both(t, listen, ask)
	if !heard.Arrived || asked.State != "open" {
		t.Errorf("with no service: %+v, %+v", heard, asked)
	}
	service, err := net.Listen("tcp", "127.0.0.1:7010")
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	began := time.Now()
	if heard, asked = both(t, listen, ask); heard.Arrived || heard.Note == "" || asked.State != "open" {
		t.Errorf("with a service: %+v, %+v", heard, asked)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the service was waited for: %v", took)
	}
}

func TestImpatientAskerIsRefused(t *testing.T) {
	asked, err := inside.Do(t.Context(), inside.Request{TCP: &inside.Connect{To: "127.0.0.1", Port: 7011, Timeout: time.Second}})
	if err != nil || asked.State != "closed" {
		t.Errorf("got %+v, %v", asked, err)
	}
}

func TestHeldUDPPortRefusesNothing(t *testing.T) {
	watch := inside.Request{Watch: &inside.Watch{Address: "127.0.0.1", Port: 7012, Session: "s", StandIn: true, Timeout: 4 * time.Second}}
	ask := inside.Request{UDP: &inside.Datagram{To: "127.0.0.1", Port: 7012, Session: "s", Patient: true, Timeout: time.Second}}
	if seen, sent := both(t, watch, ask); !seen.Arrived || sent.State != "" {
		t.Errorf("got %+v, %+v", seen, sent)
	}
}
