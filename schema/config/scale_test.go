package config

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"
)

// bigLab is a lab of sites times machines vms, in modules under for_each.
func bigLab(t testing.TB, sites, machines int) string {
	t.Helper()
	return write(t, map[string]string{
		"lab.hcl": fmt.Sprintf(`
lab "big" {}
image "micro" { build = "micro" }
module "site" {
  source   = "./site"
  for_each = { for i in range(%d) : format("s%%04d", i) => i }
  number   = each.value
  machines = %d
  image    = image.micro
}
output "addresses" { value = { for k, m in module.site : k => m.addresses } }
`, sites, machines),
		"site/site.hcl": `
variable "number" { type = number }
variable "machines" { type = number }
variable "image" {}
locals {
  prefix = cidrsubnet("10.0.0.0/8", 16, var.number)
}
bridge "br" {
  name      = "br${var.number}"
  addresses = ["${cidrhost(local.prefix, 1)}/24"]
}
nftables "fw" {
  table "inet" "filter" {
    chain "input" {
      hook   = "input"
      policy = "drop"
      rules  = ["ct state established,related accept", "iifname lo accept", "tcp dport 22 counter accept"]
    }
  }
}
vm "m" {
  for_each = { for i in range(var.machines) : "m${i}" => cidrhost(local.prefix, i + 10) }
  image    = var.image
  memory   = "128MiB"
  interface "eth0" {
    bridge    = bridge.br
    addresses = ["${each.value}/24"]
  }
  route "default" {
    via = bridge.br.ip
  }
  nameservers = [bridge.br.ip]
  nftables    = [nftables.fw]
}
output "addresses" { value = { for k, m in vm.m : k => m.ip } }
`,
	})
}

// cost is what one load takes: processor time, which a busy machine does not stretch as it does the clock's, and memory that the
// result holds on to.
type cost struct {
	cpu    time.Duration
	memory uint64
	allocs uint64
}

func processorTime(t testing.TB) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// measure loads a lab some times; the least is what it costs.
func measure(t testing.TB, sites, machines, times int) cost {
	dir := bigLab(t, sites, machines)
	best := cost{cpu: time.Hour}
	for range times {
		var before, after, idle runtime.MemStats
		debug.FreeOSMemory() // each load begins with as little memory as a command does
		runtime.ReadMemStats(&before)
		start := processorTime(t)
		res := load(t, dir, Options{})
		took := processorTime(t) - start
		runtime.ReadMemStats(&after)
		runtime.GC()
		runtime.ReadMemStats(&idle)
		if n := len(res.Lab.Resources); n != 1+sites+2*sites*machines {
			t.Fatalf("%d resources", n)
		}
		runtime.KeepAlive(res)
		best = cost{
			cpu: min(best.cpu, took), memory: idle.HeapAlloc - min(before.HeapAlloc, idle.HeapAlloc),
			allocs: after.Mallocs - before.Mallocs,
		}
	}
	return best
}

// TestScale bounds what a large lab costs. That it grows in line is seen by its allocations, which do not depend on how busy the
// machine is; BenchmarkGrowth holds the times against each other.
func TestScale(t *testing.T) {
	small, large := measure(t, 100, 10, 5), measure(t, 500, 10, 1)
	t.Logf("1,000 machines: %v, %d MB", small.cpu, small.memory>>20)
	if small.cpu > 500*time.Millisecond || small.memory > 200<<20 {
		t.Errorf("1,000 machines took %v and %d MB; at most 500 ms and 200 MB", small.cpu, small.memory>>20)
	}
	if ratio := float64(large.allocs) / float64(small.allocs); ratio > 5.2 {
		t.Errorf("5,000 machines took %.2f times as many allocations as 1,000: the work does not grow in line", ratio)
	}
}

// BenchmarkGrowth loads 1,000 and 10,000 machines in turn, and fails where the ratio of the best times is over 12.
func BenchmarkGrowth(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as the command does
	// On one processor the collector does what it must. On more, it spends what is idle too, for as long as it likes.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	small, large := time.Hour, time.Hour
	for range 5 {
		small = min(small, measure(b, 100, 10, 2).cpu)
		large = min(large, measure(b, 1000, 10, 1).cpu)
	}
	ratio := float64(large) / float64(small)
	b.ReportMetric(ratio, "ratio")
	b.ReportMetric(float64(small.Milliseconds()), "ms/1000")
	b.ReportMetric(float64(large.Milliseconds()), "ms/10000")
	if ratio > 12 {
		b.Errorf("10,000 machines took %.1f times as long as 1,000; at most 12", ratio)
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprintf("%d", n*10), func(b *testing.B) {
			dir := bigLab(b, n, 10)
			b.ReportAllocs()
			for b.Loop() {
				load(b, dir, Options{})
			}
		})
	}
}
