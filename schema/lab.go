package schema

import "fmt"

// Lab is a whole declared lab, every expression evaluated.
type Lab struct {
	Name        string     `json:"name"`
	Description string     `json:"description,omitempty"`
	Hosts       []Host     `json:"hosts"`
	Resources   []Resource `json:"resources"` // in order of declaration; dependencies are in Deps, not in the order
	Checks      []Check    `json:"checks,omitempty"`
	Outputs     []Output   `json:"outputs,omitempty"`
	Moved       []Moved    `json:"moved,omitempty"`
	Removed     []Removed  `json:"removed,omitempty"`
	Imports     []Import   `json:"imports,omitempty"`
}

// Resource is one thing that a provider makes.
type Resource struct {
	Addr      Addr      `json:"address"`
	Host      string    `json:"host,omitempty"` // label of the host that carries it; "" for the unlabelled one
	Deps      []Addr    `json:"depends_on,omitempty"`
	Lifecycle Lifecycle `json:"lifecycle,omitzero"`
	Sensitive []string  `json:"sensitive,omitempty"` // attribute paths whose values are never shown or saved; "all" for every one
	Body      any       `json:"body"`                // *Bridge, *Network, *Image, *Domain, *Guest, *Sysctl or *Ruleset: see NewBody
}

// NewBody is an empty body for a resource of the type (see Addr.Type), to decode JSON into.
func NewBody(typ string) (any, error) {
	switch typ {
	case "bridge":
		return new(Bridge), nil
	case "network":
		return new(Network), nil
	case "image":
		return new(Image), nil
	case "vm":
		return new(Domain), nil
	case "vm.guest":
		return new(Guest), nil
	case "host.sysctl":
		return new(Sysctl), nil
	case "host.nftables":
		return new(Ruleset), nil
	}
	return nil, fmt.Errorf("no resource is of type %q", typ)
}

// Lifecycle is how a resource may change, as in Terraform.
type Lifecycle struct {
	PreventDestroy bool     `json:"prevent_destroy,omitempty"`
	IgnoreChanges  []string `json:"ignore_changes,omitempty"`       // attribute paths; "all" for every one
	ReplaceOn      []Addr   `json:"replace_triggered_by,omitempty"` // a planned change of one of these replaces the resource
	// ReplaceOnArgument narrows it to single arguments, as in replace_triggered_by = [bridge.br0.addresses].
	ReplaceOnArgument []Argument `json:"replace_triggered_by_argument,omitempty"`
}

// Argument is one argument of a resource, by its path in the words of provider.Diff.
type Argument struct {
	Addr Addr   `json:"address"`
	Path string `json:"path"`
}

// Host is a machine that carries (a part of) the lab.
type Host struct {
	Name string `json:"name,omitempty"` // label, "" for the unlabelled one
	URI  string `json:"uri"`            // libvirt URI, "qemu:///system" unless declared
	SSH  string `json:"ssh,omitempty"`  // user@host[:port] for everything but libvirt; "" for this machine
}

// Output is a named value of the lab. Value is what encoding/json makes of JSON.
type Output struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Value       any    `json:"value"`
	Sensitive   bool   `json:"sensitive,omitempty"`
	Pending     bool   `json:"pending,omitempty"` // it is made of what is known only while machines run; Value is nil
}

// Facts is what is known of a machine only while it runs. What is not known yet is left empty.
type Facts struct {
	Leases   map[string][]string // addresses that its interfaces were given, by the interfaces' labels, with prefix lengths
	Screens  []string            // where its graphics blocks are reached, in their order: "vnc://127.0.0.1:5900"
	Serials  []string            // the pseudo-terminals of its serial blocks, in their order: "/dev/pts/3"
	Consoles []string            // likewise of its console blocks
}

// Moved says that what is marked From is now declared as To.
type Moved struct {
	From Addr `json:"from"`
	To   Addr `json:"to"`
}

// Removed says that what is marked From is no longer declared on purpose; without Destroy it is let go of, unchanged.
type Removed struct {
	From    Addr `json:"from"`
	Destroy bool `json:"destroy"`
}

// Import says that the existing thing ID (a domain's, bridge's or network's name) becomes the resource To.
type Import struct {
	To Addr   `json:"to"`
	ID string `json:"id"`
}

// Pos is where something stands in a file of the lab; zero when it stands nowhere.
type Pos struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`   // from 1
	Column int    `json:"column,omitempty"` // from 1
}

// String writes the position as compilers do.
func (p Pos) String() string {
	if p.File == "" {
		return ""
	}
	if p.Column == 0 {
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}
