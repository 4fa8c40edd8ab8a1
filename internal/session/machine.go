package session

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/labctl/labctl/schema"
)

// Machine is a machine of some lab, as its domain's mark tells.
type Machine struct {
	Lab    string      `json:"lab"`
	Addr   schema.Addr `json:"address"`
	Domain string      `json:"domain"`
	Host   string      `json:"host,omitempty"` // label of the host that carries it
	off    bool
}

// Find picks the machine that the user names: by its address, with or without the leading vm, with the key in brackets
// or behind a dot (vm.nat["a"], nat["a"], nat.a), or by its domain's name. Where labs share the address, lab decides; it
// is "" where the folder holds no lab.
func Find(all []Machine, lab, name string) (Machine, error) {
	var matches []Machine
	for _, m := range all {
		if m.Domain == name || slices.Contains(spellings(name), m.Addr) {
			matches = append(matches, m)
		}
	}
	if lab != "" && len(matches) > 1 {
		own := slices.DeleteFunc(slices.Clone(matches), func(m Machine) bool { return m.Lab != lab })
		if len(own) > 0 {
			matches = own
		}
	}
	switch len(matches) {
	case 1:
		return matches[0], nil
	case 0:
		return Machine{}, unknownMachine(all, lab, name)
	}
	var labs []string
	for _, m := range matches {
		labs = append(labs, fmt.Sprintf("%s (lab %s)", m.Domain, m.Lab))
	}
	return Machine{}, fmt.Errorf("several machines are called %s: say which by the domain's name: %s", name, strings.Join(labs, ", "))
}

// spellings lists the addresses that name may stand for.
func spellings(name string) (addrs []schema.Addr) {
	texts := []string{name, "vm." + name}
	if at := strings.LastIndexByte(name, '.'); at > 0 {
		block, key := name[:at], name[at+1:]
		if _, err := strconv.ParseUint(key, 10, 31); err != nil {
			key = strconv.Quote(key)
		}
		keyed := block + "[" + key + "]"
		texts = append(texts, keyed, "vm."+keyed)
	}
	for _, text := range texts {
		if addr, err := schema.ParseAddr(text); err == nil && addr.Kind == "vm" {
			addrs = append(addrs, addr.Whole())
		}
	}
	return addrs
}

func unknownMachine(all []Machine, lab, name string) error {
	var known []string
	for _, m := range all {
		if lab == "" || m.Lab == lab {
			known = append(known, m.Addr.String())
		}
	}
	if len(known) == 0 && lab != "" {
		return fmt.Errorf("there is no machine %s: lab %q has none here (is it applied?)", name, lab)
	}
	if len(known) == 0 {
		return fmt.Errorf("there is no machine %s: no lab has any here", name)
	}
	slices.Sort(known)
	return fmt.Errorf("there is no machine %s; there are %s", name, strings.Join(known, ", "))
}
