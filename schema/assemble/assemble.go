// Package assemble makes the resources of a lab of its decoded blocks: it works out what blocks leave to labctl (names, MAC
// addresses, routes' interfaces, rulesets) and what depends on what.
package assemble

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/osvariant"
)

// Assembler collects the resources of one lab. Block is called for every instance of a block, those that it refers to
// before it; then Finish. It is for one goroutine.
type Assembler struct {
	// Facts are what is known of machines that run, by their addresses.
	Facts map[schema.Addr]*schema.Facts

	lab     string
	dir     string // the lab's folder as it stands in file names
	reader  *decode.Reader
	systems osvariant.Systems

	blocks    []*block
	byAddr    map[schema.Addr]*block
	byKind    map[string][]*block
	hosts     []*block
	rulesets  map[schema.Addr]*schema.Ruleset
	gateways  map[string]*block // vms by bridge and address
	dependent map[schema.Addr][]schema.Addr
	anyFailed bool // a block is in error, so what others do is not wholly known
}

// block is one instance of a block and what was made of it.
type block struct {
	addr      schema.Addr
	node      *decode.Node
	order     Order
	host      string
	deps      []schema.Addr
	lifecycle schema.Lifecycle
	problems  hcl.Diagnostics

	bridge  *schema.Bridge
	network *schema.Network
	image   *schema.Image
	domain  *schema.Domain
	guest   *schema.Guest
	os      *schema.OSDefaults // what os_variant stands for, or nil
	used    bool               // nftables: somebody loads it
}

// Order is where an instance stands in the lab: by declaration, then by instance.
type Order struct{ Block, Module, Instance int }

func (o Order) compare(p Order) int {
	return slices.Compare([]int{o.Block, o.Module, o.Instance}, []int{p.Block, p.Module, p.Instance})
}

// New makes an Assembler for the lab of the name. Dir is the lab's folder as it stands in file names. Systems, which may be
// nil, knows what os_variant stands for.
func New(lab, dir string, reader *decode.Reader, systems osvariant.Systems) *Assembler {
	return &Assembler{
		lab: lab, dir: dir, reader: reader, systems: systems,
		byAddr: make(map[schema.Addr]*block), byKind: make(map[string][]*block),
		rulesets: make(map[schema.Addr]*schema.Ruleset), dependent: make(map[schema.Addr][]schema.Addr),
	}
}

// Instance is a decoded block with what only its surroundings know.
type Instance struct {
	Addr      schema.Addr
	Node      *decode.Node
	Order     Order
	Lifecycle schema.Lifecycle
	DependsOn []schema.Addr // blocks or modules, as written
}

// Block takes an instance up, and gives its node the values that labctl derives, so that references see them.
func (a *Assembler) Block(in Instance) hcl.Diagnostics {
	b := &block{addr: in.Addr, node: in.Node, order: in.Order, lifecycle: in.Lifecycle}
	a.blocks = append(a.blocks, b)
	a.byAddr[b.addr] = b
	a.byKind[b.addr.Kind] = append(a.byKind[b.addr.Kind], b)
	if len(in.DependsOn) > 0 {
		a.dependent[b.addr] = in.DependsOn
	}
	b.node.Set("id", cty.StringVal(b.addr.String()))
	if b.node.Failed {
		return nil
	}
	var diags hcl.Diagnostics
	if v := b.node.Argument("name"); v.Sensitive {
		diags = append(diags, diag.New(diag.SensitiveKey, v.Place(), "A name may not be sensitive", "Everybody on the host sees it. Use nonsensitive(…) where it is no secret."))
		b.node.Failed = true
		return diag.At(b.addr.String(), diags)
	}
	switch b.addr.Kind {
	case "host":
		a.hosts = append(a.hosts, b)
	case "bridge":
		diags = a.bridge(b)
	case "network":
		diags = a.networkBlock(b)
	case "image":
		diags = a.imageBlock(b)
	case "nftables":
		diags = a.nftables(b)
	case "vm":
		diags = a.vm(b)
	}
	diags = append(diags, b.problems...)
	if diags.HasErrors() {
		b.node.Failed = true
	}
	return diag.At(b.addr.String(), diags)
}

// Declares reports whether just this instance is declared.
func (a *Assembler) Declares(addr schema.Addr) bool { return a.byAddr[addr.Whole()] != nil }

