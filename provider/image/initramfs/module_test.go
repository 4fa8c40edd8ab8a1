package initramfs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestModuleClosure(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"modules.dep": "kernel/net/nf_tables.ko: kernel/net/nfnetlink.ko kernel/lib/libcrc32c.ko\nkernel/net/nfnetlink.ko:\n" +
			"kernel/lib/libcrc32c.ko:\nkernel/net/nft_ct.ko.xz: kernel/net/nf_tables.ko kernel/net/nfnetlink.ko\nkernel/net/other.ko:\n",
		"modules.builtin": "kernel/fs/ext4/ext4.ko\n",
		"modules.alias":   "# aliases\nalias nft-expr-ct nft_ct\nalias foreign other\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := ReadModules(dir)
	if err != nil {
		t.Fatal(err)
	}
	files, err := set.Closure([]string{"kernel/net/nft_*", "kernel/fs/ext4/ext4"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"kernel/net/nf_tables.ko", "kernel/net/nfnetlink.ko", "kernel/net/nft_ct.ko.xz"}; !slices.Equal(files, want) {
		t.Errorf("modules %q, want %q", files, want)
	}
	text, err := set.linesOf("modules.alias", files, func(line string) string { return strings.Fields(line)[2] })
	if err != nil || text != "# aliases\nalias nft-expr-ct nft_ct\n" {
		t.Errorf("aliases %q, %v", text, err)
	}
}
