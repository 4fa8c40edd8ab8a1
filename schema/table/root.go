package table

func lab() Block {
	return Block{
		Kind: "lab", Labels: []Label{{Name: "name", Doc: "The lab's name: lower-case letters, digits, - and _, at most 32."}},
		Count: Exactly1, RootOnly: true, Referable: false,
		Doc: "Names the lab. The name marks everything that the lab owns, so it is unique on a host. There is exactly one in a lab.",
		Attrs: []Attr{
			{Name: "description", Type: String, Doc: "What the lab is for."},
			{Name: "required_version", Type: String, Doc: "Versions of labctl that this lab works with, such as \">= 0.1, < 2\"."},
		},
		Example: `lab "holepunch" {
  description = "Two clients behind NAT routers"
}`,
	}
}

func variable() Block {
	return Block{
		Kind: "variable", Labels: []Label{{Name: "name", Doc: "The name; its value is var.NAME."}},
		Doc: "Declares an input of the lab or of a module. A variable without a default must be given a value.",
		Attrs: []Attr{
			{Name: "type", Type: TypeExpr, Doc: "What it takes, as in Terraform: string, number, bool, any, list(…), set(…), map(…), tuple([…]) or object({…}), with optional(TYPE, DEFAULT) for attributes that may be left out."},
			{Name: "default", Type: Any, Doc: "The value where none is given. It may not refer to anything."},
			{Name: "description", Type: String, Doc: "What it is for."},
			{Name: "sensitive", Type: Bool, Default: "false", Doc: "Whether the value, and all that is made from it, is hidden wherever labctl shows or saves something."},
			{Name: "nullable", Type: Bool, Default: "true", Doc: "Whether null is a value of its own; where false, null means the default."},
		},
		Blocks: []Block{{
			Kind: "validation",
			Doc:  "A condition that the value must meet.",
			Attrs: []Attr{
				{Name: "condition", Type: Bool, Required: true, Doc: "True where the value is good."},
				{Name: "error_message", Type: String, Required: true, Doc: "What to tell whoever gave a bad one."},
			},
		}},
		Example: `variable "nat_b" {
  type    = string
  default = "port_restricted_cone"
}`,
	}
}

func locals() Block {
	return Block{
		Kind: "locals", Free: true,
		Doc: "Names values for use in this folder's files, as local.NAME.",
		Example: `locals {
  sites = { a = "192.168.111", b = "192.168.222" }
}`,
	}
}

func output() Block {
	return Block{
		Kind: "output", Labels: []Label{{Name: "name", Doc: "The name. A module's output is module.MODULE.NAME."}},
		Doc: "A value that the lab shows after an apply, or that a module gives to whoever calls it.",
		Attrs: []Attr{
			{Name: "value", Type: Any, Required: true, Doc: "The value."},
			{Name: "description", Type: String, Doc: "What it is."},
			{Name: "sensitive", Type: Bool, Default: "false", Doc: "Whether it is hidden on the screen."},
		},
		Blocks: []Block{condition("precondition", "A condition that must hold for the output to be given.")},
	}
}

func module() Block {
	return Block{
		Kind: "module", Labels: []Label{{Name: "name", Doc: "The name, as in module.NAME."}},
		Free: true, Meta: true, Referable: true,
		Doc: "Uses another folder of *.hcl files. Every further argument is the value of one of its variables.",
		Attrs: []Attr{
			{Name: "source", Type: Static, Required: true, Doc: "The folder, beginning with ./ or ../, as text with no references in it."},
		},
		Example: `module "site" {
  source   = "./site"
  for_each = toset(["a", "b"])
  name     = each.key
}`,
	}
}

func moved() Block {
	return Block{
		Kind: "moved",
		Doc:  "Says that what was declared under one address is declared under another now: it is kept, not deleted and made again.",
		Attrs: []Attr{
			{Name: "from", Type: Static, Required: true, Doc: "The old address."},
			{Name: "to", Type: Static, Required: true, Doc: "The new address."},
		},
		Example: `moved {
  from = vm.nat_a
  to   = vm.nat["a"]
}`,
	}
}

func removed() Block {
	return Block{
		Kind: "removed",
		Doc:  "Says that a block was taken out of the lab on purpose.",
		Attrs: []Attr{
			{Name: "from", Type: Static, Required: true, Doc: "The address that it had."},
			{Name: "destroy", Type: Bool, Default: "true", Doc: "Whether the thing is deleted. Where false, labctl lets go of it and does not touch it."},
		},
	}
}

func imported() Block {
	return Block{
		Kind: "import",
		Doc:  "Takes over a thing that exists already.",
		Attrs: []Attr{
			{Name: "for_each", Type: Any, Doc: "A map, an object or a set of strings: one thing is taken over for each element; each.key and each.value are the element's."},
			{Name: "to", Type: Static, Required: true, Doc: "The address under which it is declared; its key may be an expression, as in vm.a[each.key]."},
			{Name: "id", Type: String, Required: true, Doc: "What its own system calls it: a domain's, bridge's or network's name."},
		},
	}
}

func condition(kind, doc string) Block {
	return Block{Kind: kind, Doc: doc, Attrs: []Attr{
		{Name: "condition", Type: Bool, Required: true, Doc: "True where all is well."},
		{Name: "error_message", Type: String, Required: true, Doc: "What to say where it is not."},
	}}
}

func metaAttrs() []Attr {
	return []Attr{
		{Name: "for_each", Type: Any, Doc: "A map, an object or a set of strings: one instance is made for each element; each.key and each.value are the element's."},
		{Name: "count", Type: Int, Min: ptr(0), Doc: "How many instances to make; count.index is the number of each, from 0. It excludes for_each."},
		{Name: "depends_on", Type: Static, Coll: List, Doc: "Blocks or modules that must be there before this one. What it is plugged into or made from is so by itself; other references take values alone, which are known before anything is made."},
	}
}

func lifecycle() Block {
	return Block{
		Kind: "lifecycle", Count: AtMost1, Instead: instead()["lifecycle"],
		Doc: "How the thing may change.",
		Attrs: []Attr{
			{Name: "prevent_destroy", Type: Bool, Default: "false", Doc: "Whether any plan that would delete or replace the thing is refused. It is kept in the mark on the thing, so it holds after the block is gone too."},
			{Name: "ignore_changes", Type: Static, Coll: List, Doc: "Arguments whose drift is left alone; all for every one."},
			{Name: "replace_triggered_by", Type: Static, Coll: List, Doc: "Blocks, or arguments of blocks such as bridge.br0.mac, whose change replaces this one."},
		},
		Blocks: []Block{
			condition("precondition", "A condition that must hold before anything is planned."),
			condition("postcondition", "A condition on the thing itself, which is self here."),
		},
	}
}
