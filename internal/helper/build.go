package helper

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
)

// BuildID is Go's build ID of a program, which changes with every change of its code. Two helpers of one ID are the same.
func BuildID(program io.ReaderAt) (string, error) {
	file, err := elf.NewFile(program)
	if err != nil {
		return "", fmt.Errorf("the helper is no ELF program: %w", err)
	}
	defer file.Close() //nolint:errcheck // it owns nothing: program stays the caller's
	for _, segment := range file.Progs {
		if segment.Type != elf.PT_NOTE || segment.Filesz > 1<<16 {
			continue
		}
		notes := make([]byte, segment.Filesz)
		if _, err := segment.ReadAt(notes, 0); err != nil {
			return "", err
		}
		if id := findNote(file.ByteOrder, notes); id != "" {
			return id, nil
		}
	}
	return "", fmt.Errorf("the helper carries no Go build ID")
}

// goNote is the type of the note that holds the build ID, under the owner "Go" (cmd/internal/buildid).
const goNote = 4

func findNote(order binary.ByteOrder, notes []byte) string {
	const header = 12
	for len(notes) >= header {
		nameSize, descSize := uint64(order.Uint32(notes)), uint64(order.Uint32(notes[4:]))
		kind := order.Uint32(notes[8:])
		nameEnd := header + nameSize
		descStart := align4(nameEnd)
		descEnd := descStart + descSize
		if descEnd > uint64(len(notes)) {
			return ""
		}
		if kind == goNote && string(notes[header:nameEnd]) == "Go\x00\x00" {
			return string(notes[descStart:descEnd])
		}
		notes = notes[min(align4(descEnd), uint64(len(notes))):]
	}
	return ""
}

func align4(n uint64) uint64 { return (n + 3) &^ 3 }
