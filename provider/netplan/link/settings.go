package link

import (
	"math"
	"strconv"
	"strings"

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
		if !SameTime(live, seconds) {
			args = append(args, name, strconv.FormatInt(int64(math.Round(seconds*100)), 10))
		}
	}
	if want.STP != nil || before.STP != nil {
		if on := want.STP != nil && *want.STP; on != state.STP {
			args = append(args, "stp_state", map[bool]string{true: "1", false: "0"}[on])
		}
	}
	if state.Root { // else the kernel shows another bridge's timers
		timer("forward_delay", want.ForwardDelay, before.ForwardDelay, defaultForwardDelay, state.ForwardDelay)
		timer("hello_time", want.HelloTime, before.HelloTime, defaultHelloTime, state.HelloTime)
		timer("max_age", want.MaxAge, before.MaxAge, defaultMaxAge, state.MaxAge)
	}
	ageing := state.Ageing
	if state.Changing {
		ageing = -1 // not known: what is declared is said again, and counts once the change is over
	}
	timer("ageing_time", want.AgeingTime, before.AgeingTime, defaultAgeing, ageing)
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

// Settings are the changes, in ip(8)'s words, from what a bridge is to what it shall be; before is the former declaration.
func Settings(want, before *schema.Bridge, view *View) [][]string {
	link := view.Links[want.Name]
	if link == nil || link.Bridge == nil {
		return nil
	}
	var all [][]string
	set := func(link string, args ...string) {
		all = append(all, append([]string{"link", "set", "dev", link}, args...))
	}
	if !link.Up {
		set(want.Name, "up")
	}
	if mtu := target(want.MTU, before.MTU, 1500); mtu != 0 && mtu != link.MTU {
		set(want.Name, "mtu", strconv.Itoa(mtu))
	}
	if want.MAC != "" && !strings.EqualFold(want.MAC, link.MAC) {
		set(want.Name, "address", want.MAC)
	}
	if args := bridgeSettings(want, before, link.Bridge); len(args) > 0 {
		set(want.Name, append([]string{"type", "bridge"}, args...)...)
	}
	for _, name := range want.Interfaces {
		port := view.Links[name]
		if port == nil {
			continue
		}
		if port.Master != want.Name {
			set(name, "master", want.Name)
			continue // its cost and priority are seen at the next look
		}
		if args := portSettings(want, name, port.Port); len(args) > 0 {
			set(name, append([]string{"type", "bridge_slave"}, args...)...)
		}
	}
	return all
}

// target is the value to set: the declared one, or the default where one was declared before, or none.
func target(want, before, standard int) int {
	if want == 0 && before != 0 {
		return standard
	}
	return want
}
