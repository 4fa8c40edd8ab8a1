package inside_test

import (
	"bytes"
	"encoding/json"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/probe/inside"
)

func TestConnectTellsOpenFromClosed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	request := inside.Request{TCP: &inside.Connect{To: "127.0.0.1", Port: port, Timeout: 5 * time.Second}}
	if a, err := inside.Do(t.Context(), request); a.State != "open" || err != nil {
		t.Errorf("with a listener: %+v, %v", a, err)
	}
	listener.Close()
	if a, err := inside.Do(t.Context(), request); a.State != "closed" || err != nil {
		t.Errorf("without one: %+v, %v", a, err)
	}
}

func TestPunchHearsItsPeer(t *testing.T) {
	for _, protocol := range []string{"udp", "tcp"} {
		ports := freePorts(t)
		var answers [2]inside.Answer
		var wait sync.WaitGroup
		for n := range answers {
			wait.Go(func() {
				var err error
				answers[n], err = inside.Do(t.Context(), inside.Request{Punch: &inside.Punch{
					Protocol: protocol, Session: "s", Name: string("ab"[n]), Port: ports[n],
					To: "127.0.0.1", ToPort: ports[1-n], Timeout: 5 * time.Second,
				}})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		for n, a := range answers {
			if !a.Arrived || a.From == "" || a.Sent == 0 {
				t.Errorf("%s, side %d: %+v", protocol, n, a)
			}
		}
	}
}

func TestPunchWithoutPeerFindsNothing(t *testing.T) {
	ports := freePorts(t)
	a, err := inside.Do(t.Context(), inside.Request{Punch: &inside.Punch{
		Protocol: "udp", Session: "s", Name: "a", Port: ports[0], To: "127.0.0.1", ToPort: ports[1], Timeout: 200 * time.Millisecond,
	}})
	if a.Arrived || a.Confirmed || a.Sent == 0 || err != nil {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestServeAnswersInJSON(t *testing.T) {
	for request, want := range map[string]string{
		`{}`: "asks for nothing",
		`{"punch": {"protocol": "sctp", "to": "127.0.0.1", "timeout": 1000000}}`: "udp or tcp",
		`{"ping": {"to": "nowhere", "count": 1}}`:                                "nowhere",
	} {
		var out bytes.Buffer
		if err := inside.Serve(t.Context(), strings.NewReader(request), &out); err != nil {
			t.Fatal(err)
		}
		var a inside.Answer
		if err := json.Unmarshal(out.Bytes(), &a); err != nil || !strings.Contains(a.Error, want) {
			t.Errorf("%s: %s, %v", request, out.String(), err)
		}
	}
	if err := inside.Serve(t.Context(), strings.NewReader("garbage"), &bytes.Buffer{}); err == nil {
		t.Error("garbage was taken for a request")
	}
}

func freePorts(t *testing.T) (ports [2]int) {
	t.Helper()
	for n := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		ports[n] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports
}
