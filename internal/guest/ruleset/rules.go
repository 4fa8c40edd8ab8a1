// Package ruleset looks at a guest's nftables rules and makes them as declared, and drops the flows that a changed translation
// makes stale.
package ruleset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/labctl/labctl/internal/guest/note"
	"github.com/labctl/labctl/internal/guest/sysctl"
	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/schema"
)

// Rules is the ruleset of the network namespace that the process runs in.
type Rules struct {
	*note.Report
	Host host.Host     // runs nft
	Note string        // path of a file that lives until the next boot
	Want *schema.Guest // as declared
	Kept *schema.Guest // as declared before; never nil

	Differences []nft.Difference // found by Observe
	Flows       int              // removed by Apply

	live, want nft.Ruleset
	listing    string // of want; "" where nft was not asked
}

// loaded is what is known of the wanted ruleset until the next boot, so that nft need not be asked again. The kernel counts
// the changes of its ruleset: while the count is Generation, the ruleset is the one with digest Text.
type loaded struct {
	Boot       string `json:"boot"` // the kernel's ID of this boot
	Text       string `json:"text"`
	Generation uint32 `json:"generation,omitempty"` // 0: not known to be loaded
	Listing    string `json:"listing,omitempty"`    // what nft makes of the text, where it was asked
}

func bootID() string {
	id, err := sysctl.Read("kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return id
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// loadedOf is what is known of text; the zero value where it is nothing.
func (r *Rules) loadedOf(ctx context.Context, text string) loaded {
	var known loaded
	data, err := r.Host.ReadFile(ctx, r.Note)
	if err != nil || json.Unmarshal(data, &known) != nil || known.Text != digest(text) || known.Boot != bootID() {
		return loaded{}
	}
	return known
}

// noteLoaded is best effort: without the note nft is asked again.
func (r *Rules) noteLoaded(ctx context.Context, known loaded) {
	data, err := json.Marshal(known)
	if err != nil {
		return
	}
	_ = r.Host.WriteFile(ctx, r.Note, data, 0o600)
}

// Observe writes into have which ruleset is there: the declared one where it means the same, else nft's listing.
func (r *Rules) Observe(ctx context.Context, have *schema.Guest) {
	r.Differences, r.live, r.want, r.listing = nil, nft.Ruleset{}, nft.Ruleset{}, ""
	switch {
	case r.Want.Ruleset != nil:
		r.Problem("nftables", r.compare(ctx, have))
	case r.Kept.Ruleset != nil: // declared once, and to go
		live, listing, err := nft.List(ctx, r.Host)
		r.Problem("nftables", err)
		if len(live.Tables) > 0 {
			have.Ruleset = &schema.Ruleset{Text: listing}
			r.live, r.Differences = live, nft.Diff(live, nft.Ruleset{})
		}
	}
}

func (r *Rules) compare(ctx context.Context, have *schema.Guest) error {
	text := r.Want.Ruleset.Text
	known := r.loadedOf(ctx, text)
	before, err := generation()
	if err == nil && known.Generation != 0 && known.Generation == before {
		return nil
	}
	live, listing, err := nft.List(ctx, r.Host)
	if err != nil {
		have.Ruleset = nil
		return err
	}
	want, wantListing, err := r.canonical(ctx, known, text)
	if err != nil {
		have.Ruleset = &schema.Ruleset{Text: listing}
		r.refused(err)
		return nil
	}
	r.live, r.want, r.listing, r.Differences = live, want, wantListing, nft.Diff(live, want)
	now := loaded{Boot: bootID(), Text: digest(text), Listing: wantListing}
	if len(r.Differences) > 0 {
		have.Ruleset = &schema.Ruleset{Text: listing}
	} else if after, err := generation(); err == nil && after == before {
		now.Generation = after
	}
	if now != known {
		r.noteLoaded(ctx, now)
	}
	return nil
}

// canonical is the wanted ruleset as nft lists it.
func (r *Rules) canonical(ctx context.Context, known loaded, text string) (nft.Ruleset, string, error) {
	if known.Listing != "" {
		want, err := nft.Parse([]byte(known.Listing))
		return want, known.Listing, err
	}
	var names []string // rules may name links by index, and then nft wants to see them
	if strings.Contains(text, "if ") || strings.Contains(text, "device") {
		links, err := netlink.LinkList()
		if err != nil {
			return nft.Ruleset{}, "", err
		}
		for _, link := range links {
			if link.Attrs().Name != "lo" {
				names = append(names, link.Attrs().Name)
			}
		}
	}
	return nft.Scratch(ctx, r.Host, text, names...)
}

// refused notes what nft says of the wanted ruleset, line by line.
func (r *Rules) refused(err error) {
	bad, ok := errors.AsType[*nft.RefusedError](err)
	if !ok {
		r.Problem("nftables", err)
		return
	}
	r.Problems = append(r.Problems, helper.Problem{Code: helper.Refused, Path: "nftables", Message: bad.Error(), Lines: bad.Lines})
}

// Apply makes the ruleset as declared. Without an Observe before it, it loads a ruleset that is not known to be loaded.
func (r *Rules) Apply(ctx context.Context) {
	switch {
	case r.Want.Ruleset == nil && len(r.Differences) > 0:
		if err := nft.Load(ctx, r.Host, "flush ruleset\n"); err != nil {
			r.Problem("nftables", err)
			return
		}
		r.Did("remove the ruleset")
		r.dropFlows()
	case r.Want.Ruleset == nil:
	case r.listing == "":
		if !r.known(ctx) {
			r.loadWhole(ctx)
		}
	case len(r.Differences) > 0:
		if r.loadTables(ctx) || r.loadWhole(ctx) {
			r.dropFlows()
		}
	}
}

func (r *Rules) known(ctx context.Context) bool {
	known := r.loadedOf(ctx, r.Want.Ruleset.Text)
	now, err := generation()
	return err == nil && known.Generation != 0 && known.Generation == now
}

// loadWhole loads the ruleset as declared, and reports whether nft took it.
func (r *Rules) loadWhole(ctx context.Context) bool {
	text := r.Want.Ruleset.Text
	before, beforeErr := generation()
	if err := nft.Replace(ctx, r.Host, text); err != nil {
		r.refused(err)
		return false
	}
	r.Did("load the ruleset")
	// Exactly one step further: nobody else has changed it meanwhile.
	if now, err := generation(); beforeErr == nil && err == nil && now == before+1 {
		r.noteLoaded(ctx, loaded{Boot: bootID(), Text: digest(text), Generation: now, Listing: r.listing})
	}
	return true
}

// loadTables replaces the tables that differ, so that the others keep their counters and what they have learnt. It loads
// nft's own listing of them, and reports whether that was taken and came out as wanted.
func (r *Rules) loadTables(ctx context.Context) bool {
	var script strings.Builder
	done := map[string]bool{}
	for _, d := range r.Differences {
		if done[d.Table] {
			continue
		}
		done[d.Table] = true
		if family, name, _ := strings.Cut(d.Table, " "); r.live.Table(family, name) != nil {
			script.WriteString("delete table " + d.Table + "\n")
		}
		script.WriteString(nft.TableText(r.listing, d.Table))
	}
	if err := nft.Load(ctx, r.Host, script.String()); err != nil {
		return false
	}
	live, _, err := nft.List(ctx, r.Host)
	if err != nil || !nft.Equal(live, r.want) {
		return false
	}
	r.Did("load %d tables of the ruleset", len(done))
	return true
}
