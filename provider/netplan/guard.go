package netplan

import (
	"context"
	"fmt"
	"net"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/netplan/link"
	"github.com/labctl/labctl/provider/netplan/tree"
	"github.com/labctl/labctl/schema"
)

// patient is how long a lifeline may be silent after a change: a port of a bridge with STP forwards after twice the forward
// delay, 30 s by default.
const patient = 45 * time.Second

// guard takes a change back that cuts the host off. It stands on the host itself, as a process of its own with the old file,
// since with the network labctl may be gone too.
type guard struct {
	dir   string   // what it keeps
	lines []string // addresses that answered before the change
}

// rollback is what the guard's process runs: it waits, and if it was not called off by then, puts the old file and the old
// links back. With "now" it does so at once.
const rollback = generator + `dir=$1 file=$2 root=$3
	[ "$4" = now ] || sleep "$4"
	[ -d "$dir" ] || exit 0
	if [ -f "$dir/old" ]; then (umask 077; cp "$dir/old" "$file.old") && mv -f "$file.old" "$file"; else rm -f "$file"; fi
	if [ "$root" = / ]; then generate; else generate --root-dir "$root"; fi
	while read -r verb link; do case $verb in
		delete) ip link delete dev "$link" 2>/dev/null;;
		release) ip link set dev "$link" nomaster;;
	esac; done <"$dir/undo"
	networkctl reload
	while read -r verb link; do [ "$verb" = delete ] || networkctl reconfigure "$link"; done <"$dir/undo"
	rm -rf "$dir"
`

// arm starts a guard over a change of lab's file from old, if the host has a lifeline. A guard of an earlier labctl that died
// is called off: what it would put back is not the present.
func (p *Provider) arm(ctx context.Context, lab string, old *tree.File, view *link.View, edits []*edit) (*guard, error) {
	g := &guard{dir: path.Join(p.Root, "run/labctl/guard", lab)}
	for _, address := range p.lifelines(view, edits) {
		if p.answers(ctx, address) {
			g.lines = append(g.lines, address)
		}
	}
	if err := p.disarm(ctx, g); err != nil || len(g.lines) == 0 {
		return g, err
	}
	script := `dir=$1 file=$2 root=$3 wait=$4 keep=$5 rollback=$6; shift 6
		mkdir -p "$dir" && chmod 700 "$dir" && cd "$dir" || exit
		if [ "$keep" = keep ]; then (umask 077; cat >old); fi
		printf '%s\n' "$rollback" >rollback; : >undo
		for word; do printf '%s\n' "$word" >>undo; done
		setsid sh rollback "$dir" "$file" "$root" "$wait" >/dev/null 2>&1 </dev/null & echo $! >pid`
	keep := "keep"
	if old.Text == nil {
		keep = "none"
	}
	wait := fmt.Sprint((p.Patience + p.Patience/3).Seconds())
	args := append([]string{"sh", "-c", script, "sh", g.dir, old.Path, p.Root, wait, keep, rollback}, undo(view, edits)...)
	_, err := p.host.Run(ctx, host.Command{Args: args, Stdin: old.Text})
	return g, err
}

// undo lists the changes of links that the old file alone does not take back, for rollback.
func undo(view *link.View, edits []*edit) []string {
	var words []string
	for _, e := range edits {
		if e.set == nil {
			continue
		}
		for _, port := range e.bridge().Interfaces {
			if l := view.Links[port]; l != nil && l.Master == "" {
				words = append(words, "release "+port)
			}
		}
		if name := e.bridge().Name; view.Links[name] == nil {
			words = append(words, "delete "+name)
		}
	}
	return words
}

// disarm calls a guard off: its process finds nothing to do, and is ended.
func (p *Provider) disarm(ctx context.Context, g *guard) error {
	script := `[ -d "$0" ] || exit 0
		pid=$(cat "$0/pid" 2>/dev/null); rm -rf "$0"
		case $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) in *"rollback $0 "*) kill -- "-$pid" 2>/dev/null || kill "$pid";; esac; :`
	_, err := p.host.Run(ctx, host.Cmd("sh", "-c", script, g.dir))
	return err
}

