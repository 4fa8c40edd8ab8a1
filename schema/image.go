package schema

// Image is a base for machines: a disk, a kernel with an initrd, or both. It is kept in labctl's pool and shared by labs.
type Image struct {
	Name     string `json:"name"`               // label of the block
	Source   string `json:"source,omitempty"`   // absolute path, or http(s) URL
	Checksum string `json:"checksum,omitempty"` // "sha256:…" or "sha512:…"
	Format   string `json:"format,omitempty"`   // "qcow2" or "raw"; "" is found out
	Build    string `json:"build,omitempty"`    // "micro" or "debian": made by labctl itself
	Key      string `json:"key"`                // ImageKey of the declaration: the folder's name in the pool
	// Packages are further Debian packages for build = "debian".
	Packages []string `json:"packages,omitempty"`
}
