package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/labctl/labctl/internal/guest/note"
	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/schema"
)

// Defaults of a declared file.
const (
	defaultMode  = "0644"
	defaultOwner = "root:root"
)

// original reads a file as it is.
func (t *task) original(path string) (helper.Original, error) {
	info, err := os.Stat(t.path(path))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return helper.Original{}, nil
	}
	if err != nil {
		return helper.Original{}, err
	}
	if !info.Mode().IsRegular() {
		return helper.Original{}, note.Refuse("%s is there and is no regular file", path)
	}
	content, err := os.ReadFile(t.path(path))
	if err != nil {
		return helper.Original{}, err
	}
	mode := uint32(info.Mode().Perm())
	for bit, flag := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if info.Mode()&flag != 0 {
			mode |= bit
		}
	}
	out := helper.Original{There: true, Content: content, Mode: fmt.Sprintf("%04o", mode)}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		out.Owner = owner(stat.Uid, stat.Gid)
	}
	return out, nil
}

func owner(uid, gid uint32) string {
	name, group := strconv.Itoa(int(uid)), strconv.Itoa(int(gid))
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return name + ":" + group
}

// ownerIDs finds "user" or "user:group", each a name or a number. A user alone brings its own group.
func ownerIDs(text string) (uid, gid int, err error) {
	name, group, hasGroup := strings.Cut(text, ":")
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			if _, err = strconv.Atoi(name); err != nil {
				return 0, 0, note.Refuse("this guest has no user %q", name)
			}
			u = &user.User{Uid: name, Gid: name}
		}
	}
	gidText := u.Gid
	if hasGroup {
		gidText = group
		if g, err := user.LookupGroup(group); err == nil {
			gidText = g.Gid
		}
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, err
	}
	if gid, err = strconv.Atoi(gidText); err != nil {
		return 0, 0, note.Refuse("this guest has no group %q", group)
	}
	return uid, gid, nil
}

// mode reads an octal mode, with set-user-ID, set-group-ID and sticky bits.
func mode(text string) (fs.FileMode, error) {
	bits, err := strconv.ParseUint(text, 8, 16)
	if err != nil || bits > 0o7777 {
		return 0, note.Refuse("mode %q is no octal mode such as 0644", text)
	}
	out := fs.FileMode(bits & 0o777)
	for bit, flag := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if bits&bit != 0 {
			out |= flag
		}
	}
	return out, nil
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (t *task) observeFiles() {
	t.have.Files = nil
	for _, want := range t.want.Files {
		is, err := t.original(want.Path)
		if err != nil {
			t.Problem(fileAt(want.Path), err)
			continue
		}
		if is.There {
			t.have.Files = append(t.have.Files, fileAs(want, is))
		}
	}
	for _, path := range t.releasedFiles() {
		if !slices.ContainsFunc(t.kept.Guest.Files, func(f schema.File) bool { return f.Path == path }) {
			continue // it never was declared: see nativeFiles
		}
		is, err := t.original(path)
		was := t.kept.Before.Files[path]
		if err == nil && is.There && !(was.There && string(is.Content) == string(was.Content)) {
			t.have.Files = append(t.have.Files, schema.File{Path: path, Content: string(is.Content)})
		}
	}
}

// fileAs is a live file in the words of the wanted one where they mean the same.
func fileAs(want schema.File, is helper.Original) schema.File {
	have := schema.File{Path: want.Path, Content: string(is.Content), Mode: want.Mode, Owner: want.Owner}
	wanted, err := mode(or(want.Mode, defaultMode))
	if live, liveErr := mode(is.Mode); err != nil || liveErr != nil || wanted != live {
		have.Mode = is.Mode
	}
	uid, gid, err := ownerIDs(or(want.Owner, defaultOwner))
	liveUID, liveGID, liveErr := ownerIDs(is.Owner)
	if err != nil || liveErr != nil || uid != liveUID || gid != liveGID {
		have.Owner = is.Owner
	}
	return have
}

// releasedFiles are the files that labctl wrote once and has no longer reason to.
func (t *task) releasedFiles() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(t.kept.Before.Files)), func(path string) bool {
		return slices.ContainsFunc(t.files(), func(f schema.File) bool { return f.Path == path })
	})
}

func (t *task) filesBefore() map[string]helper.Original {
	before := maps.Clone(t.kept.Before.Files)
	if before == nil {
		before = map[string]helper.Original{}
	}
	for _, f := range t.files() {
		if _, known := before[f.Path]; known {
			continue
		}
		if was, err := t.original(f.Path); err == nil { // else applyFiles says so
			before[f.Path] = was
		}
	}
	return before
}

func (t *task) applyFiles() {
	for _, want := range t.want.Files {
		t.Problem(fileAt(want.Path), t.applyFile(want))
	}
	for _, path := range t.releasedFiles() {
		t.Problem(fileAt(path), t.restore(path, t.kept.Before.Files[path]))
	}
}

func (t *task) applyFile(want schema.File) error {
	is, err := t.original(want.Path)
	if err != nil {
		return err
	}
	if is.There && fileAs(want, is) == want {
		return nil
	}
	bits, err := mode(or(want.Mode, defaultMode))
	if err != nil {
		return err
	}
	uid, gid, err := ownerIDs(or(want.Owner, defaultOwner))
	if err != nil {
		return err
	}
	if !is.There || string(is.Content) != want.Content {
		if err := t.write(t.ctx, want.Path, want.Content, 0o600); err != nil {
			return err
		}
	}
	if err := os.Chown(t.path(want.Path), uid, gid); err != nil {
		return err
	}
	if err := os.Chmod(t.path(want.Path), bits); err != nil { // after chown, which clears set-user-ID
		return err
	}
	t.Did("write file %s", want.Path)
	return nil
}

func (t *task) restore(path string, was helper.Original) error {
	if was.There {
		return t.applyFile(schema.File{Path: path, Content: string(was.Content), Mode: was.Mode, Owner: was.Owner})
	}
	if !t.exists(path) {
		return nil
	}
	if err := t.Host.Remove(t.ctx, t.path(path)); err != nil {
		return err
	}
	t.Did("remove file %s", path)
	return nil
}

func fileAt(path string) string { return fmt.Sprintf("file[%q]", path) }
