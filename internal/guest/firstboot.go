package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/labctl/labctl/internal/guest/native"
)

// What cloud-init notes of this boot; see https://docs.cloud-init.io/en/latest/reference/analyze.html and `cloud-init status`.
const (
	cloudEnabled = "/run/cloud-init/enabled"
	cloudResult  = "/run/cloud-init/result.json" // written when its last stage is over
	cloudLog     = "/var/log/cloud-init-output.log"
)

// How long the first boot's packages and scripts may take, and how often it is looked whether they are done.
const (
	firstBootLimit = 15 * time.Minute
	firstBootPause = 200 * time.Millisecond
)

var errFirstBoot = errors.New("the first boot did not do all that was declared")

// awaitFirstBoot waits until cloud-init has carried out what it does last on a first boot, packages and user data, and returns what
// went wrong: who has been told that the guest is as declared finds its packages there. Users and keys come earlier, before the
// agent. A failure is returned once; later plans have it from what is kept.
func (t *task) awaitFirstBoot() error {
	first := t.keep.First
	if first == nil || len(first.Packages) == 0 && first.UserData == "" || !t.exists(cloudEnabled) {
		return nil
	}
	for deadline := time.Now().Add(firstBootLimit); !t.exists(cloudResult); time.Sleep(firstBootPause) {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cloud-init is still at work after %v: see %s", firstBootLimit, cloudLog)
		}
	}
	text, err := t.read(cloudResult)
	if err != nil {
		return err
	}
	said := cloudErrors(text)
	if said == "" || first.Failed != "" {
		return nil
	}
	failed := *first
	failed.Failed = said
	t.keep.First = &failed
	return fmt.Errorf("%w: cloud-init says %s: see %s", errFirstBoot, said, cloudLog)
}

// cloudErrors are the errors in cloud-init's result, "" for none.
func cloudErrors(text string) string {
	var result struct {
		V1 struct {
			Errors []string `json:"errors"`
		} `json:"v1"`
	}
	if err := json.Unmarshal([]byte(text), &result); err != nil {
		return "something that cannot be read: " + err.Error()
	}
	return strings.Join(result.V1.Errors, "; ")
}

// takeOverNetplan writes the system's own files where cloud-init has just had netplan configure the network from the seed disc,
// which says the same: the daemon need not be told again, and a first converge finds nothing more to do.
func (t *task) takeOverNetplan() {
	if native.Detect(t.exists) != native.Netplan || !t.exists(native.CloudNetplan) {
		return
	}
	for _, f := range t.nativeFiles() {
		if err := t.applyFile(f); err != nil {
			t.Problem("", fmt.Errorf("%s: %w", f.Path, err))
		}
	}
	t.Problem("nftables", t.enableRules())
}
