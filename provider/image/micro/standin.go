package micro

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// leftOut are libraries of which the guest gets a stand-in: they are megabytes, and serve features that a lab guest has no
// use for. A stand-in has every symbol that the guest's programs ask for, so that they start; a program that calls one ends with a
// line that says what is left out.
var leftOut = map[string]string{
	"libssl.so.3":    "TLS",
	"libcrypto.so.3": "TLS",
	"libdbus-1.so.3": "capture from D-Bus",
	"liblua5.3.so.0": "Lua",
	"libbpf.so.1":    "BPF",
	"libelf.so.1":    "BPF",
	// Of GLib, for regular expressions, of which the guest agent has none.
	"libpcre2-8.so.0": "GRegex",
}

// preparations are OpenSSL functions that ncat calls to get ready for TLS also when it does none (and tcpdump to tell its
// version). Their stand-ins do nothing and report success; the first function that would do TLS then ends the program.
var preparations = [...]string{
	"OPENSSL_init_*", "OPENSSL_atexit", "OSSL_PROVIDER_load", "RAND_status", "RAND_add", "TLS_*_method", "DTLS_*_method",
	"SSL_CTX_new", "SSL_CTX_ctrl", "SSL_CTX_free", "SSL_CTX_set_*", "SSL_CTX_clear_options", "SSL_CTX_load_verify_locations",
}

// versionQuestions are functions that programs call to print the versions of their libraries. Their stand-ins answer with nothing.
var versionQuestions = [...]string{"OpenSSL_version", "libbpf_version_string", "SSLeay_version"}

func matchesAny(patterns []string, symbol string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		matches, _ := path.Match(pattern, symbol)
		return matches
	})
}

// want is a symbol that a program or library takes from a library.
type want struct{ name, version string }

// standIns writes the stand-ins for the libraries of leftOut that the files need: ELF shared objects by name.
func standIns(root string, files []string) (map[string][]byte, error) {
	wants := map[string]map[want]bool{}
	for _, file := range files {
		if err := addWants(root, file, wants); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	made := map[string][]byte{}
	for library, symbols := range wants {
		list := slices.SortedFunc(maps.Keys(symbols), func(a, b want) int {
			return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.version, b.version))
		})
		made[library] = standIn(library, list, leftOut[library])
	}
	return made, nil
}

// addWants adds what a file takes from libraries of leftOut.
func addWants(root, file string, wants map[string]map[want]bool) error {
	f, err := elf.Open(filepath.Join(root, file))
	if _, notELF := errors.AsType[*elf.FormatError](err); notELF {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	if errors.Is(err, elf.ErrNoSymbols) {
		return nil // static
	}
	if err != nil {
		return err
	}
	libraries, err := f.ImportedLibraries()
	if err != nil {
		return err
	}
	for _, library := range libraries {
		if leftOut[library] == "" {
			continue
		}
		exports, err := exportsOf(root, library)
		if err != nil {
			return err
		}
		if wants[library] == nil {
			wants[library] = map[want]bool{}
		}
		for _, s := range symbols {
			unversioned := s.Library == "" && exports[s.Name]
			if s.Section != elf.SHN_UNDEF || s.Library != library && !unversioned {
				continue
			}
			if elf.ST_TYPE(s.Info) == elf.STT_OBJECT {
				return fmt.Errorf("it takes data (%s) from %s, for which functions alone cannot stand in", s.Name, library)
			}
			wants[library][want{s.Name, s.Version}] = true
		}
	}
	return nil
}

// exportsOf is the names that a library defines. Where a library has no versions, what wants a symbol does not say of which library.
func exportsOf(root, library string) (map[string]bool, error) {
	path, err := findLibrary(root, library)
	if err != nil {
		return nil, err
	}
	f, err := elf.Open(filepath.Join(root, path))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	exports := map[string]bool{}
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF {
			exports[s.Name] = true
		}
	}
	return exports, nil
}

// sharedObject puts an x86-64 shared object together, after the System V ABI, chapter 5, and the Linux Standard Base's
// chapter on symbol versions.
type sharedObject struct {
	bytes.Buffer
	strings bytes.Buffer
	offsets map[string]uint32
}

const (
	headersSize = 64 + 4*56
	pageSize    = 0x1000
)

func (o *sharedObject) string(s string) uint32 {
	if at, known := o.offsets[s]; known {
		return at
	}
	at := uint32(o.strings.Len())
	o.strings.WriteString(s + "\x00")
	o.offsets[s] = at
	return at
}

// put appends values in little-endian order and returns where they begin, a multiple of eight.
func (o *sharedObject) put(values ...any) uint64 {
	for o.Len()%8 != 0 {
		o.WriteByte(0)
	}
	at := uint64(o.Len())
	for _, v := range values {
		_ = binary.Write(o, binary.LittleEndian, v) // to memory: it cannot fail
	}
	return at
}

