package nftables

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// planTime bounds the scratch load of a ruleset that no Read has seen.
const planTime = 30 * time.Second

// Plan implements provider.Provider. Its details are rules, elements and objects, each as nft lists it.
func (p *Provider) Plan(want *schema.Resource, have *provider.Object) (provider.Change, error) {
	if want == nil {
		return provider.Change{Addr: have.Addr, Action: provider.Delete, Have: have}, nil
	}
	c := provider.Change{Addr: want.Addr, Want: want, Have: have}
	body, ok := want.Body.(*schema.Ruleset)
	if !ok {
		return c, &provider.Error{Op: "plan ruleset", Addr: want.Addr, Err: fmt.Errorf("its body is a %T", want.Body)}
	}
	ctx, cancel := context.WithTimeout(context.Background(), planTime)
	defer cancel()
	wanted, err := p.canonical(ctx, *body)
	if err != nil {
		return c, &provider.Error{Op: "plan ruleset", Addr: want.Addr, Err: err}
	}
	if have == nil {
		c.Action, c.Details = provider.Create, details(nil, wanted.tables)
		return c, nil
	}
	known, _ := have.Aux.(aux)
	if known.holder != "" && have.Mark.Lab == known.holderLab {
		return c, foreign(want.Addr, known.holder)
	}
	c.Details = details(known.tables, wanted.tables)
	c.Action, c.Why = provider.Update, "the rules differ from what is declared"
	if missing := missingTables(known.tables, wanted.tables); len(missing) > 0 {
		c.Why = "the host has no table " + strings.Join(missing, ", ")
	}
	if len(c.Details) > 0 {
		return c, nil
	}
	c.Details = savedDetails(known, want, wanted)
	if len(c.Details) > 0 {
		c.Why = c.Details[0].Why
		return c, nil
	}
	c.Action, c.Why = provider.NoOp, ""
	return c, nil
}

func foreign(addr schema.Addr, holder string) error {
	return &provider.Error{Op: "plan ruleset", Addr: addr, Err: fmt.Errorf("%s: it %w", holder, provider.ErrForeign),
		Hint: "give the table another name, or take the existing one over with an import block"}
}

func missingTables(have, want []nft.Table) []string {
	var missing []string
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h nft.Table) bool { return h.ID() == w.ID() }) {
			missing = append(missing, w.ID())
		}
	}
	return missing
}

// details are the differences of tables, all of them live. Comments of tables are left out: the mark stands there.
func details(have, want []nft.Table) []provider.Detail {
	var out []provider.Detail
	for _, d := range nft.Diff(bare(have), bare(want)) {
		path := fmt.Sprintf("table[%q]", d.Table)
		switch {
		case d.Kind == "rule":
			path += fmt.Sprintf(".chain.%s.rule", d.Chain)
		case d.Kind == "element":
			path += fmt.Sprintf(".set.%s.element", d.Chain)
		case d.Chain != "":
			path += fmt.Sprintf(".%s.%s", strings.ReplaceAll(d.Kind, " ", "_"), d.Chain)
		case d.Kind != "table":
			path += "." + d.Kind
		}
		detail := provider.Detail{Path: path, Effect: provider.Live}
		if d.Old != "" {
			detail.Old = d.Old
		}
		if d.New != "" {
			detail.New = d.New
		}
		out = append(out, detail)
	}
	return out
}

func bare(tables []nft.Table) nft.Ruleset {
	r := nft.Ruleset{Tables: slices.Clone(tables)}
	for i := range r.Tables {
		r.Tables[i].Comment = ""
	}
	return r
}

// savedDetails is what would not come back as declared after a reboot of the host.
func savedDetails(known aux, want *schema.Resource, wanted canonical) []provider.Detail {
	if len(known.tables) > 0 && known.path == "" {
		return []provider.Detail{{Path: "persistent", Old: false, New: true, Effect: provider.Live,
			Why: "the rules are loaded but not saved: they would be gone after a reboot"}}
	}
	if known.path != "" && !sameTransaction(known.saved, wanted) {
		return []provider.Detail{{Path: "persistent", Old: "other rules", New: "the declared rules", Effect: provider.Live,
			Why: known.path + " holds other rules than those that are loaded"}}
	}
	if known.path != "" && !known.unit {
		return []provider.Detail{{Path: "persistent", Old: "not enabled", New: "enabled", Effect: provider.Live,
			Why: "the unit that loads the rules when the host starts is not as labctl writes it"}}
	}
	return nil
}

// body is the text of a saved file without its comment lines.
func body(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// sameTransaction compares without the comments of tables, which tell of the mark at the time of writing.
func sameTransaction(text string, wanted canonical) bool {
	return withComment(body(text), "") == transaction(wanted, "", nil, func(string) bool { return true })
}
