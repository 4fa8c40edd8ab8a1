// Package sysctl reads and writes settings of the kernel that the process runs on.
package sysctl

import (
	"os"
	"strings"
)

// Path is the file of a setting below /proc/sys. Dots part the words as with sysctl(8); a dot in an interface's name is
// written as a slash.
func Path(key string) string {
	return strings.NewReplacer(".", "/", "/", ".").Replace(key)
}

// Read reads the setting at a path below /proc/sys, its values parted by one space. One that the kernel does not have is
// fs.ErrNotExist.
func Read(path string) (string, error) {
	text, err := os.ReadFile("/proc/sys/" + path)
	return Fields(string(text)), err
}

// Write sets the setting at a path below /proc/sys.
func Write(path, value string) error {
	return os.WriteFile("/proc/sys/"+path, []byte(value), 0o644)
}

// Fields makes runs of white space one space: settings with several values are printed in one way or the other.
func Fields(text string) string { return strings.Join(strings.Fields(text), " ") }
