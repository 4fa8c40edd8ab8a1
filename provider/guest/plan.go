package guest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/nat"
)

// Plan implements provider.Provider. Every change inside a guest is live.
func (p *Provider) Plan(want *schema.Resource, have *provider.Object) (provider.Change, error) {
	if want == nil {
		return provider.Change{Addr: have.Addr, Action: provider.Delete, Why: "it goes with its machine", Have: have}, nil
	}
	change := provider.Change{Addr: want.Addr, Action: provider.NoOp, Want: want, Have: have}
	body, err := bodyOf(want)
	if err != nil {
		return change, err
	}
	if have == nil {
		change.Action = provider.Create
		return change, nil
	}
	read, _ := have.Aux.(*aux)
	switch {
	case read == nil:
		return change, &provider.Error{Op: "plan", Addr: want.Addr, Err: fmt.Errorf("the object was not read by this provider")}
	case read.off:
		change.Action, change.Why = provider.Verify, "its machine is off: it is read again once it runs"
		return change, nil
	case read.unmanaged:
		change.Action, change.Why = provider.Update, "labctl has not been in this guest yet: its helper is brought there first"
		return change, nil
	}
	if len(read.refused) > 0 {
		var errs []error
		for _, problem := range read.refused {
			errs = append(errs, problemError("plan", want, problem))
		}
		return change, errors.Join(errs...)
	}
	live, ok := have.Body.(*schema.Guest)
	if !ok {
		return change, &provider.Error{Op: "plan", Addr: want.Addr, Err: fmt.Errorf("a %T is no guest", have.Body)}
	}
	change.Details = details(live, body, read.rules)
	switch mark := markOf(have.Mark.Lab, want).String(); {
	case len(change.Details) > 0:
		change.Action = provider.Update
	case !read.kept && !keptButIgnored(read.keeps, want):
		change.Action, change.Why = provider.Update, "it runs as declared, and its next boot would not: what it keeps for that is older"
	case read.marked != mark:
		change.Action, change.Why = provider.Update, "its mark is not the one of this declaration"
	}
	for _, note := range []string{staleFlows(live, body), firstBoot(read.first, body)} {
		if note != "" {
			change.Why = strings.TrimPrefix(change.Why+"; "+note, "; ")
		}
	}
	return change, nil
}

// staleFlows says which tracked connections a change of NAT ends, "" where it ends none.
func staleFlows(have, want *schema.Guest) string {
	var reasons []string
	for _, s := range slices.Concat(nat.Stale(have.NAT, want.NAT), nat.Stale(have.NAT6, want.NAT6)) {
		if !slices.Contains(reasons, s.Reason) {
			reasons = append(reasons, s.Reason)
		}
	}
	if len(reasons) == 0 {
		return ""
	}
	return "tracked connections that this makes stale are removed: " + strings.Join(reasons, ", ")
}

// details lists the differences attribute by attribute, and rule by rule for the ruleset.
func details(live, want *schema.Guest, rules []nft.Difference) []provider.Detail {
	have, wanted := helper.Essence(live), helper.Essence(want)
	ruleset := [2]*schema.Ruleset{have.Ruleset, wanted.Ruleset}
	have.Ruleset, wanted.Ruleset = nil, nil
	out := provider.Diff(have, wanted)
	if len(rules) == 0 && (ruleset[0] == nil) != (ruleset[1] == nil) {
		out = append(out, provider.Detail{Path: "nftables", Old: text(ruleset[0]), New: text(ruleset[1])})
	}
	for _, d := range rules {
		out = append(out, ruleDetail(d))
	}
	for n := range out {
		out[n].Effect = provider.Live
	}
	return out
}

func text(r *schema.Ruleset) any {
	if r == nil {
		return nil
	}
	return r.Text
}

// ruleDetail is a difference of rulesets at a path such as nftables["inet filter"].input.rule.
func ruleDetail(d nft.Difference) provider.Detail {
	path := fmt.Sprintf("nftables[%q]", d.Table)
	if d.Chain != "" {
		path += "." + d.Chain
	}
	if d.Kind == "rule" || d.Kind == "element" || d.Kind == "comment" || d.Kind == "flags" {
		path += "." + d.Kind
	}
	detail := provider.Detail{Path: path}
	if d.Old != "" {
		detail.Old = d.Old
	}
	if d.New != "" {
		detail.New = d.New
	}
	return detail
}

// firstBoot says which attributes were declared otherwise when the guest was first booted, since no later boot reads them, or what
// that boot did not manage.
func firstBoot(told *helper.FirstBoot, want *schema.Guest) string {
	if told == nil {
		return ""
	}
	if told.Failed != "" {
		return "its first boot did not do all that was declared (" + told.Failed + "): replace the machine to have it done"
	}
	var names []string
	if !slices.Equal(told.Packages, want.Packages) {
		names = append(names, "packages")
	}
	if told.UserData != want.UserData {
		names = append(names, "user_data")
	}
	if len(provider.Diff(told.SSH, want.SSH)) > 0 {
		names = append(names, "ssh")
	}
	if names == nil {
		return ""
	}
	return strings.Join(names, ", ") + " changed, which only a first boot carries out: replace the machine to have it"
}

// keptButIgnored reports whether what a guest keeps for its next boot differs from the declaration only where changes are ignored.
func keptButIgnored(keeps *schema.Guest, want *schema.Resource) bool {
	body, ok := want.Body.(*schema.Guest)
	if !ok || keeps == nil || len(want.Lifecycle.IgnoreChanges) == 0 {
		return false
	}
	same := func(g *schema.Guest) string {
		return provider.Fingerprint(provider.WithoutPaths(helper.Essence(g), want.Lifecycle.IgnoreChanges))
	}
	return same(keeps) == same(body)
}

// markOf is the mark that is kept in the guest. Its fingerprint leaves out what means nothing there, so that moving a rule to
// another line of the lab's files is no change.
func markOf(lab string, want *schema.Resource) provider.Mark {
	marked := *want
	if body, ok := want.Body.(*schema.Guest); ok {
		marked.Body = provider.WithoutPaths(helper.Essence(body), want.Lifecycle.IgnoreChanges)
	}
	return provider.MarkOf(lab, &marked)
}
