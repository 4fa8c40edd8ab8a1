// Package note collects what a piece of work in a guest did, and what it could not do, while it goes on.
package note

import (
	"errors"
	"fmt"

	"github.com/labctl/labctl/internal/helper"
)

// Report is what was done so far. Its zero value is ready for use, by one goroutine.
type Report struct {
	Changed  []string
	Problems []helper.Problem
}

// Did notes a change that was made.
func (r *Report) Did(format string, args ...any) {
	r.Changed = append(r.Changed, fmt.Sprintf(format, args...))
}

// Problem notes what could not be done at an attribute path; nil is no problem.
func (r *Report) Problem(path string, err error) {
	if err == nil {
		return
	}
	p := helper.Problem{Code: helper.Broken, Path: path, Message: err.Error()}
	if refused, ok := errors.AsType[Refused](err); ok {
		p.Code, p.Message = helper.Refused, refused.Error()
	}
	r.Problems = append(r.Problems, p)
}

// Refused is a declaration that cannot be carried out as it is.
type Refused string

func (e Refused) Error() string { return string(e) }

// Refuse is a Refused with a formatted text.
func Refuse(format string, args ...any) error { return Refused(fmt.Sprintf(format, args...)) }
