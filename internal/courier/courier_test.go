package courier

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/host"
)

// The test's own program is the command that the far end runs.
func TestMain(m *testing.M) {
	if os.Getenv(Variable) != "" {
		os.Exit(command(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func command(args []string) int {
	in, err := Open()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	switch args[0] {
	case "echo":
		_, _ = io.Copy(os.Stdout, os.Stdin)
		fmt.Fprintf(os.Stderr, "parcel %s, terminal %v, %s", in.Parcel, in.Terminal.Out, os.Getenv("GIVEN"))
		return 7
	case "wait":
		interrupted := make(chan os.Signal, 1)
		signal.Notify(interrupted, os.Interrupt)
		fmt.Println("waiting")
		<-interrupted
		fmt.Println("interrupted")
		for _, path := range args[1:] {
			_ = os.WriteFile(path, []byte("interrupted"), 0o600)
		}
		return 3
	case "ask":
		for _, question := range args[1:] {
			answer, err := in.Ask([]byte(question))
			fmt.Printf("%d %v\n", len(answer), err)
		}
	case "die":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "write":
		err := in.WriteFile(args[1], bytes.Repeat([]byte("whole"), 300_000), 0o640)
		w, err2 := in.Create(args[1]+".grows", 0o600)
		if err := errors.Join(err, err2); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		_, _ = fmt.Fprint(w, "one ")
		_, _ = fmt.Fprint(w, "two")
		_ = w.Close()
	}
	return 0
}

// far is a far end in this process, and the line to it.
type far struct {
	*line
	root  string
	ended chan error
}

func farEnd(t *testing.T, silence <-chan time.Time) far {
	t.Helper()
	theirIn, ourIn, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ourOut, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ssh, err := host.Start(host.Cmd("true"), host.Files{})
	if err != nil {
		t.Fatal(err)
	}
	f := far{&line{ssh: ssh, in: ourIn, out: bufio.NewReader(ourOut), raw: ourOut}, t.TempDir(), make(chan error, 1)}
	go func() {
		s := &server{out: &writer{w: theirOut}, root: f.root, silence: func() <-chan time.Time { return silence }}
		err := s.run(theirIn)
		theirOut.Close()
		theirIn.Close()
		f.ended <- err
	}()
	if err := f.greet(Job{}, nil); err != nil {
		t.Fatal(err)
	}
	return f
}

// cleared demands that the far end has ended and left nothing.
func (f far) cleared(t *testing.T) {
	t.Helper()
	<-f.ended
	left, err := os.ReadDir(f.root)
	if err != nil || len(left) > 0 {
		t.Errorf("%d things are left, %v", len(left), err)
	}
}

func TestCommandIsAsHere(t *testing.T) {
	f := farEnd(t, nil)
	var stdout, stderr bytes.Buffer
	input := strings.Repeat("line\n", 500_000)
	code, err := f.carry(Job{
		Args: []string{"echo"}, Env: []string{"GIVEN=yes"}, Parcel: []byte("secret"), Terminal: Terminal{Out: true},
		Stdin: strings.NewReader(input), Stdout: &stdout, Stderr: &stderr,
	}, nil)
	if code != 7 || err != nil || stdout.String() != input || stderr.String() != "parcel secret, terminal true, yes" {
		t.Errorf("code %d, %v, %d bytes of %d, %q", code, err, stdout.Len(), len(input), stderr.String())
	}
	f.cleared(t)

	f = farEnd(t, nil)
	if code, err := f.carry(Job{Args: []string{"die"}}, nil); code != 128+9 || err != nil {
		t.Errorf("killed: code %d, %v", code, err)
	}
	f.cleared(t)
}

// told passes on what is written, as it comes.
type told chan string

func (c told) Write(text []byte) (int, error) {
	c <- string(text)
	return len(text), nil
}

func TestSignalsReachTheCommand(t *testing.T) {
	f := farEnd(t, nil)
	said, signals := make(told, 9), make(chan os.Signal, 1)
	go func() {
		if text := <-said; text != "waiting\n" {
			t.Errorf("it says %q", text)
		}
		signals <- os.Interrupt
	}()
	code, err := f.carry(Job{Args: []string{"wait"}, Stdout: said}, signals)
	if text := <-said; code != 3 || err != nil || text != "interrupted\n" {
		t.Errorf("code %d, %v, %q", code, err, text)
	}
	f.cleared(t)
}

func TestLostConnectionInterruptsTheCommand(t *testing.T) {
	silence := make(chan time.Time)
	for name, lose := range map[string]func(*line){
		"near end gone": func(l *line) { l.in.Close(); l.raw.Close() },
		"silence":       func(*line) { silence <- time.Now() },
	} {
		t.Run(name, func(t *testing.T) {
			f := farEnd(t, silence)
			mark := filepath.Join(t.TempDir(), "mark")
			to := &writer{w: f.in}
			if err := to.send(frameStart, []byte(`{"args":["wait","`+mark+`"]}`)); err != nil {
				t.Fatal(err)
			}
			if said, err := receive(f.out); err != nil || string(said.payload) != "waiting\n" {
				t.Fatalf("%q, %v", said.payload, err)
			}
			lose(f.line)
			f.cleared(t)
			if text, err := os.ReadFile(mark); string(text) != "interrupted" {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
}

func TestLostConnectionIsTold(t *testing.T) {
	f := farEnd(t, nil)
	said := make(told, 9)
	go func() {
		<-said
		f.raw.Close() // as when ssh is killed
	}()
	_, err := f.carry(Job{Args: []string{"wait"}, Stdout: said}, nil)
	if _, lost := errors.AsType[*LostError](err); !lost {
		t.Errorf("%v", err)
	}
	f.cleared(t)
}

func TestOnlyNamedFilesAreWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	f := farEnd(t, nil)
	code, err := f.carry(Job{Args: []string{"write", path}, Writable: []string{path, path + ".grows"}}, nil)
	if code != 0 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
	whole, _ := os.ReadFile(path)
	grows, _ := os.ReadFile(path + ".grows")
	info, err := os.Stat(path)
	if len(whole) != 1_500_000 || string(grows) != "one two" || err != nil || info.Mode() != 0o640 {
		t.Errorf("%d bytes, %q, %v, %v", len(whole), grows, info, err)
	}
	f.cleared(t)

	f = farEnd(t, nil)
	if _, err := f.carry(Job{Args: []string{"write", path + "2"}, Writable: []string{path}}, nil); err == nil || !strings.Contains(err.Error(), "does not name") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path + "2"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is there: %v", err)
	}
	f.cleared(t)
}

func TestNearMachineAnswers(t *testing.T) {
	f := farEnd(t, nil)
	var stdout bytes.Buffer
	code, err := f.carry(Job{Args: []string{"ask", "long", "bad", ""}, Stdout: &stdout, Answer: func(question []byte) ([]byte, error) {
		if string(question) == "bad" {
			return nil, errors.New("no such thing")
		}
		return bytes.Repeat(question, 600_000), nil
	}}, nil)
	if code != 0 || err != nil || stdout.String() != "2400000 <nil>\n0 no such thing\n0 <nil>\n" {
		t.Errorf("code %d, %v, %q", code, err, stdout.String())
	}
	f.cleared(t)
	f = farEnd(t, nil)
	stdout.Reset()
	if _, err := f.carry(Job{Args: []string{"ask", "x"}, Stdout: &stdout}, nil); err != nil || stdout.String() != "0 nobody answers\n" {
		t.Errorf("%v, %q", err, stdout.String())
	}
}

func TestDestination(t *testing.T) {
	for text, want := range map[string]Destination{
		"root@lab1.example": {Host: "root@lab1.example"}, "lab1": {Host: "lab1"}, "root@10.0.0.1:2222": {Host: "root@10.0.0.1", Port: "2222"},
		"me@[2001:db8::1]:22": {Host: "me@2001:db8::1", Port: "22"}, "2001:db8::1": {Host: "2001:db8::1"}, "me@[2001:db8::1]": {Host: "me@2001:db8::1"},
	} {
		if got, err := ParseDestination(text); got != want || err != nil {
			t.Errorf("%s is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-oProxyCommand=x", "a b", "ssh://lab1", "root@", "root@-x", "lab1:ssh", "lab1:", "a'b", "lab1;reboot", "-l@lab1"} {
		if got, err := ParseDestination(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestFrames(t *testing.T) {
	if _, err := receive(strings.NewReader("o\xff\xff\xff\xff")); err == nil {
		t.Error("a frame of 4 GiB is taken")
	}
	if _, err := receive(strings.NewReader("o\x00\x00\x00\x05abc")); err == nil || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a frame: %v", err)
	}
	if strings.ContainsAny(bootstrap, `'\!`) {
		t.Error("the script does not stand in single quotes in every shell")
	}
}

func TestGreeting(t *testing.T) {
	system := []string{"SunOS", "sparc"}
	l := &line{out: bufio.NewReader(strings.NewReader("Welcome\nlabctl-courier want " + strings.Join(system, " ") + "\n"))}
	err := l.greet(Job{}, nil)
	if refused, ok := errors.AsType[*RefusedError](err); !ok || !strings.Contains(refused.Why, "SunOS sparc") {
		t.Errorf("another system: %v", err)
	}
	l = &line{out: bufio.NewReader(strings.NewReader("labctl-courier noroot joe\n"))}
	if err := l.greet(Job{}, nil); err == nil || !strings.Contains(err.Error(), "joe may not become root") {
		t.Errorf("no root: %v", err)
	}
	l = &line{out: bufio.NewReader(strings.NewReader("Welcome\n"))}
	if err := l.greet(Job{}, nil); err == nil {
		t.Error("a far end that does not come up is greeted")
	}
}

func TestBundleIsNamedByItsContent(t *testing.T) {
	dir := t.TempDir()
	programs := map[string]string{"labctl": filepath.Join(dir, "a"), "labctl-guest": filepath.Join(dir, "b")}
	write := func(a, b string) string {
		if err := errors.Join(os.WriteFile(programs["labctl"], []byte(a), 0o600), os.WriteFile(programs["labctl-guest"], []byte(b), 0o600)); err != nil {
			t.Fatal(err)
		}
		_, digest, err := bundle(programs)
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	one, two := write("x", "y"), write("xy", "")
	if one == two || one != write("x", "y") {
		t.Errorf("%s, %s", one, two)
	}
	pack, _, _ := bundle(programs)
	text, err := pack()
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var held []string
	for archive := tar.NewReader(zip); ; {
		head, err := archive.Next()
		if err != nil {
			break
		}
		content, _ := io.ReadAll(archive)
		held = append(held, fmt.Sprintf("%s %o %s", head.Name, head.Mode, content))
	}
	if got := strings.Join(held, ", "); got != "labctl 755 x, labctl-guest 755 y" {
		t.Error(got)
	}
}
