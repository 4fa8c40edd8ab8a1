package courier

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/host"
)

// store is where a far machine keeps the programs that came, one folder for each content. Only root writes there.
const store = "/var/lib/labctl/programs"

// bootstrap runs on the far machine before labctl does: it takes the programs in, where they are not there yet, and starts the
// far end. It has no quote, backslash or exclamation mark, so that it stands in single quotes in every shell. Programs that
// nobody has called for 30 days go when others come.
const bootstrap = `h=` + hello + `; d=` + store + `/DIGEST; S=
umask 022; PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH
if [ "$(id -u)" -ne 0 ]; then
  S="sudo -n"
  sudo -n true 2>/dev/null || { echo "$h noroot $(id -un)"; exit 1; }
fi
if [ -d $d ]; then $S touch $d; else
  echo "$h want $(uname -s) $(uname -m)"
  read n || exit 1
  t=$d.$$
  $S mkdir -p $t || exit 1
  if head -c $n | $S tar -xzf - -C $t; then $S mv -T $t $d 2>/dev/null; fi
  $S rm -rf $t
  [ -d $d ] || exit 1
  $S find ` + store + ` -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} +
fi
exec $S env SSH_CONNECTION="$SSH_CONNECTION" $d/labctl ` + ServeArg

// machines are the names that uname(1) has for what Go calls otherwise.
var machines = map[string]string{"amd64": "x86_64", "arm64": "aarch64", "386": "i686", "riscv64": "riscv64", "ppc64le": "ppc64le", "s390x": "s390x"}

// line is an open connection: ssh, with pipes to the far end.
type line struct {
	ssh *host.Process
	in  *os.File // to the far machine
	out *bufio.Reader
	raw *os.File // what out reads
}

// dial starts ssh and brings the far end up.
func dial(j Job) (*line, error) {
	pack, digest, err := bundle(j.Programs)
	if err != nil {
		return nil, err
	}
	l, err := call(j.To, strings.Replace(bootstrap, "DIGEST", digest, 1))
	if err != nil {
		return nil, err
	}
	if err := l.greet(j, pack); err != nil {
		l.in.Close() // which ends ssh, or it has ended and said why
		ended := l.close()
		if refused, ok := errors.AsType[*RefusedError](err); ok {
			return nil, refused
		}
		return nil, errors.Join(err, ended)
	}
	return l, nil
}

// call starts ssh. It ignores the terminal's Ctrl-C, which is for the command: see ssh_signal in OpenSSH's client loop, that
// leaves an ignored signal alone. The rest is the user's own configuration.
func call(to Destination, script string) (*line, error) {
	args := []string{
		"sh", "-c", `trap "" INT QUIT; exec "$@"`, "sh",
		"ssh", "-T", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=8", "-o", "ForwardX11=no", "-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none",
	}
	if to.Port != "" {
		args = append(args, "-p", to.Port)
	}
	theirIn, ourIn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	ourOut, theirOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	defer theirOut.Close()
	ssh, err := host.Start(host.Command{Args: append(args, "--", to.Host, "exec sh -c '"+script+"'")},
		host.Files{Stdin: theirIn, Stdout: theirOut, Stderr: os.Stderr})
	if err != nil {
		ourIn.Close()
		ourOut.Close()
		return nil, err
	}
	return &line{ssh: ssh, in: ourIn, out: bufio.NewReaderSize(ourOut, 64<<10), raw: ourOut}, nil
}

// close ends the connection and returns how ssh ended where that is an error.
func (l *line) close() error {
	l.in.Close()
	state, err := l.ssh.Wait()
	l.raw.Close()
	if err == nil && state.ExitCode() != 0 {
		err = fmt.Errorf("ssh ended with %s", state)
	}
	return err
}

// greet reads what the far machine says until the far end is there, and sends it the programs if it asks.
func (l *line) greet(j Job, pack func() ([]byte, error)) error {
	for {
		text, err := l.out.ReadString('\n')
		if err != nil {
			return fmt.Errorf("labctl does not come up on %s", j.To)
		}
		words := strings.Fields(text)
		if len(words) < 2 || words[0] != hello {
			continue
		}
		switch words[1] {
		case "ready":
			return nil
		case "noroot":
			return &RefusedError{To: j.To, Why: fmt.Sprintf("the user %s may not become root there", strings.Join(words[2:], " ")),
				Hint: "log in as root, or let the user run sudo with no password (sudo -n)"}
		case "want":
			if err := l.supply(j, words[2:], pack); err != nil {
				return err
			}
		}
	}
}

// supply sends the programs.
func (l *line) supply(j Job, system []string, pack func() ([]byte, error)) error {
	if want := []string{"Linux", machines[runtime.GOARCH]}; runtime.GOOS != "linux" || !slices.Equal(system, want) {
		return &RefusedError{To: j.To, Why: fmt.Sprintf("it is %s, and this labctl is made for %s/%s", strings.Join(system, " "), runtime.GOOS, runtime.GOARCH),
			Hint: "run labctl on that host, with no ssh in its host block"}
	}
	text, err := pack()
	if err != nil {
		return err
	}
	if j.Terminal.Err {
		fmt.Fprintf(j.Stderr, "Sending labctl to %s, once for this version: %.1f MB.\n", j.To, float64(len(text))/1e6)
	}
	if _, err := fmt.Fprintf(l.in, "%d\n", len(text)); err != nil {
		return err
	}
	_, err = l.in.Write(text)
	return err
}

// RefusedError is a far machine that cannot carry commands out.
type RefusedError struct {
	To   Destination
	Why  string
	Hint string // what to do about it
}

func (e *RefusedError) Error() string { return e.Why }

// bundle is the programs as a compressed archive, made when it is asked for, and the name of their content.
func bundle(programs map[string]string) (pack func() ([]byte, error), digest string, err error) {
	sum := sha256.New()
	names := slices.Sorted(maps.Keys(programs))
	for _, name := range names {
		f, err := os.Open(programs[name])
		if err != nil {
			return nil, "", err
		}
		fmt.Fprintf(sum, "%s\n", name)
		n, err := io.Copy(sum, f)
		f.Close()
		if err != nil {
			return nil, "", err
		}
		fmt.Fprintf(sum, "\n%d\n", n)
	}
	return func() ([]byte, error) {
		var out bytes.Buffer
		zip, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
		if err != nil {
			return nil, err
		}
		archive := tar.NewWriter(zip)
		for _, name := range names {
			text, err := os.ReadFile(programs[name])
			if err != nil {
				return nil, err
			}
			if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text))}); err != nil {
				return nil, err
			}
			if _, err := archive.Write(text); err != nil {
				return nil, err
			}
		}
		err = errors.Join(archive.Close(), zip.Close())
		return out.Bytes(), err
	}, hex.EncodeToString(sum.Sum(nil))[:32], nil
}
