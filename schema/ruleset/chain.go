package ruleset

import (
	"fmt"
	"strings"

	"github.com/labctl/labctl/schema/decode"
	"github.com/labctl/labctl/schema/diag"
)

func (w *writer) chain(n *decode.Node) {
	if n.Has("hook") {
		w.hook(n)
	} else {
		for _, name := range []string{"type", "priority", "policy", "device"} {
			if n.Has(name) {
				w.diags = append(w.diags, diag.In(diag.New(diag.MissingArgument, n.At(name), fmt.Sprintf("A chain without hook has no %s", name),
					"Such a chain is only jumped to. Give it a hook to make it see packets by itself."), n.DefRange))
			}
		}
	}
	for i, rule := range texts(n, "rules") {
		at := n.Find(fmt.Sprintf("rules[%d]", i))
		rule = strings.TrimSpace(rule)
		if rule == "" || strings.Contains(rule, "\n") {
			w.diags = append(w.diags, diag.New(diag.Malformed, at, "An element of rules is one rule", "It is on one line and not empty. Write each rule as an element of its own."))
			continue
		}
		w.line(at, "%s", rule)
	}
}

func (w *writer) hook(n *decode.Node) {
	hook, typ, priority := n.Text("hook"), n.Text("type"), n.Text("priority")
	if typ == "" {
		typ = "filter"
	}
	if priority == "" {
		priority = defaultPriority(typ, hook)
	}
	device := ""
	devices := texts(n, "device")
	bound := hook == "ingress" || hook == "egress"
	switch {
	case bound && len(devices) == 0:
		w.diags = append(w.diags, diag.New(diag.MissingArgument, n.At("hook"), fmt.Sprintf("The hook %s needs device", hook),
			`Say which interfaces it stands at: device = ["eth0"].`))
	case !bound && len(devices) > 0:
		w.diags = append(w.diags, diag.New(diag.Conflict, n.At("device"), fmt.Sprintf("The hook %s takes no device", hook),
			"Only ingress and egress stand at an interface; match iifname or oifname in the rules instead."))
	case len(devices) == 1:
		device = fmt.Sprintf(" device %q", devices[0])
	case len(devices) > 1:
		device = fmt.Sprintf(" devices = { %s }", strings.Join(quoted(devices), ", "))
	}
	policy := n.Text("policy")
	if policy == "" {
		policy = "accept"
	}
	w.line(n.At("hook"), "type %s hook %s%s priority %s; policy %s;", typ, hook, device, priority, policy)
}

// defaultPriority is where chains of a type usually stand: address translation before routing for destinations, after it
// for sources, as nft(8) names the places.
func defaultPriority(typ, hook string) string {
	switch {
	case typ == "nat" && (hook == "prerouting" || hook == "output"):
		return "-100" // dstnat; nft knows that name in prerouting only
	case typ == "nat":
		return "100" // srcnat
	case typ == "route":
		return "mangle"
	}
	return "filter"
}

func (w *writer) set(n *decode.Node) {
	switch typ, typeof := n.Text("type"), n.Text("typeof"); {
	case typ != "" && typeof != "":
		w.diags = append(w.diags, diag.New(diag.Conflict, n.At("typeof"), "type and typeof exclude each other", "Keep one of them."))
	case typ != "":
		w.line(n.At("type"), "type %s", typ)
	case typeof != "":
		w.line(n.At("typeof"), "typeof %s", typeof)
	default:
		w.diags = append(w.diags, diag.New(diag.MissingArgument, n.DefRange, fmt.Sprintf("The %s has no type", n.Def.Kind),
			"Give it type, such as ipv4_addr, or typeof, such as ip saddr."))
	}
	if flags := texts(n, "flags"); len(flags) > 0 {
		w.line(n.At("flags"), "flags %s", strings.Join(flags, ","))
	}
	for _, name := range []string{"timeout", "gc_interval", "policy"} {
		if n.Has(name) {
			w.line(n.At(name), "%s %s", strings.ReplaceAll(name, "_", "-"), n.Text(name))
		}
	}
	if n.Has("size") {
		w.line(n.At("size"), "size %s", n.Argument("size").AsBigFloat().Text('f', 0))
	}
	if n.Flag("auto_merge") {
		w.line(n.At("auto_merge"), "auto-merge")
	}
	list := texts(n, "elements")
	if len(list) == 0 {
		return
	}
	w.line(n.At("elements"), "elements = {")
	w.depth++
	for i, element := range list {
		w.line(n.Find(fmt.Sprintf("elements[%d]", i)), "%s,", strings.TrimSpace(element))
	}
	w.depth--
	w.line(n.At("elements"), "}")
}
