package micro

import (
	"bytes"
	"compress/gzip"
	"context"
	"debug/elf"
	_ "embed" // for the stub
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
)

// stub unpacks a kernel that is started by the PVH protocol: see the folder stub for its source and how it is built.
//
//go:generate sh stub/build.sh
//go:embed stub/stub.bin
var stub []byte

// Where the stub has what the builder fills in: the address that it is loaded at, and its parameters (struct task).
const (
	stubAddress = 1
	stubTask    = 8
	stubWork    = 256 << 10 // bytes of memory behind the frame that it works in
)

// errNoPVH says that a kernel cannot be started by the PVH protocol. It may serve unpacked.
var errNoPVH = errors.New("the kernel has no PVH entry (CONFIG_PVH)")

// packKernel makes of a distribution's kernel one that is smaller and starts sooner.
//
// A distribution's bzImage is compressed for speed, by half as much as it could be, and brings tables for
// debuggers, which no guest of a lab reads. Here the kernel proper is taken out, those tables are dropped, and it is packed with
// Zstandard behind a stub that QEMU starts by the PVH protocol, which also leaves out the 16-bit
// setup and the moving about of addresses.
func packKernel(ctx context.Context, s *squeezer, bzImage []byte) ([]byte, error) {
	vmlinux, err := unpackBzImage(bzImage)
	if err != nil {
		return nil, err
	}
	image, err := flatten(vmlinux)
	if err != nil {
		return nil, err
	}
	frame, err := s.squeeze(ctx, image.data, "-T0", "-B8MiB") // jobs of this size let all processors work, and cost nothing
	if err != nil {
		return nil, err
	}
	return image.wrap(frame), nil
}

// unpackBzImage takes the kernel proper, an ELF file, out of a bzImage (Linux' Documentation/x86/boot.rst, protocol 2.08).
func unpackBzImage(image []byte) ([]byte, error) {
	if len(image) < 0x250 || string(image[0x202:0x206]) != "HdrS" || binary.LittleEndian.Uint16(image[0x206:]) < 0x208 {
		return nil, errors.New("the kernel is no bzImage of boot protocol 2.08 or later")
	}
	start := (int(image[0x1f1])+1)*512 + int(binary.LittleEndian.Uint32(image[0x248:]))
	end := start + int(binary.LittleEndian.Uint32(image[0x24c:]))
	if start > end || end > len(image) || end-start < 8 {
		return nil, errors.New("the kernel's payload is outside its file")
	}
	payload := image[start : end-4] // the last four bytes are the unpacked size
	in := bytes.NewReader(payload)
	var out io.Reader
	var err error
	switch {
	case bytes.HasPrefix(payload, []byte("\x02!L\x18")):
		out = lz4.NewReader(in)
	case bytes.HasPrefix(payload, []byte("\x28\xb5\x2f\xfd")):
		var reader *zstd.Decoder
		if reader, err = zstd.NewReader(in, zstd.WithDecoderMaxMemory(1<<30)); err == nil {
			defer reader.Close()
			out = reader
		}
	case bytes.HasPrefix(payload, []byte("\x1f\x8b")):
		out, err = gzip.NewReader(in)
	case bytes.HasPrefix(payload, []byte("\xfd7zXZ")):
		out, err = xz.NewReader(in)
	default:
		err = fmt.Errorf("it is compressed in a way unknown here (% x)", payload[:4])
	}
	if err != nil {
		return nil, fmt.Errorf("unpack kernel: %w", err)
	}
	vmlinux, err := io.ReadAll(out)
	if err != nil {
		return nil, fmt.Errorf("unpack kernel: %w", err)
	}
	return vmlinux, nil
}

// flat is a kernel as it lies in memory.
type flat struct {
	address uint64 // physical, of data
	data    []byte
	end     uint64 // physical; from the end of data to here it is zero
	entry   uint64 // physical, of its PVH entry
}

// droppedTables are zeroed in the kernel: the types for BPF, and the tables for exact stack traces (a crash then shows the
// addresses on the stack and not which of them are frames).
var droppedTables = [...]string{".BTF", ".orc_unwind", ".orc_unwind_ip"}

