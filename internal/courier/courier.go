// Package courier has a command of labctl carried out on another machine, which is reached over ssh alone.
//
// labctl brings itself along: the far machine keeps the program under a name made of its content, and the same program runs
// there with the same arguments, so the two always understand each other. What the command needs of this machine goes with it
// as one parcel; its streams, signals, files and exit code pass in frames over the one connection. Nothing secret is an
// argument, and nothing is left on the far machine but the program.
//
// On the far machine Serve stands between the connection and the command. When the connection is lost, the command gets what
// Ctrl-C is: it ends what is under way and begins nothing more.
package courier

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"time"
)

// ServeArg is the argument that makes labctl the far end of a courier: main hands over to Serve when it is the first one.
const ServeArg = "courier-serve"

// Variable is set in the environment of a command that was sent by a courier. See Terminal for its value.
const Variable = "LABCTL_COURIER"

// How the two ends find out that the other is gone: the near one speaks every so often, and a far one that hears nothing for
// long enough is alone. It is longer than a change of the network that is taken back by itself lasts.
const (
	pingEvery = 5 * time.Second
	pingWait  = 150 * time.Second
)

// hello is the first word of each line with which the far machine speaks before frames do; what shells print is passed over.
const hello = "labctl-courier"

// Job is one command for the far machine.
type Job struct {
	To       Destination
	Programs map[string]string // files that are sent ahead, once: by name, the path here; labctl is among them
	Args     []string          // of labctl
	Env      []string
	Parcel   []byte // what Inbox gives the command
	Terminal Terminal

	// Answer answers what the command asks of this machine while it runs; nil answers nothing.
	Answer func(question []byte) ([]byte, error)

	Stdin          io.Reader // nil: the command gets no input
	Stdout, Stderr io.Writer
	Writable       []string // files here that the command may write, by the names that it knows them by
	Raw            bool     // every key of the terminal on standard input goes to the command
}

// Terminal tells a command which of its streams are terminals here.
type Terminal struct {
	In, Out, Err  bool
	Columns, Rows int
}

// String is the form in which Variable carries it.
func (t Terminal) String() string {
	return fmt.Sprintf("%t %t %t %d %d", t.In, t.Out, t.Err, t.Columns, t.Rows)
}

// ParseTerminal reads what String wrote.
func ParseTerminal(text string) (t Terminal, err error) {
	_, err = fmt.Sscanf(text, "%t %t %t %d %d", &t.In, &t.Out, &t.Err, &t.Columns, &t.Rows)
	return t, err
}

// Destination is where ssh goes.
type Destination struct {
	Host string // HOST, USER@HOST or a name from the user's ssh configuration
	Port string // "" for the usual one
}

// String is the destination as people write it.
func (d Destination) String() string {
	if d.Port == "" {
		return d.Host
	}
	return d.Host + ":" + d.Port
}

var destination = regexp.MustCompile(`^([A-Za-z0-9._][A-Za-z0-9._+-]*@)?([A-Za-z0-9_][A-Za-z0-9._-]*|\[?[0-9A-Fa-f:]+(%[A-Za-z0-9._-]+)?\]?)$`)

// ParseDestination reads [USER@]HOST[:PORT]; an IPv6 address with a port stands in brackets. What ssh could take for an option
// or a command is refused.
func ParseDestination(text string) (Destination, error) {
	d := Destination{Host: text}
	user, address, named := strings.Cut(text, "@")
	if !named {
		user, address = "", text
	}
	if strings.Count(address, ":") == 1 || strings.Contains(address, "]:") {
		name, port, err := net.SplitHostPort(address)
		if err != nil || !regexp.MustCompile(`^[0-9]{1,5}$`).MatchString(port) {
			return d, fmt.Errorf("%q is no destination of ssh: write USER@HOST or USER@HOST:PORT", text)
		}
		address, d.Port = name, port
	}
	d.Host = strings.Trim(address, "[]")
	if named {
		d.Host = user + "@" + d.Host
	}
	if !destination.MatchString(d.Host) {
		return d, fmt.Errorf("%q is no destination of ssh: write USER@HOST or USER@HOST:PORT", text)
	}
	return d, nil
}
