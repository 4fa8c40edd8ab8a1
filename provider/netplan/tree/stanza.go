package tree

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/labctl/labctl/provider/netplan/link"
	"github.com/labctl/labctl/schema"
)

// Encode is the netplan stanza of a bridge, in the order of netplan's own YAML reference. What is not declared is left out.
func Encode(b *schema.Bridge) yaml.MapSlice {
	stanza := yaml.MapSlice{}
	put := func(key string, value any, declared bool) {
		if declared {
			stanza = append(stanza, yaml.MapItem{Key: key, Value: value})
		}
	}
	put("renderer", b.Renderer, b.Renderer != "")
	put("interfaces", b.Interfaces, len(b.Interfaces) > 0)
	put("macaddress", b.MAC, b.MAC != "")
	put("mtu", b.MTU, b.MTU != 0)
	put("dhcp4", b.DHCP4, b.DHCP4)
	put("dhcp6", b.DHCP6, b.DHCP6)
	put("accept-ra", deref(b.AcceptRA), b.AcceptRA != nil)
	put("link-local", b.LinkLocal, b.LinkLocal != nil)
	put("addresses", b.Addresses, len(b.Addresses) > 0)
	dns := yaml.MapSlice{}
	if len(b.Nameservers) > 0 {
		dns = append(dns, yaml.MapItem{Key: "addresses", Value: b.Nameservers})
	}
	if len(b.Search) > 0 {
		dns = append(dns, yaml.MapItem{Key: "search", Value: b.Search})
	}
	put("nameservers", dns, len(dns) > 0)
	put("routes", encodeRoutes(b.Routes), len(b.Routes) > 0)
	parameters := encodeParameters(b)
	put("parameters", parameters, len(parameters) > 0)
	put("optional", b.Optional, b.Optional)
	return stanza
}

func encodeParameters(b *schema.Bridge) yaml.MapSlice {
	var parameters yaml.MapSlice
	put := func(key string, value any) { parameters = append(parameters, yaml.MapItem{Key: key, Value: value}) }
	if b.STP != nil {
		put("stp", *b.STP)
	}
	for _, timer := range []struct {
		key   string
		value *float64
	}{
		{"forward-delay", b.ForwardDelay}, {"hello-time", b.HelloTime}, {"max-age", b.MaxAge}, {"ageing-time", b.AgeingTime},
	} {
		if timer.value != nil {
			put(timer.key, shortest(*timer.value))
		}
	}
	if b.Priority != nil {
		put("priority", *b.Priority)
	}
	if len(b.PathCost) > 0 {
		put("path-cost", byPort(b.PathCost))
	}
	if len(b.PortPriority) > 0 {
		put("port-priority", byPort(b.PortPriority))
	}
	return parameters
}

// shortest is a whole number where value is one: netplan passes the text on to systemd as it is written.
func shortest(value float64) any {
	if value == math.Trunc(value) {
		return int64(value)
	}
	return value
}

func byPort(values map[string]int) yaml.MapSlice {
	var ports yaml.MapSlice
	for _, port := range slices.Sorted(maps.Keys(values)) {
		ports = append(ports, yaml.MapItem{Key: port, Value: values[port]})
	}
	return ports
}

func encodeRoutes(routes []schema.Route) []yaml.MapSlice {
	var list []yaml.MapSlice
	for _, r := range routes {
		item := yaml.MapSlice{{Key: "to", Value: destination(r.To)}}
		put := func(key string, value any, declared bool) {
			if declared {
				item = append(item, yaml.MapItem{Key: key, Value: value})
			}
		}
		put("via", r.Via, r.Via != "")
		put("from", r.Source, r.Source != "")
		put("metric", r.Metric, r.Metric != 0)
		put("table", r.Table, r.Table != 0)
		put("on-link", true, r.OnLink)
		put("type", r.Type, r.Type != "")
		// A route with no gateway leads onto the link itself, and systemd wants that said by its scope.
		put("scope", "link", r.Via == "" && r.Type == "" && !strings.Contains(destination(r.To), ":"))
		list = append(list, item)
	}
	return list
}

// destination turns the lab language's two default routes into prefixes, which every netplan takes.
func destination(to string) string {
	switch to {
	case "default":
		return "0.0.0.0/0"
	case "default6":
		return "::/0"
	}
	return to
}

