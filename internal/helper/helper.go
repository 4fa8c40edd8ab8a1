// Package helper is what labctl and its helper inside guests (labctl-guest) say to each other: one JSON request on the
// helper's standard input, one JSON response on its standard output.
package helper

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/schema"
)

// Protocol is the version of the requests and responses below. A helper refuses another one.
const Protocol = 1

// MaxMessage bounds a request or response, in bytes: the agent's protocol carries it in base64, and libvirt takes at most
// 4 MiB at once.
const MaxMessage = 2 << 20

// Where the helper and what it keeps are in a guest.
const (
	Name        = "labctl-guest"                 // as started by name, found in the guest's PATH
	InstallPath = "/usr/local/sbin/labctl-guest" // where it is installed on a distribution
	UploadPath  = "/var/lib/labctl/labctl-guest" // where labctl puts a newer one through the agent; the installed one hands over to it
	PersistPath = "/var/lib/labctl/persist.json" // a Persist: what the next boot makes so
	RunDir      = "/run/labctl"                  // what holds until the next boot
	SeedGuest   = "labctl/guest.json"            // on the seed disc
	SeedClone   = "labctl/clone"                 // on the seed disc of a machine that is a copy of another: what it is to be known by
	SeedLabel   = "CIDATA"                       // volume label of the seed disc
)

// Commands of the helper.
const (
	Snapshot = "snapshot" // Request → Response: what is there; changes nothing
	Converge = "converge" // Request → Response: keeps what is wanted for the next boot, makes it so, and looks again
	Boot     = "boot"     // makes so what was kept, or else what the seed disc says
	Settle   = "settle"   // started by boot: keeps the network so for a while, whatever the system's own daemon does
	Lease    = "lease"    // called by the DHCP client that the helper started, with the action as second argument
	Grow     = "grow"     // called in the micro image where its disk has grown: makes the file system on it as large
	Version  = "version"  // → Response with Build alone
)

// Request is what is asked of the helper.
type Request struct {
	Protocol int           `json:"protocol"`
	Build    string        `json:"build,omitempty"` // BuildID that the helper must have; empty for any
	Mark     string        `json:"mark,omitempty"`  // provider.Mark as text, to be kept in the guest
	Guest    *schema.Guest `json:"guest"`           // what is wanted
}

// Response is what the helper answers.
type Response struct {
	Protocol  int              `json:"protocol"`
	Build     string           `json:"build"`
	Mark      string           `json:"mark,omitempty"`    // as kept in the guest
	Guest     *schema.Guest    `json:"guest,omitempty"`   // what is there of what the request wants, and what is there beside it and should not be
	Kept      bool             `json:"kept,omitempty"`    // the next boot makes so what the request wants
	Keeps     *schema.Guest    `json:"keeps,omitempty"`   // what the next boot makes, where that is something else
	Rules     []nft.Difference `json:"rules,omitempty"`   // in which the live ruleset differs from the wanted one
	Changed   []string         `json:"changed,omitempty"` // what a converge did, in order
	Flows     int              `json:"flows,omitempty"`   // connection tracking entries that a change of NAT made stale, removed
	NAT       *schema.NAT      `json:"nat,omitempty"`     // as declared when the guest was last converged
	NAT6      *schema.NAT      `json:"nat6,omitempty"`
	FirstBoot *FirstBoot       `json:"first_boot,omitempty"`
	Problems  []Problem        `json:"problems,omitempty"`
}

// FirstBoot is what the first boot was told and what no later one repeats.
type FirstBoot struct {
	Failed   string      `json:"failed,omitempty"` // what cloud-init said that it could not do
	Packages []string    `json:"packages,omitempty"`
	UserData string      `json:"user_data,omitempty"`
	SSH      *schema.SSH `json:"ssh,omitempty"`
}

// Codes of problems.
const (
	Outdated = "outdated" // the helper's protocol or build is not the request's; nothing was done
	Refused  = "refused"  // what is wanted cannot be: Path or Lines say where
	Broken   = "failed"   // the guest's system did not do what was asked
)

// Problem is one thing that the helper could not do. It goes on with the rest.
type Problem struct {
	Code    string          `json:"code"`
	Path    string          `json:"path,omitempty"` // attribute path of the schema.Guest
	Message string          `json:"message"`
	Lines   []nft.LineError `json:"lines,omitempty"` // of Guest.Ruleset.Text
}

func (p Problem) Error() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// Persist is what the guest keeps for its next boot.
type Persist struct {
	Mark   string        `json:"mark,omitempty"` // empty until a first converge
	Guest  *schema.Guest `json:"guest"`
	Before Before        `json:"before,omitzero"`
	First  *FirstBoot    `json:"first_boot,omitempty"` // of the seed disc
	Clone  string        `json:"clone,omitempty"`      // of the copy of another machine that got an identity of its own: SeedClone
}

// Before is how things were before labctl changed them, so that what is no longer declared goes back.
type Before struct {
	Sysctl map[string]string   `json:"sysctl,omitempty"`
	MTU    map[string]int      `json:"mtu,omitempty"`  // by MAC
	Files  map[string]Original `json:"file,omitempty"` // by path
}

// Original is a file as it was; the zero value is a file that was not there.
type Original struct {
	Content []byte `json:"content,omitempty"`
	Mode    string `json:"mode,omitempty"` // octal
	Owner   string `json:"owner,omitempty"`
	There   bool   `json:"there,omitempty"`
}

// Essence is g without what means nothing inside the guest: how it is reached, what is first-boot only, and where the rules
// stand in the lab's files. It is what the guest keeps and what is compared.
func Essence(g *schema.Guest) *schema.Guest {
	out := *g
	out.Domain, out.AgentTimeout = "", 0
	out.Packages, out.UserData, out.SSH = nil, "", nil
	if g.Ruleset != nil {
		out.Ruleset = &schema.Ruleset{Text: g.Ruleset.Text}
	}
	return &out
}

// Encode writes a message as one line of JSON.
func Encode(w io.Writer, message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// DecodeRequest reads a request. One of another protocol is decoded as far as its version only: see Request.Protocol.
func DecodeRequest(data []byte) (Request, error) {
	var version struct {
		Protocol int `json:"protocol"`
	}
	if err := decode(data, &version); err != nil {
		return Request{}, err
	}
	if version.Protocol != Protocol {
		return Request{Protocol: version.Protocol}, nil
	}
	var request Request
	if err := decode(data, &request); err != nil {
		return Request{}, err
	}
	if request.Guest == nil {
		return Request{}, fmt.Errorf("the request has no guest")
	}
	return request, nil
}

// DecodeResponse reads a response; of another protocol only Protocol and Build.
func DecodeResponse(data []byte) (Response, error) {
	var head struct {
		Protocol int    `json:"protocol"`
		Build    string `json:"build"`
	}
	if err := decode(data, &head); err != nil {
		return Response{}, err
	}
	if head.Protocol != Protocol {
		return Response{Protocol: head.Protocol, Build: head.Build}, nil
	}
	var response Response
	return response, decode(data, &response)
}

func decode(data []byte, into any) error {
	if len(data) > MaxMessage {
		return fmt.Errorf("a message of %d bytes is too long", len(data))
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return fmt.Errorf("an empty message")
	}
	return json.Unmarshal(data, into)
}
