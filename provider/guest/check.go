package guest

import (
	"context"
	"errors"
	"strings"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/nft"
	"github.com/labctl/labctl/schema"
)

// kernelSaid begins nft's message where a kernel refused what nft had understood. A guest's kernel may know more than the
// host's, so that is no mistake in the lab.
const kernelSaid = "Could not process rule"

// Check implements provider.Checker: nft on the host reads each ruleset in a network namespace of its own. Where that cannot
// be done (no nft, no right to make a namespace) nothing is said; the guest's own nft has the last word.
func (p *Provider) Check(ctx context.Context, want []schema.Resource) []error {
	if p.host == nil {
		return nil
	}
	var errs []error
	said := map[string][]nft.LineError{}
	for n := range want {
		body, ok := want[n].Body.(*schema.Guest)
		if !ok || body.Ruleset == nil {
			continue
		}
		var links []string
		for _, i := range body.Interfaces {
			links = append(links, i.Name)
		}
		key := strings.Join(links, " ") + "\n" + body.Ruleset.Text
		lines, known := said[key]
		if !known {
			lines = p.read(ctx, body.Ruleset.Text, links)
			said[key] = lines
		}
		for _, line := range lines {
			errs = append(errs, problemError("check", &want[n],
				helper.Problem{Code: helper.Refused, Path: "nftables", Message: line.Message, Lines: []nft.LineError{line}}))
		}
	}
	return errs
}

// read is what nft does not understand in a text.
func (p *Provider) read(ctx context.Context, text string, links []string) []nft.LineError {
	_, _, err := nft.Scratch(ctx, p.host, text, links...)
	refused, ok := errors.AsType[*nft.RefusedError](err)
	if !ok {
		return nil
	}
	var lines []nft.LineError
	for _, line := range refused.Lines {
		if !strings.HasPrefix(line.Message, kernelSaid) {
			lines = append(lines, line)
		}
	}
	return lines
}
