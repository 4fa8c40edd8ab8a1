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

func TestUDPAnswerIsOpenAndRefusalClosed(t *testing.T) {
	service, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 100)
		for {
			n, from, err := service.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = service.WriteTo(buf[:n], from)
		}
	}()
	request := inside.Request{UDP: &inside.Datagram{
		To: "127.0.0.1", Port: service.LocalAddr().(*net.UDPAddr).Port,
		Session: "s", Timeout: 5 * time.Second,
	}}
	if a, err := inside.Do(t.Context(), request); a.State != "open" || err != nil {
		t.Errorf("with a service that answers: %+v, %v", a, err)
	}
	service.Close()
	<-ended
	if a, err := inside.Do(t.Context(), request); a.State != "closed" || err != nil {
		t.Errorf("with none: %+v, %v", a, err)
	}
}

func TestThroughput(t *testing.T) {
	port := freePorts(t)[0]
	var sent, received inside.Answer
	var errs [2]error
	var wait sync.WaitGroup
	wait.Go(func() {
		received, errs[0] = inside.Do(t.Context(), inside.Request{Receive: &inside.Receive{Port: port, Timeout: 5 * time.Second}})
	})
	wait.Go(func() {
		sent, errs[1] = inside.Do(t.Context(), inside.Request{Send: &inside.Send{
			To: "127.0.0.1", Port: port, For: 100 * time.Millisecond, Timeout: 5 * time.Second,
		}})
	})
	wait.Wait()
	if errs[0] != nil || errs[1] != nil {
		t.Fatal(errs)
	}
	total := float64(sent.Sent) * 128 * 1024 * 8
	if sent.Sent == 0 || received.Bits <= 0 || received.Bits*received.Seconds < total*0.999 || received.Bits*received.Seconds > total*1.001 {
		t.Errorf("%d chunks sent, %.0f bits/s for %.3f s received", sent.Sent, received.Bits, received.Seconds)
	}
}

func TestReceiveWithNoSender(t *testing.T) {
	a, err := inside.Do(t.Context(), inside.Request{Receive: &inside.Receive{Port: freePorts(t)[0], Timeout: 50 * time.Millisecond}})
	if err != nil || a.Arrived || a.Note == "" {
		t.Errorf("%+v, %v", a, err)
	}
}
