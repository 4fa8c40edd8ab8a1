package sysctl

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Apply implements provider.Provider. What is set is written to the file first, what goes is taken out of it last: whoever
// is stopped in between leaves a file that still knows all that is to be put back.
func (p *Provider) Apply(ctx context.Context, lab string, c provider.Change) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	var err error
	switch c.Action {
	case provider.NoOp:
		return nil
	case provider.Forget:
		return p.forget(ctx, lab, c.Have)
	case provider.Delete:
		err = p.converge(ctx, provider.Mark{Lab: lab, Addr: c.Have.Mark.Addr}, c.Have.Mark.Addr, nil)
	default:
		body, ok := c.Want.Body.(*schema.Sysctl)
		if !ok {
			return &provider.Error{Op: "set kernel settings", Addr: c.Addr, Err: fmt.Errorf("its body is a %T", c.Want.Body)}
		}
		mark := provider.MarkOf(lab, c.Want)
		former := mark.Addr // a moved block's file bears the old address until now
		if c.Have != nil && c.Have.Owned(lab) {
			former = c.Have.Mark.Addr
		}
		err = p.converge(ctx, mark, former, body.Values)
	}
	if err != nil {
		return &provider.Error{Op: "set kernel settings", Addr: c.Addr, Err: err}
	}
	return nil
}

// converge makes want the settings of a mark's lab and address; none takes the file away. former is the address that the
// lab's file bears up to now.
func (p *Provider) converge(ctx context.Context, mark provider.Mark, former schema.Addr, want map[string]string) error {
	// The kernel before the files: a value that another lab sets meanwhile is then in its file already when that is read.
	now, err := p.live(ctx, inOrder(want))
	if err != nil {
		return err
	}
	files, err := p.readFiles(ctx)
	if err != nil {
		return err
	}
	if holder, _ := conflict(files, mark.Lab, want); holder != "" {
		return fmt.Errorf("%s: it %w", holder, provider.ErrForeign)
	}
	t := &turn{now: now, want: want, next: &file{path: p.pathOf(mark.Lab, mark.Addr), mark: mark, entries: map[string]entry{}}}
	for _, f := range files {
		if f.mark.Lab == mark.Lab && (f.mark.Addr == mark.Addr || f.mark.Addr == former) {
			t.old = append(t.old, f)
			maps.Copy(t.next.entries, f.entries)
		}
	}
	if want == nil {
		if len(t.old) == 0 {
			return nil
		}
		t.next.mark = t.old[0].mark
	}
	for key, e := range t.next.entries {
		if _, stays := want[key]; !stays {
			e.leaving, t.leaving = true, true
			t.next.entries[key] = e
		}
	}
	for key, value := range want {
		current, has := now[key]
		if !has {
			return unknownKey(mark.Addr, key)
		}
		t.next.entries[key] = entry{value: normal(value), before: before(files, key, current)}
	}
	if err := p.enact(ctx, t); err != nil {
		return err
	}
	return p.release(ctx, t)
}

// turn is one Apply: from the lab's old files, of which a moved block may have two, to the next.
type turn struct {
	now, want map[string]string
	old       []*file
	next      *file
	leaving   bool // some setting is to be put back
}

// before is a setting's value from before any lab: as a lab that has it remembers it, or what it is now.
func before(files []*file, key, current string) string {
	for _, f := range files {
		if e, has := f.entries[key]; has {
			return e.before
		}
	}
	return current
}

// enact writes the file, and then the kernel's settings where they differ. A value that the kernel refuses is in no file.
func (p *Provider) enact(ctx context.Context, t *turn) error {
	if err := provider.Step(ctx, "write "+path.Base(t.next.path)); err != nil {
		return err
	}
	if err := p.write(ctx, t.next); err != nil {
		return err
	}
	set, back := map[string]string{}, map[string]string{}
	for key, value := range t.want {
		if t.now[key] != normal(value) {
			set[key], back[key] = normal(value), t.now[key]
		}
	}
	if len(set) == 0 {
		return nil
	}
	if err := provider.Step(ctx, "set "+strings.Join(inOrder(set), ", ")); err != nil {
		return err
	}
	err := p.set(ctx, set, false)
	if err == nil {
		err = p.verify(ctx, set)
	}
	if err == nil {
		return nil
	}
	undo := []error{err, p.set(ctx, back, true)}
	if !slices.ContainsFunc(t.old, func(f *file) bool { return f.path == t.next.path }) {
		undo = append(undo, p.host.Remove(ctx, t.next.path))
	}
	for _, f := range t.old {
		undo = append(undo, p.write(ctx, f))
	}
	return errors.Join(undo...)
}

