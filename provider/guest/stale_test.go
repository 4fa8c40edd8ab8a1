package guest

import (
	"strings"
	"testing"

	"github.com/labctl/labctl/schema"
)

func TestPlanSaysWhichConnectionsANewNATEnds(t *testing.T) {
	cone := &schema.NAT{Type: "full_cone", Outside: "eth0", OutsideAddress: "192.0.2.1/24"}
	symmetric := &schema.NAT{Type: "symmetric", Outside: "eth0", OutsideAddress: "192.0.2.1/24"}
	longer := &schema.NAT{Type: "full_cone", Outside: "eth0", OutsideAddress: "192.0.2.1/24", UDPTimeout: 60}
	for _, test := range []struct {
		have, want *schema.NAT
		says       string
	}{
		{cone, cone, ""}, {cone, longer, ""}, {nil, nil, ""},
		{cone, symmetric, "mapping was endpoint_independent, is address_and_port_dependent"},
		{cone, nil, "translated by the NAT that goes, let in by the NAT that goes"},
		{nil, cone, "forwarded so far with no translation"},
	} {
		got := staleFlows(&schema.Guest{NAT: test.have}, &schema.Guest{NAT: test.want})
		if six := staleFlows(&schema.Guest{NAT6: test.have}, &schema.Guest{NAT6: test.want}); six != got {
			t.Errorf("with IPv6: %q", six)
		}
		if test.says == "" && got != "" || !strings.Contains(got, test.says) {
			t.Errorf("from %+v to %+v: %q", test.have, test.want, got)
		}
	}
}
