package initramfs

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
)

// droppedSections are the sections of a kernel module that a guest can do without: types for BPF and the tables by
// which the kernel prints exact stack traces.
var droppedSections = [...]string{".BTF", ".orc_unwind", ".orc_unwind_ip", ".comment", ".note.Linux", ".note.gnu.build-id"}

// Dropped are the sections that Strip takes out.
func Dropped() []string { return slices.Clone(droppedSections[:]) }

// Strip takes the signature (whose check costs more time under emulation than the module itself; the kernels that we use do
// not insist on it) and the dropped sections out of a 64-bit kernel module.
//
// The sections' headers stay in their places with no content and no type, so that no index changes.
func Strip(module []byte) ([]byte, error) {
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil, err
	}
	if f.Class != elf.ELFCLASS64 || f.ByteOrder != binary.LittleEndian || f.Type != elf.ET_REL {
		return nil, fmt.Errorf("no 64-bit little-endian relocatable file")
	}
	var header elf.Header64
	if _, err := binary.Decode(module, binary.LittleEndian, &header); err != nil {
		return nil, err
	}
	table := make([]elf.Section64, header.Shnum)
	if _, err := binary.Decode(module[header.Shoff:], binary.LittleEndian, table); err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(module[:header.Ehsize:header.Ehsize])
	for i, section := range f.Sections {
		drop := slices.Contains(droppedSections[:], section.Name)
		if section.Type == elf.SHT_RELA && int(section.Info) < len(f.Sections) {
			drop = drop || slices.Contains(droppedSections[:], f.Sections[section.Info].Name)
		}
		switch {
		case drop:
			table[i] = elf.Section64{}
		case section.Type == elf.SHT_NULL || section.Type == elf.SHT_NOBITS:
			table[i].Off = 0
		default:
			for out.Len()%int(max(1, table[i].Addralign)) != 0 {
				out.WriteByte(0)
			}
			content := module[table[i].Off : table[i].Off+table[i].Size]
			table[i].Off = uint64(out.Len())
			out.Write(content)
		}
	}
	for out.Len()%8 != 0 {
		out.WriteByte(0)
	}
	header.Shoff = uint64(out.Len())
	if err := binary.Write(out, binary.LittleEndian, table); err != nil {
		return nil, err
	}
	stripped := out.Bytes()
	if _, err := binary.Encode(stripped, binary.LittleEndian, header); err != nil {
		return nil, err
	}
	return stripped, nil
}
