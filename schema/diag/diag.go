// Package diag gives the language's diagnostics their stable codes, and shows diagnostics to programs (JSON) and to people
// (text, made from the JSON form, so that both say the same).
package diag

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// extra is what a diagnostic of the language carries in hcl.Diagnostic.Extra.
type extra struct {
	code    string
	address string
	wrapped any
}

// UnwrapDiagnosticExtra implements hcl.DiagnosticExtraUnwrapper.
func (e *extra) UnwrapDiagnosticExtra() any { return e.wrapped }

// New is an error at subject with a code of Codes.
func New(code string, subject hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &subject, Extra: &extra{code: code},
	}
}

// Warn is a warning at subject with a code of Codes.
func Warn(code string, subject hcl.Range, summary, detail string) *hcl.Diagnostic {
	d := New(code, subject, summary, detail)
	d.Severity = hcl.DiagWarning
	return d
}

// In gives d the wider range around its subject, for the source lines shown, and returns it.
func In(d *hcl.Diagnostic, context hcl.Range) *hcl.Diagnostic {
	if d.Subject != nil && context.Filename == d.Subject.Filename && !context.Empty() {
		wide := hcl.RangeBetween(context, *d.Subject)
		d.Context = &wide
	}
	return d
}

// Coded gives every diagnostic that has no code yet this one: those of the HCL parser and evaluator have none.
func Coded(code string, diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		if CodeOf(d) == "" {
			d.Extra = &extra{code: code, wrapped: d.Extra}
		}
	}
	return diags
}

// At notes the address of the resource that diagnostics are about.
func At(address string, diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		if e, ok := d.Extra.(*extra); ok && e.address == "" {
			e.address = address
		}
	}
	return diags
}

// CodeOf is the code of a diagnostic, such as "LAB0002", or "".
func CodeOf(d *hcl.Diagnostic) string {
	if e, ok := d.Extra.(*extra); ok {
		return e.code
	}
	return ""
}

// AddressOf is the address of the resource that a diagnostic is about, or "".
func AddressOf(d *hcl.Diagnostic) string {
	if e, ok := d.Extra.(*extra); ok {
		return e.address
	}
	return ""
}

// Unique sorts diagnostics by place, errors and warnings alike, and leaves out those that say the same at the same place, as
// the instances of one block do.
func Unique(diags hcl.Diagnostics) hcl.Diagnostics {
	type key struct {
		summary, detail string
		subject         hcl.Range
	}
	seen := make(map[key]bool)
	var out hcl.Diagnostics
	for _, d := range diags {
		k := key{summary: d.Summary}
		if d.Subject != nil {
			k.subject = *d.Subject
		}
		if d.Subject == nil || CodeOf(d) == Validation { // conditions of one variable all stand at its value
			k.detail = d.Detail
		}
		if !seen[k] {
			seen[k] = true
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b *hcl.Diagnostic) int {
		switch {
		case a.Subject == nil || b.Subject == nil:
			return boolInt(a.Subject != nil) - boolInt(b.Subject != nil)
		case a.Subject.Filename != b.Subject.Filename:
			if a.Subject.Filename < b.Subject.Filename {
				return -1
			}
			return 1
		}
		return a.Subject.Start.Byte - b.Subject.Start.Byte
	})
	return out
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Redact takes secrets out of what diagnostics say.
func Redact(diags hcl.Diagnostics, secrets map[string]bool) hcl.Diagnostics {
	var pairs []string
	for _, secret := range slices.Sorted(maps.Keys(secrets)) {
		if len(secret) > 2 { // shorter ones are in any text by chance
			pairs = append(pairs, secret, "(sensitive)")
		}
	}
	if len(pairs) == 0 {
		return diags
	}
	redact := strings.NewReplacer(pairs...)
	for _, d := range diags {
		d.Summary, d.Detail = redact.Replace(d.Summary), redact.Replace(d.Detail)
	}
	return diags
}

// FromError is an error with no place in the lab as a diagnostic.
func FromError(code string, err error) *hcl.Diagnostic {
	if d, ok := errors.AsType[*hcl.Diagnostic](err); ok {
		return d
	}
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: err.Error(), Extra: &extra{code: code}}
}
