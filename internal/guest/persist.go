package guest

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/schema"
)

func (s System) readPersist() (helper.Persist, error) {
	var kept helper.Persist
	text, err := s.read(helper.PersistPath)
	if err != nil || text == "" {
		return kept, err
	}
	if err := json.Unmarshal([]byte(text), &kept); err != nil {
		return kept, fmt.Errorf("%s: %w", helper.PersistPath, err)
	}
	return kept, nil
}

// isKept reports whether the next boot will make so what is wanted.
func (t *task) isKept() bool {
	return t.service() && t.keep.Guest != nil && sameJSON(t.keep.Guest, helper.Essence(t.want)) && t.nativeKept()
}

// keeps is what the next boot will make, where that is not what is wanted and nothing else is amiss.
func (t *task) keeps() *schema.Guest {
	if t.isKept() || !t.service() || !t.nativeKept() {
		return nil
	}
	return t.keep.Guest
}

// remember keeps what is wanted for the next boot, with how things were before where something new is wanted. It is done
// first, so that a guest that stops in the middle comes up as wanted.
func (t *task) remember(mark string) error {
	t.keep.Mark, t.keep.Guest = mark, helper.Essence(t.want)
	t.keep.Before = helper.Before{MTU: t.network.MTUBefore(), Sysctl: t.sysctlBefore(), Files: t.filesBefore()}
	return t.writePersist()
}

// forget lets go of how things were before, for what has gone back to it.
func (t *task) forget() error {
	for _, key := range t.released() {
		delete(t.keep.Before.Sysctl, key)
	}
	for _, path := range t.releasedFiles() {
		delete(t.keep.Before.Files, path)
	}
	if err := t.writePersist(); err != nil {
		return err
	}
	t.kept = t.keep
	t.network.Kept, t.network.Before, t.rules.Kept = t.kept.Guest, t.kept.Before.MTU, t.kept.Guest
	return nil
}

func (t *task) writePersist() error {
	text, err := json.Marshal(t.keep)
	if err != nil {
		return err
	}
	if old, err := t.read(helper.PersistPath); err == nil && old == string(text) {
		return nil
	}
	// It may hold secrets (files, keys).
	if err := t.write(t.ctx, helper.PersistPath, string(text), 0o600); err != nil {
		return fmt.Errorf("keep the configuration for the next boot: %w", err)
	}
	return nil
}

func sameJSON(a, b any) bool {
	left, err := json.Marshal(a)
	if err != nil {
		return false
	}
	right, err := json.Marshal(b)
	return err == nil && bytes.Equal(left, right)
}

// converged reports whether what is there is what is wanted.
func (t *task) converged() bool {
	return len(t.rules.Differences) == 0 && sameJSON(helper.Essence(t.have), helper.Essence(t.want))
}
