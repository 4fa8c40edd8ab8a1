package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/schema"
)

const rulesetLab = `
nftables "s" {
  table "inet" "f" {
    comment = "mine"
    set "bad" {
      type     = "ipv4_addr"
      flags    = ["interval"]
      elements = ["10.0.0.0/8", "192.0.2.1"]
    }
    chain "in" {
      hook   = "input"
      policy = "drop"
      rules = [
        "ip saddr @bad drop",
        "jump more",
      ]
    }
    chain "more" {
      rules = ["accept"]
    }
  }
}
nftables "f" {
  ruleset = file("r.nft")
}
nftables "h" {
  ruleset = <<-EOT
    table ip h {
    }
  EOT
}
vm "a" {
  image    = image.micro
  nftables = [nftables.s, nftables.f, nftables.h]
}
`

const rulesetText = `table inet f {
	comment "mine"
	set bad {
		type ipv4_addr
		flags interval
		elements = {
			10.0.0.0/8,
			192.0.2.1,
		}
	}
	chain in {
		type filter hook input priority filter; policy drop;
		ip saddr @bad drop
		jump more
	}
	chain more {
		accept
	}
}
#!/usr/sbin/nft -f

table ip r {
}
table ip h {
}
`

func TestRulesets(t *testing.T) {
	dir := write(t, map[string]string{"lab.hcl": base + rulesetLab, "r.nft": "#!/usr/sbin/nft -f\nflush ruleset\ntable ip r {\n}\n"})
	set := body[schema.Guest](t, load(t, dir, Options{}).Lab, "vm.a.guest").Ruleset
	want := rulesetText
	if d := cmp.Diff(want, set.Text); d != "" {
		t.Fatalf("(-want +got):\n%s", d)
	}
	var places []string
	for i, line := range strings.Split(strings.TrimSuffix(set.Text, "\n"), "\n") {
		if text := strings.TrimSpace(line); text == "jump more" || text == "table ip r {" || text == "table ip h {" {
			places = append(places, strings.TrimPrefix(set.Lines[i].String(), dir+"/"))
		}
	}
	if d := cmp.Diff([]string{"lab.hcl:20:9", "r.nft:3", "lab.hcl:33"}, places); d != "" {
		t.Errorf("where lines come from (-want +got):\n%s", d)
	}
}
