package netplan

import (
	"math"
	"strconv"

	"github.com/labctl/labctl/schema"
)

// Defaults of the kernel's bridges (net/bridge/br_device.c), to go back to when a declaration goes. Seconds.
const (
	defaultForwardDelay = 15.0
	defaultHelloTime    = 2.0
	defaultMaxAge       = 20.0
	defaultAgeing       = 300.0
	defaultPriority     = 0x8000
)

// bridgeSettings are the arguments of `ip link set type bridge` that change state to what is declared.
func bridgeSettings(want, before *schema.Bridge, state *BridgeState) []string {
	var args []string
	timer := func(name string, want, before *float64, standard, live float64) {
		if want == nil && before == nil {
			return
		}
		seconds := standard
		if want != nil {
			seconds = *want
		}
		if *hundredths(&seconds) != live {
			args = append(args, name, strconv.FormatInt(int64(math.Round(seconds*100)), 10))
		}
	}
	if want.STP != nil || before.STP != nil {
		if on := deref(want.STP); on != state.STP {
			args = append(args, "stp_state", map[bool]string{true: "1", false: "0"}[on])
		}
	}
	if state.Root { // else the kernel shows another bridge's timers
		timer("forward_delay", want.ForwardDelay, before.ForwardDelay, defaultForwardDelay, state.ForwardDelay)
		timer("hello_time", want.HelloTime, before.HelloTime, defaultHelloTime, state.HelloTime)
		timer("max_age", want.MaxAge, before.MaxAge, defaultMaxAge, state.MaxAge)
	}
	timer("ageing_time", want.AgeingTime, before.AgeingTime, defaultAgeing, state.Ageing)
	if want.Priority != nil || before.Priority != nil {
		priority := defaultPriority
		if want.Priority != nil {
			priority = *want.Priority
		}
		if priority != state.Priority {
			args = append(args, "priority", strconv.Itoa(priority))
		}
	}
	return args
}

// portSettings are the arguments of `ip link set type bridge_slave` that change a port to what is declared.
func portSettings(want *schema.Bridge, name string, state *PortState) []string {
	if state == nil {
		return nil
	}
	var args []string
	if cost, declared := want.PathCost[name]; declared && cost != state.Cost {
		args = append(args, "cost", strconv.Itoa(cost))
	}
	if priority, declared := want.PortPriority[name]; declared && priority != state.Priority {
		args = append(args, "priority", strconv.Itoa(priority))
	}
	return args
}
