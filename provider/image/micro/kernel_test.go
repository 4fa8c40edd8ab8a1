package micro

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/labctl/labctl/internal/host"
	"github.com/pierrec/lz4/v4"
)

// The stub in the repository is made of the sources beside it.
func TestStubIsFresh(t *testing.T) {
	sums, err := os.ReadFile("stub/stub.sum")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(sums)) {
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		data, err := os.ReadFile(filepath.Join("stub", name))
		if err != nil {
			t.Fatal(err)
		}
		if have := sha256.Sum256(data); hex.EncodeToString(have[:]) != want {
			t.Errorf("%s is not what stub.bin was built of: run go generate", name)
		}
	}
	if !bytes.HasPrefix(stub, []byte{0xbd, 0, 0, 0, 0}) {
		t.Errorf("the stub does not begin with mov ebp, imm32: % x", stub[:5])
	}
}

// harness runs the stub's decoder as an ordinary program: FRAME SIZE, and the output on stdout.
const harness = `
#include <stdio.h>
#include <stdlib.h>
#include "unpack.c"
int main(int argc, char **argv)
{
	FILE *f = fopen(argv[1], "rb");
	u64 size = strtoul(argv[2], 0, 10);
	u8 *in = malloc(8 << 20), *out = malloc(size + 4096), *work = malloc(1 << 20);
	if (argc != 3 || !fread(in + 64, 1, (8 << 20) - 64, f))
		return 2;
	out[size] = 1;
	struct task t = { in + 64, out, size, out + size, 64, 0, work, 0 };
	int r = unpack(&t);
	for (int i = 0; i < 64; i++)
		r |= out[size + i];
	fwrite(out, 1, size, stdout);
	return r;
}
`

func compile(t *testing.T, source string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	file, program := filepath.Join(dir, "main.c"), filepath.Join(dir, "main")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (host.Local{}).Run(t.Context(), host.Cmd(append([]string{"gcc", "-O1", "-o", program, file}, args...)...)); err != nil {
		t.Fatal(err)
	}
	return program
}

// samples are data that make an encoder use all of the format: none, runs, text, noise, structures, long distances.
func samples() map[string][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	var text, records bytes.Buffer
	for i := range 60_000 {
		fmt.Fprintf(&text, "line %d of %s\n", i*7919%1000, strings.Repeat("word ", i%5))
		_ = binary.Write(&records, binary.LittleEndian, [3]uint32{uint32(i), uint32(i * i), uint32(random.IntN(50))})
	}
	skewed := make([]byte, 200_000)
	for i := range skewed {
		skewed[i] = byte(random.ExpFloat64() * 12)
	}
	return map[string][]byte{
		"one byte": {7}, "few bytes": []byte("abcabcabcabcabcabcd"), "zeros": make([]byte, 1_000_000), "noise": noise, "text": text.Bytes(),
		"records": records.Bytes(), "skewed": skewed, "period 3": bytes.Repeat([]byte("xyz"), 100_000),
		"far": bytes.Join([][]byte{noise, text.Bytes(), noise, make([]byte, 70_000), noise[:70_000]}, nil),
	}
}

func TestStubUnpacks(t *testing.T) {
	stubDir, err := filepath.Abs("stub")
	if err != nil {
		t.Fatal(err)
	}
	program := compile(t, harness, "-I", stubDir)
	frame := filepath.Join(t.TempDir(), "frame")
	check := func(name string, packed, data []byte) {
		t.Helper()
		if err := os.WriteFile(frame, packed, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := (host.Local{}).Run(t.Context(), host.Cmd(program, frame, fmt.Sprint(len(data))))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !bytes.Equal(out.Stdout, data) {
			t.Errorf("%s: what comes out is not what went in", name)
		}
	}
	for name, data := range samples() {
		for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault, zstd.SpeedBestCompression} {
			encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderCRC(false))
			if err != nil {
				t.Fatal(err)
			}
			check(fmt.Sprint(name, ", ", level), encoder.EncodeAll(data, nil), data)
		}
		packed, err := (&squeezer{host: host.Local{}}).squeeze(t.Context(), data)
		if err != nil {
			t.Fatal(err)
		}
		check(name+", squeezed", packed, data)
	}
}