// standIn is a shared object in place of the library name, in which every symbol is a function: one that says so and ends the process, or, for a
// preparation or a question for a version, one that returns 1 or 0.
func standIn(name string, symbols []want, feature string) []byte {
	o := &sharedObject{offsets: map[string]uint32{}}
	o.string("")
	o.Write(make([]byte, headersSize))
	succeed := o.put([]byte{0xb8, 1, 0, 0, 0, 0xc3}) // mov eax, 1; ret
	nothing := o.put([]byte{0x31, 0xc0, 0xc3})       // xor eax, eax; ret
	versions := []string{name}
	table, versym := []any{elf.Sym64{}}, []any{uint16(0)}
	for _, s := range symbols {
		index := 1 // the object itself: unversioned
		if s.version != "" {
			if index = slices.Index(versions, s.version) + 1; index == 0 {
				versions = append(versions, s.version)
				index = len(versions)
			}
		}
		var code uint64
		switch {
		case matchesAny(preparations[:], s.name):
			code = succeed
		case matchesAny(versionQuestions[:], s.name):
			code = nothing
		default:
			line := fmt.Sprintf("labctl: %s is left out of the micro image (%s)\n", feature, s.name)
			text := o.put([]byte(line))
			code = o.put(exitCode(int32(text), line, o.Len()))
		}
		table = append(table, elf.Sym64{
			Name: o.string(s.name), Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Shndx: 1, Value: code, Size: 1,
		})
		versym = append(versym, uint16(index))
	}
	dynsym := o.put(table...)
	versions64, verdef := o.put(versym...), o.put(o.versionDefinitions(versions)...)
	hash := o.put(hashTable(symbols)...)
	soname := o.string(name)
	dynstr := o.put(o.strings.Bytes())
	readonly := uint64(o.Len())
	for o.Len()%pageSize != 0 {
		o.WriteByte(0)
	}
	dynamic := o.put(
		int64(elf.DT_SONAME), uint64(soname), int64(elf.DT_HASH), hash, int64(elf.DT_SYMTAB), dynsym, int64(elf.DT_SYMENT), uint64(elf.Sym64Size),
		int64(elf.DT_STRTAB), dynstr, int64(elf.DT_STRSZ), uint64(o.strings.Len()), int64(elf.DT_VERSYM), versions64,
		int64(elf.DT_VERDEF), verdef, int64(elf.DT_VERDEFNUM), uint64(len(versions)), int64(elf.DT_NULL), uint64(0))
	out := o.Bytes()
	copy(out, headers(readonly, dynamic, uint64(len(out))-dynamic))
	return out
}

// exitCode is write(2, message, length); exit_group(127) in machine code, that will stand at the address at.
func exitCode(text int32, message string, length int) []byte {
	at := int32(length+7) &^ 7
	code := []byte{0xbf, 2, 0, 0, 0, 0x48, 0x8d, 0x35} // mov edi, 2; lea rsi, [rip+…]
	code = binary.LittleEndian.AppendUint32(code, uint32(text-(at+12)))
	code = append(code, 0xba) // mov edx, …
	code = binary.LittleEndian.AppendUint32(code, uint32(len(message)))
	return append(code, 0xb8, 1, 0, 0, 0, 0x0f, 5, // mov eax, SYS_write; syscall
		0xbf, 127, 0, 0, 0, 0xb8, 231, 0, 0, 0, 0x0f, 5) // mov edi, 127; mov eax, SYS_exit_group; syscall
}

func (o *sharedObject) versionDefinitions(versions []string) []any {
	var out []any
	for i, version := range versions {
		flags, next := uint16(0), uint32(28)
		if i == 0 {
			flags = 1 // VER_FLG_BASE
		}
		if i == len(versions)-1 {
			next = 0
		}
		out = append(out, uint16(1), flags, uint16(i+1), uint16(1), elfHash(version), uint32(20), next, // Verdef
			o.string(version), uint32(0)) // Verdaux
	}
	return out
}

func hashTable(symbols []want) []any {
	buckets := make([]uint32, max(1, len(symbols)))
	chain := make([]uint32, len(symbols)+1)
	for i, s := range symbols {
		bucket := &buckets[elfHash(s.name)%uint32(len(buckets))]
		chain[i+1], *bucket = *bucket, uint32(i+1)
	}
	return []any{uint32(len(buckets)), uint32(len(chain)), buckets, chain}
}

// elfHash is the hash of names in DT_HASH and of versions.
func elfHash(name string) uint32 {
	var h uint32
	for i := range len(name) {
		h = h<<4 + uint32(name[i])
		high := h & 0xf0000000
		h = (h ^ high>>24) &^ high
	}
	return h
}

func headers(readonly, dynamic, size uint64) []byte {
	var b bytes.Buffer
	header := elf.Header64{
		Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 4, Shentsize: 64,
	}
	copy(header.Ident[:], "\x7fELF\x02\x01\x01")
	for _, part := range []any{
		header,
		elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Filesz: readonly, Memsz: readonly, Align: pageSize},
		elf.Prog64{
			Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: dynamic, Vaddr: dynamic, Paddr: dynamic, Filesz: size, Memsz: size, Align: pageSize,
		},
		elf.Prog64{
			Type: uint32(elf.PT_DYNAMIC), Flags: uint32(elf.PF_R | elf.PF_W), Off: dynamic, Vaddr: dynamic, Paddr: dynamic, Filesz: size, Memsz: size, Align: 8,
		},
		elf.Prog64{Type: uint32(elf.PT_GNU_STACK), Flags: uint32(elf.PF_R | elf.PF_W), Align: 16},
	} {
		_ = binary.Write(&b, binary.LittleEndian, part)
	}
	return b.Bytes()
}
