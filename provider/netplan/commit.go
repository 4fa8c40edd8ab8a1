package netplan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/netplan/link"
	"github.com/labctl/labctl/provider/netplan/tree"
	"github.com/labctl/labctl/schema"
)

// commit makes edits of one lab so: asks netplan, takes removed bridges away, writes the file, loads it, and waits until
// the kernel shows what is declared. A removed bridge's stanza, and with it its mark, goes after the bridge itself: whoever
// is stopped in between still finds it by its mark.
func (p *Provider) commit(lab string, edits []*edit) results {
	r := results{}
	on := r.step(edits, "check with netplan")
	if len(on) == 0 {
		return r
	}
	// One Apply that is called off does not call off the others of its commit.
	ctx := context.WithoutCancel(on[0].ctx)
	t, view, err := p.observe(ctx)
	if err != nil {
		r.failed(on, "read bridges", err)
		return r
	}
	f, err := p.edited(lab, t, view, on, r)
	if err != nil {
		r.failed(on, "write bridges", err)
		return r
	}
	on = slices.DeleteFunc(on, func(e *edit) bool { return r[e] != nil })
	f.Configured = func(link string) bool { return t.Configured(link, tree.Base(lab)) }
	text, err := tree.Render(tree.Heading(lab), f, f.Configured)
	if err == nil {
		err = p.try(ctx, f.Path, text)
	}
	if err != nil {
		r.failed(on, "check with netplan", err)
		return r
	}
	g, err := p.arm(ctx, lab, f, view, on)
	if err != nil {
		r.failed(on, "guard the host's network", err)
		return r
	}
	p.enact(ctx, lab, t, view, f, text, on, r)
	p.keep(ctx, g, on, r)
	p.finish(ctx, lab, f, on, r)
	return r
}

// enact takes away what goes, writes the file and loads it.
func (p *Provider) enact(ctx context.Context, lab string, t *tree.Tree, view *link.View, f *tree.File, text []byte, on []*edit, r results) {
	p.letGo(ctx, lab, t, view, on, r)
	if on = r.step(on, "write "+path.Base(f.Path)); len(on) == 0 {
		return
	}
	if err := p.ungenerate(ctx, t, lab, on); err != nil {
		r.failed(on, "write bridges", err)
		return
	}
	if !bytes.Equal(text, f.Text) {
		if err := p.put(ctx, f.Path, text); err != nil {
			r.failed(on, "write bridges", err)
			return
		}
	}
	if p.settled(ctx, lab, on, r) {
		return
	}
	on = r.step(on, "netplan generate")
	if err := p.generate(ctx, f, text); err != nil {
		r.failed(on, "write bridges", err)
		return
	}
	p.load(ctx, lab, on, r)
}

// ungenerate takes away what netplan has generated for removed bridges, while their marks stand: whoever is stopped after
// the marks are gone leaves nothing that the next reload would make the bridges from again.
func (p *Provider) ungenerate(ctx context.Context, t *tree.Tree, lab string, edits []*edit) error {
	for _, e := range edits {
		own := t.Own(lab).Entry(e.remove)
		if own == nil || own.Mark.Addr != e.addr || own.Mark.Lab != lab || len(t.Others(lab, e.remove)) > 0 {
			continue
		}
		for _, file := range []string{
			"run/systemd/network/10-netplan-" + e.remove + ".netdev", "run/systemd/network/10-netplan-" + e.remove + ".network",
			"run/NetworkManager/system-connections/netplan-" + e.remove + ".nmconnection",
		} {
			if err := p.host.Remove(ctx, path.Join(p.Root, file)); err != nil {
				return err
			}
		}
	}
	return nil
}

// settled reports whether there is nothing to load: no stanza changes, and what the kernel has otherwise is mended by
// setting just that, so that no link is configured anew.
func (p *Provider) settled(ctx context.Context, lab string, edits []*edit, r results) bool {
	for _, e := range edits {
		if e.remove != "" || !e.same {
			return false
		}
	}
	t, view, err := p.observe(ctx)
	if err != nil {
		return false // load meets it again
	}
	if p.mend(ctx, lab, t, view, edits, r) {
		if view, err = p.links.Read(ctx); err != nil {
			return false
		}
	}
	return len(unfinished(lab, t, view, edits, r)) == 0
}

// finish takes the note off the marks that their bridges are not complete yet.
func (p *Provider) finish(ctx context.Context, lab string, f *tree.File, edits []*edit, r results) {
	done := map[schema.Addr]bool{}
	for _, e := range edits {
		done[e.addr] = e.set != nil && r[e] == nil
	}
	noted := false
	for i := range f.Entries {
		if mark := &f.Entries[i].Mark; mark.Lab == lab && mark.Incomplete && done[mark.Addr] {
			mark.Incomplete, noted = false, true
		}
	}
	if !noted || len(r.step(edits, "write "+path.Base(f.Path))) == 0 {
		return
	}
	text, err := tree.Render(tree.Heading(lab), f, f.Configured)
	if err == nil {
		err = p.put(ctx, f.Path, text)
	}
	if err != nil {
		r.failed(edits, "write bridges", err)
	}
}