// Decode reads a stanza as netplan would. Somebody else may have written it: a value of an unexpected form is passed over,
// for netplan itself refuses it with better words. unknown lists the keys that no schema.Bridge has.
func Decode(name string, stanza yaml.MapSlice) (b schema.Bridge, unknown []string) {
	b.Name = name
	for _, item := range stanza {
		key, value := fmt.Sprint(item.Key), item.Value
		switch key {
		case "renderer":
			b.Renderer = fmt.Sprint(value)
		case "interfaces":
			b.Interfaces = texts(value)
		case "macaddress":
			b.MAC = strings.ToLower(fmt.Sprint(value))
		case "mtu":
			b.MTU = integer(value)
		case "dhcp4":
			b.DHCP4 = truth(value)
		case "dhcp6":
			b.DHCP6 = truth(value)
		case "accept-ra":
			b.AcceptRA = new(truth(value))
		case "link-local":
			b.LinkLocal = texts(value)
		case "addresses":
			for _, address := range texts(value) {
				b.Addresses = append(b.Addresses, link.CanonicalPrefix(address))
			}
		case "nameservers":
			dns := asMap(value)
			b.Nameservers, b.Search = texts(lookup(dns, "addresses")), texts(lookup(dns, "search"))
		case "routes":
			b.Routes = decodeRoutes(value)
		case "parameters":
			unknown = append(unknown, decodeParameters(&b, asMap(value))...)
		case "optional":
			b.Optional = truth(value)
		default:
			unknown = append(unknown, key)
		}
	}
	return b, unknown
}

func decodeParameters(b *schema.Bridge, parameters yaml.MapSlice) (unknown []string) {
	for _, item := range parameters {
		switch key := fmt.Sprint(item.Key); key {
		case "stp":
			b.STP = new(truth(item.Value))
		case "forward-delay":
			b.ForwardDelay = new(seconds(item.Value))
		case "hello-time":
			b.HelloTime = new(seconds(item.Value))
		case "max-age":
			b.MaxAge = new(seconds(item.Value))
		case "ageing-time", "aging-time":
			b.AgeingTime = new(seconds(item.Value))
		case "priority":
			b.Priority = new(integer(item.Value))
		case "path-cost":
			b.PathCost = integers(item.Value)
		case "port-priority":
			b.PortPriority = integers(item.Value)
		default:
			unknown = append(unknown, "parameters."+key)
		}
	}
	return unknown
}

func decodeRoutes(value any) []schema.Route {
	var routes []schema.Route
	for _, item := range maplist(value) {
		text := func(key string) string {
			if v := lookup(item, key); v != nil {
				return fmt.Sprint(v)
			}
			return ""
		}
		routes = append(routes, schema.Route{
			To: text("to"), Via: text("via"), Source: text("from"), Metric: integer(lookup(item, "metric")),
			Table: integer(lookup(item, "table")), OnLink: truth(lookup(item, "on-link")), Type: text("type"),
		})
	}
	return routes
}

func lookup(m yaml.MapSlice, key string) any {
	for _, item := range m {
		if item.Key == key {
			return item.Value
		}
	}
	return nil
}

func asMap(value any) yaml.MapSlice {
	m, _ := value.(yaml.MapSlice)
	return m
}

// texts reads a list of scalars; an address with options is a mapping whose one key is the address.
func texts(value any) []string {
	if words, ours := value.([]string); ours {
		return words
	}
	list, isList := value.([]any)
	if !isList {
		return nil
	}
	words := []string{}
	for _, element := range list {
		if options := asMap(element); len(options) > 0 {
			element = options[0].Key
		}
		words = append(words, fmt.Sprint(element))
	}
	return words
}

func maplist(value any) []yaml.MapSlice {
	if items, ours := value.([]yaml.MapSlice); ours {
		return items
	}
	list, _ := value.([]any)
	var items []yaml.MapSlice
	for _, element := range list {
		items = append(items, asMap(element))
	}
	return items
}

func integers(value any) map[string]int {
	numbers := map[string]int{}
	for _, item := range asMap(value) {
		numbers[fmt.Sprint(item.Key)] = integer(item.Value)
	}
	return numbers
}

func integer(value any) int {
	n, err := strconv.Atoi(fmt.Sprint(value))
	if err != nil {
		return 0
	}
	return n
}

func seconds(value any) float64 {
	n, err := strconv.ParseFloat(fmt.Sprint(value), 64)
	if err != nil {
		return 0
	}
	return n
}

// truth reads a YAML 1.1 boolean, as netplan does.
func truth(value any) bool {
	switch strings.ToLower(fmt.Sprint(value)) {
	case "true", "on", "yes", "y":
		return true
	}
	return false
}

func deref(value *bool) bool { return value != nil && *value }