// keep waits until every lifeline answers again, and calls the guard off. Where one stays silent, the change is taken back
// now, and no edit has succeeded.
func (p *Provider) keep(ctx context.Context, g *guard, edits []*edit, r results) {
	if len(g.lines) == 0 {
		return
	}
	live := slices.DeleteFunc(slices.Clone(edits), func(e *edit) bool { return r[e] != nil })
	if on := r.step(live, "see that the host is still reached"); len(on) == 0 && len(live) > 0 {
		return // whoever stops here leaves the guard to do its work
	}
	deadline := time.Now().Add(p.Patience)
	for _, address := range g.lines {
		for !p.answers(ctx, address) {
			if time.Now().Before(deadline) {
				continue
			}
			p.takeBack(ctx, g, address, edits, r)
			return
		}
	}
	if err := p.disarm(ctx, g); err != nil {
		r.failed(edits, "call the guard off", err)
	}
}

func (p *Provider) takeBack(ctx context.Context, g *guard, address string, edits []*edit, r results) {
	err := fmt.Errorf("%s, which the host reached before, did not answer for %s: the change was taken back", address, p.Patience)
	script := `pid=$(cat "$0/pid"); kill -- "-$pid" 2>/dev/null; exec sh "$0/rollback" "$0" "$1" "$2" now`
	if _, failed := p.host.Run(ctx, host.Cmd("sh", "-c", script, g.dir, p.ownPath(edits[0].lab), p.Root)); failed != nil {
		err = fmt.Errorf("%w, with an error: %w", err, failed)
	}
	for _, e := range edits {
		r[e] = &provider.Error{Op: "see that the host is still reached", Addr: e.addr, Err: err,
			Hint: "give the bridge the addresses and the default route of the port that it takes in"}
	}
}

// lifelines are the addresses that a host must not lose: its default gateways, and who labctl serves from afar. A gateway
// behind a bridge of these edits that is declared no longer goes on purpose.
func (p *Provider) lifelines(view *link.View, edits []*edit) []string {
	var addresses []string
	for _, r := range view.Routes {
		nearby := strings.HasPrefix(r.Via, "fe80:") // without its link it is no address
		if !strings.HasPrefix(r.To, "default") || r.Via == "" || nearby || r.Type != "" || r.Table != 0 {
			continue
		}
		onPurpose := slices.ContainsFunc(edits, func(e *edit) bool {
			keeps := e.set != nil && slices.ContainsFunc(e.bridge().Routes, func(d schema.Route) bool { return d.Via == r.Via })
			return !keeps && (e.remove == r.Interface || e.set != nil && e.bridge().Name == r.Interface)
		})
		if !onPurpose {
			addresses = append(addresses, r.Via)
		}
	}
	if p.Peer != "" {
		addresses = append(addresses, p.Peer)
	}
	slices.Sort(addresses)
	return slices.Compact(addresses)
}

// answers reports whether an address answers a ping, or at least a question for its link-layer address: many gateways answer
// nothing else.
func (p *Provider) answers(ctx context.Context, address string) bool {
	if _, local := p.host.(host.Local); local {
		// A packet to the discard port makes the kernel look for a neighbour, where there is no ping to do so.
		if conn, err := new(net.Dialer).DialContext(ctx, "udp", net.JoinHostPort(address, "9")); err == nil {
			_, _ = conn.Write([]byte{0})
			_ = conn.Close()
		}
	}
	script := `command -v ping >/dev/null && ping -n -q -c 1 -W 1 "$0" >/dev/null 2>&1 && exit 0
		dev=$(ip -o route get "$0" 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p'); [ -n "$dev" ] || { sleep 0.2; exit 1; }
		ip neigh change "$0" dev "$dev" nud probe 2>/dev/null
		for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
			case $(ip neigh show to "$0" dev "$dev") in *REACHABLE*) exit 0;; *FAILED*) sleep 0.2; exit 1;; esac; sleep 0.1; done; exit 1`
	_, err := p.host.Run(ctx, host.Cmd("sh", "-c", script, address))
	return err == nil
}
