//go:build sandbox

package ruleset_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/config"
)

const everything = `
lab "x" {}
image "micro" { build = "micro" }
bridge "br0" {
  addresses  = ["10.0.0.1/24", "10.0.5.1/16", "fd00::1/64"]
  masquerade = true
}
bridge "br1" {
  addresses  = ["10.1.0.1/24"]
  masquerade = true
}
host {
  nftables = [nftables.all]
}
nftables "all" {
  table "inet" "everything" {
    comment = "everything"
    set "hosts" {
      type       = "ipv4_addr . inet_service"
      flags      = ["interval"]
      auto_merge = true
      elements   = ["10.0.0.0/8 . 1-5", "192.0.2.1 . 7"]
      comment    = "a set"
    }
    set "learnt" {
      typeof      = "ip saddr"
      flags       = ["dynamic", "timeout"]
      timeout     = "5m"
      gc_interval = "1m"
      size        = 100
      policy      = "memory"
    }
    map "verdicts" {
      type     = "inet_service : verdict"
      elements = ["22 : accept", "23 : jump more"]
    }
    counter "seen" {
      comment = "a counter"
    }
    quota "month" {
      amount = "over 25 mbytes"
    }
    limit "slow" {
      rate = "400/minute burst 5 packets"
    }
    chain "in" {
      hook    = "input"
      policy  = "drop"
      comment = "what comes in"
      rules = [
        "tcp dport vmap @verdicts",
        "ip saddr . tcp dport @hosts counter name seen",
        "limit name slow accept",
        "quota name month drop",
      ]
    }
    chain "more" {
      rules = ["accept comment \"all\""]
    }
    chain "before" {
      type = "nat"
      hook = "prerouting"
    }
    chain "local" {
      type = "nat"
      hook = "output"
    }
    chain "after" {
      type     = "nat"
      hook     = "postrouting"
      priority = "srcnat + 5"
    }
    chain "marking" {
      type = "route"
      hook = "output"
    }
  }
  table "netdev" "dev" {
    chain "one" {
      hook   = "ingress"
      device = ["lo"]
    }
  }
}
`

// nft itself takes what is written for each kind of block (but flowtable, which not every kernel has).
func TestNFTTakesIt(t *testing.T) {
	res, diags := config.Load("lab", config.Options{Overlay: map[string][]byte{"lab/lab.hcl": []byte(everything)}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for _, r := range res.Lab.Resources {
		set, ok := r.Body.(*schema.Ruleset)
		if !ok {
			continue
		}
		if n := strings.Count(set.Text, "\n"); n != len(set.Lines) {
			t.Errorf("%d lines, and places of %d", n, len(set.Lines))
		}
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(set.Text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s\n%s", err, out, set.Text)
		}
		return
	}
	t.Error("there is no ruleset")
}