// edited is the lab's file with the edits in it. An edit that may not be made gets its error into r.
func (p *Provider) edited(lab string, t *tree.Tree, view *link.View, edits []*edit, r results) (*tree.File, error) {
	own := t.Own(lab)
	if own == nil {
		own = &tree.File{Path: p.ownPath(lab)}
	}
	if own.Err != nil {
		return nil, fmt.Errorf("%s: %w", own.Path, own.Err)
	}
	f := &tree.File{Path: own.Path, Text: own.Text, Rest: own.Rest, Entries: slices.Clone(own.Entries)}
	for _, e := range edits {
		if e.set != nil {
			name := e.bridge().Name
			had := own.Entry(name)
			if had == nil || had.Mark.Lab != lab {
				if holder, _ := holder(t, lab, name, view); holder != "" {
					r[e] = foreign(e.addr, holder)
					continue
				}
			}
			mark := provider.MarkOf(lab, e.set)
			stanza := tree.Encode(e.bridge())
			if had != nil {
				e.before, _ = tree.Decode(name, had.Stanza)
				e.same = sameYAML(had.Stanza, stanza) && !had.Mark.Incomplete
			}
			mark.Incomplete = !e.same
			f.Entries = slices.DeleteFunc(f.Entries, func(old tree.Entry) bool { return old.Name == name })
			f.Entries = append(f.Entries, tree.Entry{Name: name, Mark: mark, Stanza: stanza})
		}
		f.Entries = slices.DeleteFunc(f.Entries, func(old tree.Entry) bool { return old.Name == e.remove && old.Mark.Addr == e.addr })
	}
	return f, nil
}

func sameYAML(a, b yaml.MapSlice) bool {
	one, errA := yaml.Marshal(a)
	two, errB := yaml.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(one, two)
}

// try lets netplan generate from a copy of all of its files with the new one among them and those of the names in
// without left out, and throws the copy away.
func (p *Provider) try(ctx context.Context, file string, text []byte, without ...string) error {
	script := generator + `root=$0 file=$1 mode=$2; shift 2
		d=$(mktemp -d) || exit; trap 'rm -rf "$d"' EXIT
		mkdir -p "$d/etc/netplan" || exit
		for f in ` + strings.Join(tree.Folders(), " ") + `; do
			if [ -d "$root/$f" ]; then mkdir -p "$d/$f" && cp -a "$root/$f/." "$d/$f/" || exit; fi; done
		cd "$d/etc/netplan" && rm -f -- "$@"; umask 077
		if [ "$mode" = set ]; then cat >"$file" || exit; fi
		out=$(generate --root-dir "$d" 2>&1); code=$?
		printf '%s\n' "$out" | sed "s|$d||g" >&2; exit $code`
	mode := "set"
	if text == nil {
		mode = "unset"
	}
	args := append([]string{"sh", "-c", script, p.Root, path.Base(file), mode, path.Base(file)}, without...)
	if _, err := p.host.Run(ctx, host.Command{Args: args, Stdin: text}); err != nil {
		return &refusal{netplanSaid(err)}
	}
	return nil
}

// netplanSaid is an error of netplan's in its own words, without the shell that ran it.
func netplanSaid(err error) error {
	if failed, ok := errors.AsType[*host.CommandError](err); ok {
		if said := strings.TrimSpace(failed.Stderr); said != "" {
			return fmt.Errorf("netplan: %s", said)
		}
	}
	return err
}

// put writes a file that only root may read, as netplan asks for; nil text removes it.
func (p *Provider) put(ctx context.Context, file string, text []byte) error {
	if text == nil {
		return p.host.Remove(ctx, file)
	}
	return p.host.WriteFile(ctx, file, text, 0o600)
}

// generate lets netplan write the back end's configuration. Where it refuses what it took in the trial, the old file is
// put back, and the configuration made from it.
func (p *Provider) generate(ctx context.Context, old *tree.File, text []byte) error {
	err := p.runGenerate(ctx)
	if err == nil || bytes.Equal(text, old.Text) {
		return err
	}
	if back := p.put(ctx, old.Path, old.Text); back != nil {
		return errors.Join(err, fmt.Errorf("put the old file back: %w", back))
	}
	if back := p.runGenerate(ctx); back != nil {
		return errors.Join(err, fmt.Errorf("generate from the old file: %w", back))
	}
	return &refusal{err}
}

// generator is the shell's way to netplan's generator, which `netplan generate` wraps in ten times its own run time.
const generator = `generate() {
		for g in /usr/libexec/netplan/generate /lib/netplan/generate; do
			if [ -x "$g" ]; then "$g" "$@"; return; fi; done
		netplan generate "$@"; }
	`

// runGenerate is `netplan generate`, but files that come out as they were stay the same files. networkd goes by their
// times and numbers: by a new one, be its text the same, it takes all addresses off the link and puts them on again, and
// takes off what others have added, on every link of the host that netplan knows.
func (p *Provider) runGenerate(ctx context.Context) error {
	const script = generator + `net=${0%/}/run/systemd/network; old=$net.labctl.$$
		mkdir -p "$net" && cp -al "$net" "$old" || exit; trap 'rm -rf "$old"' EXIT
		if [ "$0" = / ]; then generate; else generate --root-dir "$0"; fi; code=$?
		for f in "$old"/*; do
			if cmp -s "$f" "$net/${f##*/}"; then mv -f "$f" "$net/${f##*/}"; fi; done
		exit $code`
	_, err := p.host.Run(ctx, host.Cmd("sh", "-c", script, p.Root))
	return netplanSaid(err)
}
