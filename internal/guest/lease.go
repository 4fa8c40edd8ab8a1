package guest

import (
	"context"
	"fmt"
	"strings"

	"github.com/labctl/labctl/internal/guest/lease"
)

// Lease does what udhcpc calls its script for: action is "bound", "renew", "deconfig", "leasefail" or "nak".
func (s System) Lease(ctx context.Context, action string, env func(string) string) error {
	switch action {
	case "deconfig":
		return lease.Drop(env("interface"))
	case "bound", "renew":
	default:
		return nil
	}
	given, err := lease.Parse(env)
	if err != nil {
		return err
	}
	if err := given.Take(); err != nil {
		return err
	}
	kept, err := s.readPersist()
	if err != nil {
		return err
	}
	if len(given.Servers) == 0 || kept.Guest != nil && len(kept.Guest.Nameservers)+len(kept.Guest.Search) > 0 {
		return nil // what is declared stands above what is leased
	}
	var text strings.Builder
	fmt.Fprintf(&text, "# Leased on %s.\n", given.Interface)
	if given.Domain != "" {
		fmt.Fprintf(&text, "search %s\n", given.Domain)
	}
	for _, server := range given.Servers {
		fmt.Fprintf(&text, "nameserver %s\n", server)
	}
	return s.write(ctx, resolvPath, text.String(), 0o644)
}
