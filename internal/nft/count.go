package nft

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/labctl/labctl/internal/host"
)

// Live is a ruleset as it works just now: with the elements that packets have brought, and with what was counted.
type Live struct {
	Ruleset

	// Counts is what the rules with a counter have counted, in the order of the listing.
	Counts []Count
}

// Count is what one rule or one named counter has counted.
type Count struct {
	Table   string `json:"table"`          // "inet filter"
	Chain   string `json:"chain"`          // or the counter's name
	Rule    string `json:"rule,omitempty"` // without the numbers; "" for a named counter
	Number  int    `json:"number"`         // of the rule in its chain, from 1
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Key tells counts of one ruleset from each other, and is the same when it is listed again.
func (c Count) Key() string {
	return c.Table + " " + c.Chain + " " + strconv.Itoa(c.Number) + " " + c.Rule
}

// ListLive reads the whole ruleset of h as it works just now.
func ListLive(ctx context.Context, h host.Host) (Live, error) {
	out, err := h.Run(ctx, host.Cmd("nft", "list", "ruleset"))
	if err != nil {
		return Live{}, err
	}
	return ParseLive(out.Stdout)
}

// counted is what nft writes of a counter with its numbers.
var counted = regexp.MustCompile(`\bpackets (\d+) bytes (\d+)`)

// ParseLive reads the output of `nft list ruleset`. Rules come without the numbers of their counters, which are in Counts.
func ParseLive(listing []byte) (Live, error) {
	r, err := parse(listing)
	if err != nil {
		return Live{}, err
	}
	live := Live{Ruleset: r}
	for _, table := range r.Tables {
		for _, o := range table.Objects {
			for n := range o.Rules {
				if c, ok := count(&o.Rules[n]); ok {
					c.Table, c.Chain, c.Rule, c.Number = table.ID(), o.Name, o.Rules[n], n+1
					live.Counts = append(live.Counts, c)
				}
			}
			if o.Kind != "counter" {
				continue
			}
			for n := range o.Props {
				if c, ok := count(&o.Props[n]); ok {
					c.Table, c.Chain = table.ID(), o.Name
					live.Counts = append(live.Counts, c)
				}
			}
		}
	}
	return live, nil
}

// count takes the numbers of a counter out of a line, outside its quotes.
func count(line *string) (c Count, ok bool) {
	var at []int
	for _, found := range counted.FindAllStringSubmatchIndex(*line, -1) {
		if strings.Count((*line)[:found[0]], `"`)%2 == 0 {
			at = found
			break
		}
	}
	if at == nil {
		return c, false
	}
	var err error
	if c.Packets, err = strconv.ParseUint((*line)[at[2]:at[3]], 10, 64); err != nil {
		return c, false
	}
	if c.Bytes, err = strconv.ParseUint((*line)[at[4]:at[5]], 10, 64); err != nil {
		return c, false
	}
	rest := strings.TrimPrefix((*line)[at[1]:], " ")
	*line = strings.TrimSpace((*line)[:at[0]] + rest)
	return c, true
}

// Rose lists the counts of now that are higher than before, with the difference. Rules that came meanwhile count from zero.
func Rose(before, now []Count) []Count {
	old := map[string]Count{}
	for _, c := range before {
		old[c.Key()] = c
	}
	var rose []Count
	for _, c := range now {
		if was := old[c.Key()]; c.Packets > was.Packets {
			c.Packets -= was.Packets
			c.Bytes -= min(was.Bytes, c.Bytes)
			rose = append(rose, c)
		}
	}
	return rose
}
