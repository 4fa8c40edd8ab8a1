package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// XMLNamespace is the namespace of labctl's own elements in libvirt metadata, and the root of derived UUIDs.
const XMLNamespace = "https://labctl.dev/xmlns/lab/1.0"

// UUID is the identity of a resource in libvirt, derived (RFC 9562 version 5) so that defining again means the same thing.
func UUID(lab string, addr Addr) string {
	root := uuid.NewSHA1(uuid.NameSpaceURL, []byte(XMLNamespace))
	return uuid.NewSHA1(root, []byte(lab+"/"+addr.String())).String()
}

// MAC is a unicast, locally administered address under QEMU's prefix 52:54:00, derived from the seed.
func MAC(seed string) string {
	sum := sha256.Sum256([]byte(seed))
	return fmt.Sprintf("52:54:00:%02x:%02x:%02x", sum[0], sum[1], sum[2])
}

// InterfaceMAC is the MAC of an interface that declares none.
func InterfaceMAC(lab string, vm Addr, iface string) string {
	return MAC(lab + "/" + vm.Whole().String() + "/" + iface)
}

// ImageKey is the pool folder of an image: its name and a digest of what was declared, so that a changed declaration is
// another image and machines that stand on the old one keep it.
func ImageKey(img Image) string {
	img.Key = ""
	text, err := json.Marshal(img)
	if err != nil {
		panic(err) // strings only: it cannot fail
	}
	sum := sha256.Sum256(text)
	return img.Name + "-" + hex.EncodeToString(sum[:6])
}

// Link sets each Domain's Seed to the Guest of the same block. Call it after decoding a lab from JSON.
func (l *Lab) Link() {
	guests := make(map[Addr]*Guest)
	for _, r := range l.Resources {
		if g, ok := r.Body.(*Guest); ok {
			guests[r.Addr.Whole()] = g
		}
	}
	for _, r := range l.Resources {
		if d, ok := r.Body.(*Domain); ok {
			d.Seed = guests[r.Addr]
		}
	}
}

// SettingsFirst has networks wait for their host's settings: libvirt turns forwarding on for them, and what a setting was before
// the lab is noted when it is first made.
func (l *Lab) SettingsFirst() {
	settings := make(map[string]Addr)
	for _, r := range l.Resources {
		if r.Addr.Type() == "host.sysctl" {
			settings[r.Host] = r.Addr
		}
	}
	for i := range l.Resources {
		r := &l.Resources[i]
		if addr, ok := settings[r.Host]; ok && r.Addr.Type() == "network" && !slices.Contains(r.Deps, addr) {
			r.Deps = append(slices.Clone(r.Deps), addr)
		}
	}
}
