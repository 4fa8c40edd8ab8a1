package guest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/schema"
)

// ruleState is what an observation found out about the ruleset.
type ruleState struct {
	differences []nft.Difference
	live, want  nft.Ruleset
	listing     string // of want
}

// loaded is what is known of the wanted ruleset until the next boot, so that nft need not be asked again. The kernel counts
// the changes of its ruleset: while the count is Generation, the ruleset is the one with digest Text.
type loaded struct {
	Text       string `json:"text"`
	Generation uint32 `json:"generation,omitempty"` // 0: not known to be loaded
	Listing    string `json:"listing,omitempty"`    // what nft makes of the text, where it was asked
}

const loadedPath = helper.RunDir + "/ruleset.json"

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// loadedOf is what is known of text; the zero value where it is nothing.
func (t *task) loadedOf(text string) loaded {
	var known loaded
	data, err := t.read(loadedPath)
	if err != nil || data == "" || json.Unmarshal([]byte(data), &known) != nil || known.Text != digest(text) {
		return loaded{}
	}
	return known
}

// noteLoaded is best effort: without the note nft is asked again.
func (t *task) noteLoaded(known loaded) {
	data, err := json.Marshal(known)
	if err == nil {
		err = t.write(t.ctx, loadedPath, string(data), 0o600)
	}
	if err != nil {
		t.did("could not note the ruleset: %v", err)
	}
}

func (t *task) observeRules() {
	t.rules = ruleState{}
	switch {
	case t.want.Ruleset != nil:
		t.problem("nftables", t.compareRules())
	case t.kept.Guest.Ruleset != nil: // declared once, and to go
		live, listing, err := nft.List(t.ctx, t.Host)
		t.problem("nftables", err)
		if len(live.Tables) > 0 {
			t.have.Ruleset = &schema.Ruleset{Text: listing}
			t.rules = ruleState{live: live, differences: nft.Diff(live, nft.Ruleset{})}
		}
	}
}

func (t *task) compareRules() error {
	text := t.want.Ruleset.Text
	known := t.loadedOf(text)
	before, err := generation()
	if err == nil && known.Generation != 0 && known.Generation == before {
		return nil
	}
	live, listing, err := nft.List(t.ctx, t.Host)
	if err != nil {
		t.have.Ruleset = nil
		return err
	}
	want, wantListing, err := t.canonical(known, text)
	if err != nil {
		t.have.Ruleset = &schema.Ruleset{Text: listing}
		t.refused(err)
		return nil
	}
	t.rules = ruleState{live: live, want: want, listing: wantListing, differences: nft.Diff(live, want)}
	note := loaded{Text: digest(text), Listing: wantListing}
	if len(t.rules.differences) > 0 {
		t.have.Ruleset = &schema.Ruleset{Text: listing}
	} else if after, err := generation(); err == nil && after == before {
		note.Generation = after
	}
	if note != known {
		t.noteLoaded(note)
	}
	return nil
}

// canonical is the wanted ruleset as nft lists it.
func (t *task) canonical(known loaded, text string) (nft.Ruleset, string, error) {
	if known.Listing != "" {
		want, err := nft.Parse([]byte(known.Listing))
		return want, known.Listing, err
	}
	var names []string // rules may name links by index, and then nft wants to see them
	if links, err := netlink.LinkList(); err == nil && strings.Contains(text, "if ") || strings.Contains(text, "device") {
		for _, link := range links {
			if link.Attrs().Name != "lo" {
				names = append(names, link.Attrs().Name)
			}
		}
	}
	return nft.Scratch(t.ctx, t.Host, text, names...)
}

// refused notes what nft says of the wanted ruleset, line by line.
func (t *task) refused(err error) {
	bad, ok := errors.AsType[*nft.RefusedError](err)
	if !ok {
		t.problem("nftables", err)
		return
	}
	t.problems = append(t.problems, helper.Problem{Code: helper.Refused, Path: "nftables", Message: bad.Error(), Lines: bad.Lines})
}

func (t *task) applyRules() {
	switch {
	case t.want.Ruleset == nil && len(t.rules.differences) > 0:
		t.problem("nftables", nft.Load(t.ctx, t.Host, "flush ruleset\n"))
		t.did("remove the ruleset")
		t.dropFlows()
	case t.want.Ruleset == nil:
	case t.rules.listing == "" && t.known(): // known to be loaded
	case t.rules.listing == "":
		t.loadWhole()
	case len(t.rules.differences) > 0:
		t.loadTables()
		t.dropFlows()
	}
}

func (t *task) known() bool {
	known := t.loadedOf(t.want.Ruleset.Text)
	now, err := generation()
	return err == nil && known.Generation != 0 && known.Generation == now
}

// loadWhole loads the ruleset as declared.
func (t *task) loadWhole() {
	text := t.want.Ruleset.Text
	before, beforeErr := generation()
	if err := nft.Replace(t.ctx, t.Host, text); err != nil {
		t.refused(err)
		return
	}
	t.did("load the ruleset")
	// Exactly one step further: nobody else has changed it meanwhile.
	if now, err := generation(); beforeErr == nil && err == nil && now == before+1 {
		t.noteLoaded(loaded{Text: digest(text), Generation: now, Listing: t.rules.listing})
	}
}

// loadTables replaces the tables that differ, so that the others keep their counters and what they have learnt. nft's own
// listing is loaded; where that is not taken or does not come out as wanted, the whole ruleset is loaded as declared.
func (t *task) loadTables() {
	var script strings.Builder
	done := map[string]bool{}
	for _, d := range t.rules.differences {
		if done[d.Table] {
			continue
		}
		done[d.Table] = true
		if family, name, _ := strings.Cut(d.Table, " "); t.rules.live.Table(family, name) != nil {
			script.WriteString("delete table " + d.Table + "\n")
		}
		script.WriteString(nft.TableText(t.rules.listing, d.Table))
	}
	if err := nft.Load(t.ctx, t.Host, script.String()); err == nil {
		if live, _, err := nft.List(t.ctx, t.Host); err == nil && nft.Equal(live, t.rules.want) {
			t.did("load %d tables of the ruleset", len(done))
			return
		}
	}
	t.loadWhole()
}