// Has reports whether the instance is declared, or any where addr has no key.
func (a *Assembler) Has(addr schema.Addr) bool {
	if a.Declares(addr) {
		return true
	}
	if addr.Key != "" {
		return false
	}
	for _, b := range a.byKind[addr.Kind] {
		if b.addr.Block() == addr.Whole() {
			return true
		}
	}
	return false
}

// sanitize makes a part of a name of an instance key.
func sanitize(key string) string {
	key = strings.Trim(key, `"`)
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '-'
	}, key)
}

// label is the block's label, with -KEY under for_each and count.
func label(addr schema.Addr) string {
	if addr.Key == "" {
		return addr.Name
	}
	return addr.Name + "-" + sanitize(addr.Key)
}

// qualified is label with the names and keys of the modules around it.
func qualified(addr schema.Addr) string {
	if addr.Module == "" {
		return label(addr)
	}
	var parts []string
	for _, part := range strings.Split(strings.TrimPrefix(addr.Module, "module."), ".module.") {
		name, key, indexed := strings.Cut(part, "[")
		parts = append(parts, name)
		if indexed {
			parts = append(parts, sanitize(strings.TrimSuffix(key, "]")))
		}
	}
	return strings.Join(append(parts, label(addr)), "-")
}

// reference is what an argument of type Ref holds: a block of the lab, or else a name.
type reference struct {
	block *block
	name  string
}

// refer reads a reference to a block of the kind. It is nil with no diagnostics where the block itself was in error.
func (a *Assembler) refer(v cty.Value, kind string, at hcl.Range) (*reference, *hcl.Diagnostic) {
	ty := v.Type()
	if ty == cty.String {
		return &reference{name: v.AsString()}, nil
	}
	if !ty.IsObjectType() || !ty.HasAttribute("id") {
		detail := fmt.Sprintf("Write %s.NAME.", kind)
		if key, ok := instanceKey(v, kind); ok {
			detail = fmt.Sprintf("The block has several instances; name one of them, as %s.", key)
		}
		return nil, diag.New(diag.WrongRef, at, "This is not "+article(kind), detail)
	}
	id := v.GetAttr("id")
	if id.IsNull() || id.Type() != cty.String {
		return nil, diag.New(diag.WrongRef, at, "This is not "+article(kind), fmt.Sprintf("Write %s.NAME.", kind))
	}
	addr, err := schema.ParseAddr(id.AsString())
	b := a.byAddr[addr]
	if err != nil || addr.Kind != kind || b == nil {
		return nil, diag.New(diag.WrongRef, at, fmt.Sprintf("%s is not %s", id.AsString(), article(kind)), fmt.Sprintf("Write %s.NAME.", kind))
	}
	if b.node.Failed {
		return nil, nil
	}
	return &reference{block: b}, nil
}

func article(kind string) string {
	if strings.ContainsRune("aeiou", rune(kind[0])) {
		return "an " + kind
	}
	return "a " + kind
}

// instanceKey is the address of one of the instances that v holds, if that is what it is.
func instanceKey(v cty.Value, kind string) (string, bool) {
	if !v.CanIterateElements() {
		return "", false
	}
	it := v.ElementIterator() // the first element stands for all
	if !it.Next() {
		return "", false
	}
	_, element := it.Element()
	if ty := element.Type(); !ty.IsObjectType() || !ty.HasAttribute("id") {
		return "", false
	}
	id := element.GetAttr("id")
	if id.Type() != cty.String || id.IsNull() || !strings.Contains(id.AsString(), kind+".") {
		return "", false
	}
	addr, err := schema.ParseAddr(id.AsString())
	addr.Module = ""
	return addr.String(), err == nil
}

// place finds the host of a block, and tells of a missing or unknown one in Finish, when all hosts are known.
func (a *Assembler) place(b *block) hcl.Diagnostics {
	v, ok := b.node.Value("host")
	if !ok {
		return nil
	}
	ref, d := a.refer(v.Value, "host", v.Place())
	switch {
	case d != nil:
		return hcl.Diagnostics{d}
	case ref == nil:
		b.node.Failed = true
	case ref.block != nil:
		b.host = ref.block.addr.Name
	default:
		b.host = ref.name
	}
	return nil
}

func text(v cty.Value) []string {
	if v == cty.NilVal || v.LengthInt() == 0 {
		return nil
	}
	var out []string
	for _, element := range v.AsValueSlice() {
		out = append(out, element.AsString())
	}
	return out
}

// bare is an address without its prefix length.
func bare(address string) string {
	ip, _, _ := strings.Cut(address, "/")
	return ip
}
