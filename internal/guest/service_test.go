package guest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/schema"
)

func TestServiceIsInstalledWhereTheSystemNeedsOne(t *testing.T) {
	for manager, want := range map[string][]string{
		"run/systemd/system": {unitPath, unitWants, helper.InstallPath},
		"run/openrc":         {initPath, initWants, helper.InstallPath},
		"run/other":          {},
	} {
		s := System{Root: t.TempDir(), Host: host.Local{}}
		if err := os.MkdirAll(filepath.Join(s.Root, manager), 0o755); err != nil {
			t.Fatal(err)
		}
		if s.service() != (len(want) == 0) {
			t.Errorf("%s: service is %t before", manager, s.service())
		}
		task := s.task(t.Context(), &schema.Guest{}, helper.Persist{})
		for range 2 {
			if err := task.installService(); err != nil {
				t.Fatal(err)
			}
		}
		if !s.service() || len(task.Changed) > 1 {
			t.Errorf("%s: service is %t after %q", manager, s.service(), task.Changed)
		}
		for _, name := range want {
			if !s.there(name) {
				t.Errorf("%s: %s is not there", manager, name)
			}
		}
	}
}

func TestUnitRunsTheInstalledHelper(t *testing.T) {
	if !strings.Contains(unit, "ExecStart=/usr/local/sbin/labctl-guest boot\n") || !strings.Contains(initScript, "/usr/local/sbin/labctl-guest boot\n") {
		t.Error(unit, initScript)
	}
}
