package domainxml

import (
	"github.com/labctl/labctl/provider/libvirt/metadata"
	"github.com/labctl/labctl/schema"
)

// Meta is what labctl writes in a domain's <metadata>.
type Meta = metadata.Meta[schema.Domain]

// ParseMeta reads labctl's element out of the inside of a domain's <metadata>, see metadata.Parse.
func ParseMeta(inner string) (m Meta, rest string, ok bool, err error) {
	return metadata.Parse[schema.Domain](inner)
}

// ParseBare reads the element as virDomainGetMetadata(3) gives it, see metadata.ParseBare.
func ParseBare(text string) (Meta, error) { return metadata.ParseBare[schema.Domain](text) }

// Marked reports whether a domain's XML can hold labctl's mark, see metadata.Marked.
func Marked(text string) bool { return metadata.Marked(text) }
