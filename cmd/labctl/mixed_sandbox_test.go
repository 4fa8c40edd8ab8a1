//go:build sandbox

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// mixed is 200 live things of every kind: 40 bridges, 20 networks, 20 tables and 120 machines, some of which run, each with what is
// in its guest.
const mixed = `
lab "mixed" {}

variable "running" {
  type = number
}

image "micro" {
  build = "micro"
}

bridge "b" {
  count     = 40
  addresses = ["10.140.${count.index}.1/24"]
}

network "n" {
  count     = 20
  mode      = "isolated"
  addresses = ["10.141.${count.index}.1/24"]
}

nftables "rules" {
  dynamic "table" {
    for_each = range(20)
    labels   = ["inet", "mixed${table.value}"]
    content {
      chain "input" {
        hook  = "input"
        rules = ["tcp dport ${1000 + table.value} counter accept"]
      }
    }
  }
}

host {
  forwarding = true
  nftables   = [nftables.rules]
}

vm "off" {
  count   = 120 - var.running
  image   = image.micro
  memory  = "64MiB"
  running = false
  interface "eth0" {
    bridge    = bridge.b[count.index % 40]
    addresses = ["10.140.${count.index % 40}.${10 + count.index}/24"]
  }
}

vm "on" {
  count  = var.running
  image  = image.micro
  memory = "128MiB"
  interface "eth0" {
    bridge    = bridge.b[count.index]
    addresses = ["10.140.${count.index}.200/24"]
  }
  route "default" {
    via = "10.140.${count.index}.1"
  }
  timeouts {
    agent = "300s"
  }
}
`

// BenchmarkMixed tells how long a plan with nothing to do takes over 200 live things, the best of five. Guests that run have a
// share in it: each looks at itself, on this machine's processors.
func BenchmarkMixed(b *testing.B) {
	for _, running := range []int{4, 15} {
		b.Run(fmt.Sprintf("running=%d", running), func(b *testing.B) {
			lab := newBench(b)
			lab.dir = b.TempDir()
			if err := os.WriteFile(filepath.Join(lab.dir, "lab.hcl"), []byte(mixed), 0o600); err != nil {
				b.Fatal(err)
			}
			count := fmt.Sprintf("-var=running=%d", running)
			lab.lab("apply", "-auto-approve", count)
			best := time.Hour
			for b.Loop() {
				for range 5 {
					best = min(best, lab.lab("plan", "-detailed-exitcode", count))
				}
			}
			lab.lab("destroy", "-auto-approve", count)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(best.Seconds(), "s/no-op-plan")
			fmt.Fprintf(os.Stderr, "a plan with nothing to do over 200 live things, %d guests running, takes %.2f s\n", running, best.Seconds())
		})
	}
}
