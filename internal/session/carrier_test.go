package session

import (
	"strings"
	"testing"
)

func TestLibvirtElsewhereIsRefused(t *testing.T) {
	for _, uri := range []string{"qemu:///system", "qemu+unix:///system", "qemu+unix:///system?socket=/run/x", "test:///default", "qemu:///embed?root=/x"} {
		if err := here(uri); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
	}
	for _, uri := range []string{"qemu+ssh://root@lab.example/system", "qemu+tls://lab.example/system", "qemu://lab.example/system", "qemu+libssh2://a/system", "qemu+tcp:///system"} {
		if err := here(uri); err == nil || !strings.Contains(err.Error(), "on another machine") {
			t.Errorf("%s: %v, want it refused", uri, err)
		}
	}
}
