// Package recipe tells images apart by what labctl itself puts into them.
package recipe

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
)

// Digest is a digest of what a builder brings of its own: a program, a tree of files that is embedded, and lists of what it
// takes of elsewhere. Images of two recipes differ, whatever else they are made of.
func Digest(program []byte, tree fs.FS, lists ...any) string {
	sum := sha256.New()
	fmt.Fprintln(sum, lists...)
	sum.Write(program)
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(tree, name)
		fmt.Fprintln(sum, name, len(data))
		sum.Write(data)
		return err
	})
	if err != nil {
		panic(err) // embedded: it cannot fail
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}