func (p *Provider) write(ctx context.Context, f *file) error {
	return p.host.WriteFile(ctx, f.path, []byte(f.render()), 0o644)
}

// verify reads back: some settings take a value and keep another.
func (p *Provider) verify(ctx context.Context, set map[string]string) error {
	values, err := p.live(ctx, inOrder(set))
	if err != nil {
		return err
	}
	for _, key := range inOrder(set) {
		if values[key] != set[key] {
			return fmt.Errorf("read back: %s is %q and should be %q", key, values[key], set[key])
		}
	}
	return nil
}

// release puts settings back that no other lab counts on, and takes them out of the file.
func (p *Provider) release(ctx context.Context, t *turn) error {
	if t.leaving {
		// Read again now that the file says what leaves: of two labs that leave at once, each sees the other leave.
		files, err := p.readFiles(ctx)
		if err != nil {
			return err
		}
		restore := map[string]string{}
		for key, e := range t.next.entries {
			if e.leaving && !counted(files, t.next.mark.Lab, key) {
				restore[key] = e.before
			}
		}
		if err := provider.Step(ctx, "put back "+strings.Join(inOrder(restore), ", ")); err != nil {
			return err
		}
		if err := p.set(ctx, restore, true); err != nil {
			return err
		}
		maps.DeleteFunc(t.next.entries, func(_ string, e entry) bool { return e.leaving })
		if err := provider.Step(ctx, "write "+path.Base(t.next.path)); err != nil {
			return err
		}
		if err := p.write(ctx, t.next); err != nil {
			return err
		}
	}
	for _, f := range t.old {
		if f.path != t.next.path {
			if err := p.host.Remove(ctx, f.path); err != nil {
				return err
			}
		}
	}
	if t.want == nil {
		return p.host.Remove(ctx, t.next.path)
	}
	return nil
}

// counted reports whether another lab has the setting and is not letting go of it itself.
func counted(files []*file, lab, key string) bool {
	for _, f := range files {
		if e, has := f.entries[key]; has && !e.leaving && f.mark.Lab != lab {
			return true
		}
	}
	return false
}

// unknownKey is a setting that the kernel does not have.
func unknownKey(addr schema.Addr, key string) error {
	err := &provider.Error{Op: "set kernel settings", Addr: addr, Path: "values", Err: fmt.Errorf("the host's kernel has no setting %s", key)}
	switch {
	case strings.HasPrefix(key, "net.bridge."):
		err.Hint = "it comes with the module br_netfilter: modprobe br_netfilter"
	case strings.HasPrefix(key, "net.netfilter."):
		err.Hint = "it comes with the module nf_conntrack: modprobe nf_conntrack"
	case perInterface(key):
		err.Hint = "it comes with its interface: let the host depend on the bridge"
	}
	return err
}

// perInterface reports whether a setting is one interface's own, which may come later than the check.
func perInterface(key string) bool {
	parts := strings.Split(key, ".")
	return len(parts) > 4 && parts[0] == "net" && (parts[2] == "conf" || parts[2] == "neigh") && parts[3] != "all" && parts[3] != "default"
}

// Forget implements provider.Forgetter: the settings stay, in force and in a file that is nobody's.
func (p *Provider) Forget(ctx context.Context, lab string, have provider.Object) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	return p.forget(ctx, lab, &have)
}

func (p *Provider) forget(ctx context.Context, lab string, have *provider.Object) error {
	failed := func(err error) error { return &provider.Error{Op: "forget kernel settings", Addr: have.Addr, Err: err} }
	files, err := p.readFiles(ctx)
	if err != nil {
		return failed(err)
	}
	for _, f := range files {
		if f.mark.Lab != lab || f.mark.Addr != have.Mark.Addr {
			continue
		}
		var text strings.Builder
		text.WriteString("# Kernel settings that a labctl lab has let go of: they are nobody's.\n")
		for _, key := range inOrder(f.entries) {
			if e := f.entries[key]; !e.leaving {
				fmt.Fprintf(&text, "%s = %s\n", key, e.value)
			}
		}
		free := path.Join(path.Dir(f.path), "90-kept-"+provider.FileName(lab, f.mark.Addr)+suffix)
		if err := provider.Step(ctx, "write "+path.Base(free)); err != nil {
			return err
		}
		if err := p.host.WriteFile(ctx, free, []byte(text.String()), 0o644); err != nil {
			return failed(err)
		}
		if err := p.host.Remove(ctx, f.path); err != nil {
			return failed(err)
		}
	}
	return nil
}