// flatten lays a kernel's segments out in memory, without the tables that are dropped.
func flatten(vmlinux []byte) (*flat, error) {
	f, err := elf.NewFile(bytes.NewReader(vmlinux))
	if err != nil {
		return nil, fmt.Errorf("kernel: %w", err)
	}
	image := &flat{address: 1 << 62}
	for _, p := range f.Progs {
		switch p.Type {
		case elf.PT_LOAD:
			image.address = min(image.address, p.Paddr)
			image.end = max(image.end, p.Paddr+p.Memsz)
		case elf.PT_NOTE:
			note, err := io.ReadAll(p.Open())
			if err != nil {
				return nil, fmt.Errorf("kernel: %w", err)
			}
			image.entry = pvhEntry(note)
		}
	}
	if image.entry == 0 {
		return nil, errNoPVH
	}
	if image.end <= image.address || image.end > 1<<30 {
		return nil, fmt.Errorf("the kernel's segments end at %#x", image.end)
	}
	memory := make([]byte, image.end-image.address)
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		if _, err := p.ReadAt(memory[p.Paddr-image.address:][:p.Filesz], 0); err != nil {
			return nil, fmt.Errorf("kernel: %w", err)
		}
		for _, name := range droppedTables {
			table := f.Section(name)
			if table != nil && table.Addr >= p.Vaddr && table.Addr+table.FileSize <= p.Vaddr+p.Filesz {
				clear(memory[p.Paddr-image.address+table.Addr-p.Vaddr:][:table.FileSize])
			}
		}
	}
	image.data = bytes.TrimRight(memory, "\x00")
	return image, nil
}

// pvhEntry finds the address of the PVH entry among notes: Xen's note 18 (XEN_ELFNOTE_PHYS32_ENTRY).
func pvhEntry(notes []byte) uint64 {
	for len(notes) >= 12 {
		nameSize, size := binary.LittleEndian.Uint32(notes), binary.LittleEndian.Uint32(notes[4:])
		kind := binary.LittleEndian.Uint32(notes[8:])
		at := 12 + (uint64(nameSize)+3)&^3
		next := at + (uint64(size)+3)&^3
		if next > uint64(len(notes)) {
			return 0
		}
		if value := notes[at:next]; kind == 18 && string(notes[12:16]) == "Xen\x00" && len(value) >= 4 {
			return uint64(binary.LittleEndian.Uint32(value))
		}
		notes = notes[next:]
	}
	return 0
}

// wrap puts the packed kernel behind the stub, in an ELF file with a PVH entry of its own. It is loaded behind the place
// that the kernel unpacks to.
func (k *flat) wrap(frame []byte) []byte {
	const page, headers = 4096, 64 + 2*56
	base := (k.end + 2<<20 - 1) &^ (2<<20 - 1)
	code := bytes.Clone(stub)
	for len(code)%64 != 0 {
		code = append(code, 0)
	}
	at := base + uint64(len(code))
	work := (at + uint64(len(frame)) + page) &^ (page - 1)
	binary.LittleEndian.PutUint32(code[stubAddress:], uint32(base))
	dataEnd := k.address + uint64(len(k.data))
	for i, value := range []uint64{at, k.address, uint64(len(k.data)), dataEnd, k.end - dataEnd, 0, work, k.entry} {
		binary.LittleEndian.PutUint64(code[stubTask+8*i:], value)
	}
	note := binary.LittleEndian.AppendUint32(nil, 4)
	note = binary.LittleEndian.AppendUint32(note, 8)
	note = binary.LittleEndian.AppendUint32(note, 18)
	note = append(note, "Xen\x00"...)
	note = binary.LittleEndian.AppendUint64(note, base)

	var out bytes.Buffer
	header := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Entry: base, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 2,
		Shentsize: 64,
	}
	copy(header.Ident[:], "\x7fELF\x02\x01\x01")
	size := uint64(len(code) + len(frame))
	for _, part := range []any{
		header,
		elf.Prog64{
			Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W | elf.PF_X), Off: page, Vaddr: base, Paddr: base,
			Filesz: size, Memsz: work + stubWork - base, Align: page,
		},
		elf.Prog64{
			Type: uint32(elf.PT_NOTE), Flags: uint32(elf.PF_R), Off: headers, Vaddr: base, Paddr: base,
			Filesz: uint64(len(note)), Memsz: uint64(len(note)), Align: 4,
		},
		note, make([]byte, page-headers-len(note)), code, frame,
	} {
		_ = binary.Write(&out, binary.LittleEndian, part) // to memory: it cannot fail
	}
	return out.Bytes()
}
