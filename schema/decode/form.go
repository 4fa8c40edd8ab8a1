package decode

import (
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/labctl/labctl/schema/diag"
	"github.com/labctl/labctl/schema/table"
)

func malformed(def *table.Attr, text string, at hcl.Range, what, instead string) *hcl.Diagnostic {
	return diag.New(diag.Malformed, at, fmt.Sprintf("%q is not %s", text, what),
		fmt.Sprintf("%q takes %s. %s", def.Name, what, instead))
}

// ip checks an address without prefix length and writes it in its canonical form.
func ip(def *table.Attr, text string, at hcl.Range) (string, *hcl.Diagnostic) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return addr.String(), nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return "", malformed(def, text, at, "a bare IP address", fmt.Sprintf("Leave the prefix length out: %q.", p.Addr()))
	}
	return "", malformed(def, text, at, "an IP address", "Write it as 192.168.111.1 or fd00::1.")
}

// address checks an address with its prefix length.
func address(def *table.Attr, text string, at hcl.Range) (string, *hcl.Diagnostic) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.String(), nil
	}
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		length := 24
		if addr.Is6() {
			length = 64
		}
		return "", diag.New(diag.NoPrefixLength, at, fmt.Sprintf("The prefix length of %s is missing", text),
			fmt.Sprintf("Write the size of its subnet too, most likely %q.", fmt.Sprintf("%s/%d", text, length)))
	}
	return "", malformed(def, text, at, "an IP address with its prefix length", "Write it as 192.168.111.1/24 or fd00::1/64.")
}

func prefix(def *table.Attr, text string, at hcl.Range) (string, *hcl.Diagnostic) {
	if text == "default" || text == "default6" {
		return text, nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err == nil && p.Bits() == 0 && p.Addr().Is4():
		return "default", nil
	case err == nil && p.Bits() == 0:
		return "default6", nil
	case err == nil && p != p.Masked():
		return "", malformed(def, text, at, "a prefix", fmt.Sprintf("Its host bits are set; write %q.", p.Masked()))
	case err == nil:
		return p.String(), nil
	}
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()).String(), nil
	}
	return "", malformed(def, text, at, "a destination", "Write default, default6, or a prefix such as 10.0.0.0/8.")
}

func macAddress(def *table.Attr, text string, at hcl.Range) (string, *hcl.Diagnostic) {
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 {
		return "", malformed(def, text, at, "a MAC address", "Write it as 52:54:00:12:34:56.")
	}
	if mac[0]&1 != 0 {
		return "", malformed(def, text, at, "the MAC address of one interface",
			fmt.Sprintf("The lowest bit of its first byte makes it a group's; write %02x as the first byte, say.", mac[0]&^1))
	}
	return mac.String(), nil
}

// measure reads a size in bytes, a duration in the argument's unit, or a rate in bits per second.
func measure(def *table.Attr, v cty.Value, at hcl.Range) (cty.Value, *hcl.Diagnostic) {
	if v.Type() == cty.Number {
		return v, nil
	}
	example := map[table.Type]string{
		table.Size: `a size`, table.Duration: `a time`, table.Rate: `a rate`,
	}[def.Type]
	if v.Type() != cty.String {
		return cty.NilVal, diag.New(diag.WrongType, at, fmt.Sprintf("%q takes %s", def.Name, example), fmt.Sprintf("It has %s.", kindOf(v)))
	}
	text := v.AsString()
	if def.Type == table.Duration {
		return duration(def, text, at)
	}
	units, hint := sizeUnits(), `Write a number and a unit, as "512MiB" or "2GiB", or a number of bytes.`
	if def.Type == table.Rate {
		units, hint = rateUnits(), `Write a number and a unit, as "10mbit" or "1gbit", or a number of bits per second.`
	}
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/ ")
	unit := strings.ToLower(strings.TrimSpace(text[len(digits):]))
	factor, ok := units[unit]
	n, _, err := big.ParseFloat(digits, 10, 128, big.ToNearestEven)
	if !ok || err != nil || n.IsInf() {
		return cty.NilVal, malformed(def, text, at, example, hint)
	}
	return cty.NumberVal(n.Mul(n, new(big.Float).SetUint64(factor))), nil
}

func duration(def *table.Attr, text string, at hcl.Range) (cty.Value, *hcl.Diagnostic) {
	base, name := time.Second, "seconds"
	if def.Unit == "ms" {
		base, name = time.Millisecond, "milliseconds"
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		n, _, numberErr := big.ParseFloat(text, 10, 64, big.ToNearestEven)
		if numberErr == nil && !n.IsInf() {
			return cty.NumberVal(n), nil
		}
		return cty.NilVal, malformed(def, text, at, "a time", fmt.Sprintf(`Write a number and a unit, as "20ms", "1m30s" or "2h", or a number of %s.`, name))
	}
	return cty.NumberFloatVal(float64(d) / float64(base)), nil
}

func sizeUnits() map[string]uint64 {
	return map[string]uint64{
		"": 1, "b": 1, "k": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mib": 1 << 20, "g": 1 << 30, "gib": 1 << 30, "t": 1 << 40, "tib": 1 << 40,
		"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
	}
}

func rateUnits() map[string]uint64 {
	return map[string]uint64{
		"": 1, "bit": 1, "bit/s": 1, "bps": 8, "kbit": 1e3, "kbit/s": 1e3, "mbit": 1e6, "mbit/s": 1e6, "gbit": 1e9, "gbit/s": 1e9,
		"kbps": 8e3, "mbps": 8e6, "gbps": 8e9, // as tc(8) reads them: bytes per second
	}
}
