// Package table holds the lab language as data: every block, its labels, its arguments and its nested blocks, each with
// the sentence that documents it.
//
// Decoding, suggestions for misspelt names, the JSON Schema, the reference pages and completion are all made from it, so
// nothing about the language is said twice.
package table

// Type is what an argument takes, once evaluated.
type Type string

// The types. Size, Duration and Rate take text with a unit, or a number in the base unit.
const (
	String   Type = "string"
	Bool     Type = "bool"
	Int      Type = "int"      // a whole number
	Number   Type = "number"   //
	Text     Type = "text"     // a number, string or bool, kept as text: the value of a kernel setting
	Size     Type = "size"     // "512MiB", "2GiB", or bytes
	Duration Type = "duration" // "20ms", "1m30s", or a number in the argument's unit
	Rate     Type = "rate"     // "10mbit", "1gbit", or bits per second
	IP       Type = "ip"       // 192.0.2.1
	Address  Type = "address"  // 192.0.2.1/24: an address with its prefix length
	Prefix   Type = "prefix"   // 192.0.2.0/24, "default" or "default6"
	MAC      Type = "mac"      // 52:54:00:12:34:56
	Path     Type = "path"     // a file; a relative one is taken from the lab's folder
	Any      Type = "any"      // any value at all
	Ref      Type = "ref"      // a block of kind Attr.Ref, or its name
	Endpoint Type = "endpoint" // a vm, an address, or { vm, address, port }
	TypeExpr Type = "type"     // a type constraint, such as map(string)
	OS       Type = "os"       // an operating system's short name in libosinfo's database
	Static   Type = "static"   // addresses of blocks or arguments, read as they stand and never evaluated
)

// Collection is whether an argument takes one value of its type, or several.
type Collection string

// The collections.
const (
	One  Collection = ""
	List Collection = "list"
	Map  Collection = "map"
)

// Attr is one argument of a block.
type Attr struct {
	Name      string
	Type      Type
	Coll      Collection
	Required  bool
	Default   string   // as it would be written in a lab; "" where leaving it out means that nothing is declared
	Derived   string   // in words, where the default depends on other things
	Enum      []string // the only values, where there are few
	Ref       string   // for Type Ref: the kind of block
	Contents  bool     // for Type Ref: what is in that block goes into this one; else it is only pointed to
	Unit      string   // for numbers: "bytes", "s", "ms", "bit/s", "%"
	Min, Max  *float64 // for numbers
	Sensitive bool     // the value is never shown
	Computed  bool     // it may not be set: it is only there to be referred to
	Later     bool     // it may be known only while the machine runs, and so is for outputs alone
	Doc       string   // one or more sentences
}

// Count is how often a nested block may stand in its parent.
type Count string

// The counts.
const (
	Many     Count = "many"
	AtMost1  Count = "at most one"
	Exactly1 Count = "one"
)

// Label is one label of a block.
type Label struct {
	Name string // the name under which its value is kept
	Doc  string
	Enum []string
}

// Block is a kind of block, at the top of a file or nested in another.
type Block struct {
	Kind   string
	Labels []Label
	// LabelOptional says that the block may stand without its label.
	LabelOptional bool
	Count         Count
	Attrs         []Attr
	Blocks        []Block
	Free          bool // it takes any further argument: locals, and a module's inputs
	Meta          bool // for_each, count, depends_on and lifecycle apply: MetaAttrs and Lifecycle
	Referable     bool // KIND.LABEL may be used in expressions
	RootOnly      bool // it may not stand in a module
	// Instead says what to write for names that people bring with them from Terraform and that mean nothing here.
	Instead map[string]string
	Doc     string
	Example string // HCL that shows it in use
}

// Attr finds an argument by name, computed ones left out.
func (b *Block) Attr(name string) *Attr {
	for i := range b.Attrs {
		if b.Attrs[i].Name == name && !b.Attrs[i].Computed {
			return &b.Attrs[i]
		}
	}
	return nil
}

// Block finds a nested block by kind.
func (b *Block) Block(kind string) *Block {
	for i := range b.Blocks {
		if b.Blocks[i].Kind == kind {
			return &b.Blocks[i]
		}
	}
	return nil
}

// Names lists the arguments and nested blocks that may be written in b.
func (b *Block) Names() (attrs, blocks []string) {
	for i := range b.Attrs {
		if !b.Attrs[i].Computed {
			attrs = append(attrs, b.Attrs[i].Name)
		}
	}
	for i := range b.Blocks {
		blocks = append(blocks, b.Blocks[i].Kind)
	}
	return attrs, blocks
}

// Root is the language: a block with no arguments whose nested blocks are those that stand at the top of a file.
// Arguments and blocks that come with Meta are already added to each.
func Root() *Block {
	root := &Block{Kind: "", Instead: instead()[""], Blocks: []Block{
		lab(), variable(), locals(), output(), module(),
		host(), bridge(), network(), image(), vm(), nftables(), check(),
		moved(), removed(), imported(),
	}}
	for i := range root.Blocks {
		b := &root.Blocks[i]
		b.Instead = instead()[b.Kind]
		if !b.Meta {
			continue
		}
		b.Attrs = append(b.Attrs, metaAttrs()...)
		if b.Kind != "module" {
			b.Blocks = append(b.Blocks, lifecycle())
			if b.Instead == nil {
				b.Instead = instead()["resource"]
			}
		}
	}
	return root
}

func ptr(n float64) *float64 { return new(n) }