// A frame cut off, or of another size than it should be, is noticed.
func TestStubNoticesDamage(t *testing.T) {
	stubDir, err := filepath.Abs("stub")
	if err != nil {
		t.Fatal(err)
	}
	program := compile(t, harness, "-I", stubDir)
	frame := filepath.Join(t.TempDir(), "frame")
	packed, err := (&squeezer{host: host.Local{}}).squeeze(t.Context(), samples()["text"])
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"magic": append([]byte{0}, packed[1:]...), "size": packed} {
		if err := os.WriteFile(frame, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := (host.Local{}).Run(t.Context(), host.Cmd(program, frame, fmt.Sprint(len(samples()["text"])+1))); err == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
}

// bzImageOf is a boot image around a payload, after Linux' boot protocol.
func bzImageOf(payload []byte, size int) []byte {
	image := make([]byte, 1024)
	image[0x1f1] = 1 // sectors of setup
	copy(image[0x202:], "HdrS\x0f\x02")
	binary.LittleEndian.PutUint32(image[0x248:], 0)
	binary.LittleEndian.PutUint32(image[0x24c:], uint32(len(payload)+4))
	image = append(image, payload...)
	return binary.LittleEndian.AppendUint32(image, uint32(size))
}

func TestUnpackBzImage(t *testing.T) {
	vmlinux := samples()["records"]
	packers := map[string]func(w io.Writer) io.WriteCloser{
		"gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"zstd": func(w io.Writer) io.WriteCloser { e, _ := zstd.NewWriter(w); return e },
		"lz4": func(w io.Writer) io.WriteCloser {
			e := lz4.NewWriter(w)
			_ = e.Apply(lz4.LegacyOption(true))
			return e
		},
	}
	for name, packer := range packers {
		var payload bytes.Buffer
		w := packer(&payload)
		_, _ = w.Write(vmlinux)
		_ = w.Close()
		have, err := unpackBzImage(bzImageOf(payload.Bytes(), len(vmlinux)))
		if err != nil || !bytes.Equal(have, vmlinux) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(have), len(vmlinux), err)
		}
	}
	for name, image := range map[string][]byte{
		"empty": nil, "no kernel": make([]byte, 4096), "unknown": bzImageOf([]byte("????????"), 8),
		"outside": bzImageOf(make([]byte, 64), 8)[:1050],
	} {
		if _, err := unpackBzImage(image); err == nil {
			t.Errorf("%s: taken for a kernel", name)
		}
	}
}

func TestFlattenRefusesWhatHasNoEntry(t *testing.T) {
	program, err := os.ReadFile(compile(t, "int main(void) { return 0; }"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := flatten(program); !errors.Is(err, errNoPVH) {
		t.Errorf("an ordinary program: %v", err)
	}
}

func TestWrappedKernel(t *testing.T) {
	k := &flat{address: 0x1000000, data: []byte("kernel"), end: 0x3e00000, entry: 0x1000123}
	wrapped := k.wrap([]byte("frame"))
	again, err := flatten(wrapped)
	if err != nil {
		t.Fatal(err)
	}
	if again.entry != 0x3e00000 || again.address != 0x3e00000 {
		t.Errorf("it is loaded at %#x and entered at %#x, not behind the kernel", again.address, again.entry)
	}
	task := again.data[stubTask:]
	frame := binary.LittleEndian.Uint64(task) - again.address
	if string(again.data[frame:]) != "frame" {
		t.Errorf("the frame is not where the stub looks")
	}
	for i, want := range map[int]uint64{1: 0x1000000, 2: 6, 3: 0x1000006, 4: 0x2dffffa, 7: 0x1000123} {
		if have := binary.LittleEndian.Uint64(task[8*i:]); have != want {
			t.Errorf("parameter %d is %#x, want %#x", i, have, want)
		}
	}
}

// What was packed before is not packed again, and what is no longer used is forgotten.
func TestSqueezeRemembers(t *testing.T) {
	cache := t.TempDir()
	names := func() (names []string) {
		entries, err := os.ReadDir(cache)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		return names
	}
	first := &squeezer{host: host.Local{}, cache: cache, used: map[string]bool{}}
	for _, text := range []string{"one", "two"} {
		if _, err := first.squeeze(t.Context(), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.forget(); err != nil || len(names()) != 2 {
		t.Fatalf("kept %v, %v", names(), err)
	}
	second := &squeezer{host: nil, cache: cache, used: map[string]bool{}} // no host: whatever runs a program panics
	if frame, err := second.squeeze(t.Context(), []byte("one")); err != nil || !bytes.HasPrefix(frame, []byte("\x28\xb5\x2f\xfd")) {
		t.Errorf("% x, %v", frame, err)
	}
	if err := second.forget(); err != nil || len(names()) != 1 {
		t.Errorf("kept %v, %v", names(), err)
	}
}
