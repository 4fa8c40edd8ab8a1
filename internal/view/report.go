package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/schema"
)

// Close takes what moves off the terminal; Report does it too.
func (p *Printer) Close() {
	if g := p.progress.Swap(nil); g != nil {
		g.close()
	}
}

// Report implements Output.
func (p *Printer) Report(r *plan.Report) {
	p.Close()
	s := r.Summary()
	done := fmt.Sprintf("%d added, %d changed, %d destroyed", s.Add, s.Change, s.Remove)
	if s.Import > 0 {
		done = fmt.Sprintf("%d imported, ", s.Import) + done
	}
	if s.Verify > 0 {
		done += fmt.Sprintf(", %d read again", s.Verify)
	}
	if s.Forget > 0 {
		done += fmt.Sprintf(", %d let go of", s.Forget)
	}
	title, c := "Apply complete.", bold+";"+green
	failed, skipped := len(r.Failures()), len(r.Skipped())
	switch {
	case r.Stopped:
		title, c = "Apply stopped.", bold+";"+yellow
	case failed > 0:
		title, c = "Apply incomplete.", bold+";"+red
	case !r.Converged:
		title, c = "Apply done, not converged.", bold+";"+yellow
	}
	p.printf("\n%s %s in %s.\n", p.paint(c, title), done, took(r.Took))
	if failed > 0 {
		p.printf("%s failed; what was done before stays done, and the next apply goes on from there.\n", counted(failed, "operation"))
	}
	if skipped > 0 {
		p.printf("%s not begun.\n", counted(skipped, "operation"))
	}
	p.remaining(r)
}

// remaining says what the read-back found.
func (p *Printer) remaining(r *plan.Report) {
	switch {
	case r.Remaining == nil:
		p.printf("Nothing was read back: run 'labctl plan' to see what is left.\n")
	case r.Converged:
		p.printf("Read back in %s: the live systems are as the plan said.\n", took(r.ReadBack))
	case !r.Remaining.Empty():
		p.printf("Read back in %s. What is left to do:\n\n", took(r.ReadBack))
		doc := Describe(r.Remaining)
		p.changes(doc)
		p.printf("%s %s\n", p.paint(bold, "Left:"), SummaryLine(doc.Summary))
	}
}

// Timing is where the time of an apply went: one operation, its stages longest first.
type Timing struct {
	Addr   schema.Addr   `json:"address"`
	Action string        `json:"action"`
	Took   time.Duration `json:"took"` // nanoseconds
	Stages []plan.Timing `json:"stages,omitempty"`
}

// Timings lists the operations of an apply, the longest first.
func Timings(r *plan.Report) []Timing {
	var list []Timing
	for _, o := range r.Outcomes {
		if o.Kind == plan.Skipped {
			continue
		}
		stages := slices.Clone(o.Stages)
		slices.SortStableFunc(stages, func(a, b plan.Timing) int { return cmp.Compare(b.Took, a.Took) })
		list = append(list, Timing{o.Addr, string(o.Action), o.Took, stages})
	}
	slices.SortStableFunc(list, func(a, b Timing) int { return cmp.Compare(b.Took, a.Took) })
	return list
}

// Timings writes the table of where the time went.
func (p *Printer) Timings(r *plan.Report) {
	list := Timings(r)
	wide := 0
	var sum time.Duration
	for _, t := range list {
		wide = max(wide, len(t.Addr.String()))
		sum += t.Took
	}
	p.printf("\n%s\n", p.paint(bold, "Where the time went"))
	for _, t := range list {
		var stages []string
		for n, s := range t.Stages {
			if n == 3 || s.Took < t.Took/20 {
				break
			}
			stages = append(stages, s.Stage+" "+took(s.Took))
		}
		p.printf("  %-*s  %-8s %8s  %s\n", wide, t.Addr, t.Action, took(t.Took), p.paint(dim, strings.Join(stages, ", ")))
	}
	ratio := 0.0
	if r.Took > 0 {
		ratio = float64(sum) / float64(r.Took)
	}
	p.printf("  %-*s  %-8s %8s  %s\n", wide, "all, side by side", "", took(r.Took),
		p.paint(dim, fmt.Sprintf("%s of work, %.1f at once; read back %s", took(sum), ratio, took(r.ReadBack))))
}
