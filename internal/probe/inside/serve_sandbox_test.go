//go:build sandbox

package inside_test

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/probe/inside"
)

// both carries out two requests side by side, as two machines would.
func both(t *testing.T, a, b inside.Request) (inside.Answer, inside.Answer) {
	t.Helper()
	var answers [2]inside.Answer
	var wait sync.WaitGroup
	for n, r := range []inside.Request{a, b} {
		wait.Go(func() {
			var err error
			if answers[n], err = inside.Do(t.Context(), r); err != nil {
				t.Errorf("request %d: %v", n, err)
			}
		})
	}
	wait.Wait()
	return answers[0], answers[1]
}

func TestNATAgainstServer(t *testing.T) {
	began := time.Now()
	_, client := both(t,
		inside.Request{Serve: &inside.Server{STUN: []string{"127.0.0.1", "127.0.0.2"}, Session: "s", Clients: 1, Timeout: 20 * time.Second}},
		inside.Request{NAT: &inside.NAT{Server: "127.0.0.1", Session: "s", Timeout: 10 * time.Second}})
	if client.NAT == nil || client.NAT.Type() != "none" {
		t.Errorf("on the loopback: %+v", client.NAT)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the server did not hear that the client was done: %v", took)
	}
}

func TestPunchByRendezvous(t *testing.T) {
	for _, protocol := range []string{"udp", "tcp"} {
		began := time.Now()
		peer := func(name string, port int) inside.Request {
			return inside.Request{Punch: &inside.Punch{
				Protocol: protocol, Session: "s", Name: name, Port: port,
				Via: "127.0.0.1:3480", Timeout: 5 * time.Second,
			}}
		}
		var wait sync.WaitGroup
		wait.Go(func() {
			if _, err := inside.Do(t.Context(), inside.Request{Serve: &inside.Server{
				Rendezvous: "127.0.0.1:3480", Session: "s", Clients: 2, Timeout: 20 * time.Second,
			}}); err != nil {
				t.Error(err)
			}
		})
		a, b := both(t, peer("a", 7001), peer("b", 7002))
		wait.Wait()
		if !a.Confirmed || !b.Confirmed || a.From != "127.0.0.1:7002" {
			t.Errorf("%s: %+v, %+v", protocol, a, b)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: the server did not hear that both were done: %v", protocol, took)
		}
	}
}

func TestUDPPortIsWatched(t *testing.T) {
	watch := inside.Request{Watch: &inside.Watch{Address: "127.0.0.1", Port: 7003, Session: "s", Timeout: 3 * time.Second}}
	ask := inside.Request{UDP: &inside.Datagram{To: "127.0.0.1", Port: 7003, Session: "s", Timeout: time.Second}}
	// A refusal ends the sender, maybe before the watcher listens; that it is refused is all that counts.
	if sent, err := inside.Do(t.Context(), ask); err != nil || sent.State != "closed" {
		t.Errorf("with nothing there: %+v, %v", sent, err)
	}
	silent, err := net.ListenPacket("udp4", "127.0.0.1:7003")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if seen, sent := both(t, watch, ask); !seen.Arrived || sent.State != "" {
		t.Errorf("with a silent service: %+v, %+v", seen, sent)
	}
	watch.Watch.Timeout = 300 * time.Millisecond
	ask.UDP.Session = "another"
	if seen, _ := both(t, watch, ask); seen.Arrived {
		t.Errorf("another session's datagram counts: %+v", seen)
	}
}

func TestRoute(t *testing.T) {
	a, err := inside.Do(t.Context(), inside.Request{Route: &inside.Route{To: "127.0.0.9"}})
	if err != nil || a.Way == nil || *a.Way != (inside.Way{Interface: "lo", Source: "127.0.0.1", Type: "local"}) {
		t.Errorf("to the machine itself: %+v, %v", a.Way, err)
	}
	a, err = inside.Do(t.Context(), inside.Request{Route: &inside.Route{To: "198.51.100.1"}})
	if err != nil || a.Way == nil || a.Way.Type != "none" || a.Note == "" {
		t.Errorf("with no route: %+v, %+v, %v", a, a.Way, err)
	}
}
