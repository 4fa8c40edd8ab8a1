package guest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/schema"
)

// cloud is a tree of a guest with cloud-init, whose result is as given; "" is none yet.
func cloud(t *testing.T, result string) System {
	t.Helper()
	s := System{Root: t.TempDir(), Host: host.Local{}}
	for name, text := range map[string]string{cloudEnabled: "", cloudResult: result} {
		if name == cloudResult && text == "" {
			continue
		}
		if err := s.write(t.Context(), name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func withPackages() helper.Persist {
	return helper.Persist{First: &helper.FirstBoot{Packages: []string{"nosuch"}}}
}

const (
	wellDone = `{"v1": {"datasource": "DataSourceNoCloud", "errors": []}}`
	illDone  = `{"v1": {"datasource": "DataSourceNoCloud", "errors": ["('package-update-upgrade-install', E: nosuch)"]}}`
)

func TestFirstBootIsOverWhenCloudInitSaysSo(t *testing.T) {
	bare := System{Root: t.TempDir(), Host: host.Local{}}
	for name, test := range map[string]struct {
		system System
		kept   helper.Persist
	}{
		"no cloud-init":       {bare, withPackages()},
		"nothing to wait for": {cloud(t, ""), helper.Persist{First: &helper.FirstBoot{SSH: &schema.SSH{User: "ada"}}}},
		"no seed disc":        {cloud(t, ""), helper.Persist{}},
		"done":                {cloud(t, wellDone), withPackages()},
	} {
		if err := test.system.task(t.Context(), &schema.Guest{}, test.kept).awaitFirstBoot(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFirstBootIsWaitedFor(t *testing.T) {
	s := cloud(t, "")
	task := s.task(t.Context(), &schema.Guest{}, withPackages())
	wrote := make(chan error, 1)
	began := time.Now()
	go func() {
		time.Sleep(2 * firstBootPause)
		wrote <- os.WriteFile(filepath.Join(s.Root, cloudResult), []byte(wellDone), 0o600)
	}()
	if err := task.awaitFirstBoot(); err != nil || time.Since(began) < 2*firstBootPause {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	unfinished := cloud(t, "")
	if err := unfinished.task(ctx, &schema.Guest{}, withPackages()).awaitFirstBoot(); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// A failure is an error once, and is kept for the plans to come.
func TestFailedFirstBootIsToldAndKept(t *testing.T) {
	s := cloud(t, illDone)
	task := s.task(t.Context(), &schema.Guest{}, withPackages())
	err := task.awaitFirstBoot()
	if !errors.Is(err, errFirstBoot) || !strings.Contains(err.Error(), "E: nosuch") || !strings.Contains(err.Error(), cloudLog) {
		t.Fatalf("%v", err)
	}
	if err := task.remember("m"); err != nil {
		t.Fatal(err)
	}
	kept, err := s.readPersist()
	if err != nil || !strings.Contains(kept.First.Failed, "E: nosuch") {
		t.Fatalf("kept %+v, %v", kept.First, err)
	}
	again := s.task(t.Context(), &schema.Guest{}, kept)
	if err := again.awaitFirstBoot(); err != nil || again.response().FirstBoot.Failed == "" {
		t.Errorf("the second time: %v, %+v", err, again.response().FirstBoot)
	}
}

func TestUnreadableResultIsAFailure(t *testing.T) {
	task := cloud(t, "{").task(t.Context(), &schema.Guest{}, withPackages())
	if err := task.awaitFirstBoot(); !errors.Is(err, errFirstBoot) {
		t.Errorf("%v", err)
	}
}
