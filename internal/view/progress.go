package view

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Event implements Output: on a terminal a line for each operation under way, with a spinner and its stage, redrawn in
// place; elsewhere a plain line when an operation begins and when it ends.
func (p *Printer) Event(e plan.Event) {
	if p.style.Terminal {
		g := p.progress.Load()
		if g == nil {
			g = newProgress(p)
			p.progress.Store(g)
		}
		g.event(e)
		return
	}
	switch e.Kind {
	case plan.Started:
		p.printf("%s: %s…\n", e.Addr, doing(e.Action))
	case plan.Done, plan.Failed, plan.Skipped:
		p.printf("%s\n", p.ended(e))
	}
}

// Aside writes a line above what moves on a terminal, from any goroutine. It reports false, and writes nothing, where nothing
// moves.
func (p *Printer) Aside(text string) bool {
	g := p.progress.Load()
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.draw(text + "\n")
	return true
}

// ended is the line that stays of an operation.
func (p *Printer) ended(e plan.Event) string {
	switch e.Kind {
	case plan.Done:
		return fmt.Sprintf("%s %s: %s in %s", p.paint(green, "✓"), e.Addr, done(e.Action), took(e.Took))
	case plan.Failed:
		at := ""
		if e.Stage != "" {
			at = fmt.Sprintf(" at %q", e.Stage)
		}
		return fmt.Sprintf("%s %s: not %s, it failed%s after %s", p.paint(red, "✗"), e.Addr, done(e.Action), at, took(e.Took))
	}
	why := "the apply was stopped"
	if e.Cause != (schema.Addr{}) {
		why = fmt.Sprintf("it waits for %s, which failed", e.Cause)
	}
	return fmt.Sprintf("%s %s: not %s: %s", p.paint(yellow, "-"), e.Addr, done(e.Action), why)
}

func doing(a provider.Action) string {
	switch a {
	case provider.Create:
		return "creating"
	case provider.Update, provider.Restart:
		return "updating"
	case provider.Delete:
		return "destroying"
	case provider.Forget:
		return "letting go"
	case provider.Verify:
		return "reading again"
	}
	return string(a)
}

func done(a provider.Action) string {
	switch a {
	case provider.Create:
		return "created"
	case provider.Update:
		return "updated"
	case provider.Restart:
		return "updated with a restart"
	case provider.Delete:
		return "destroyed"
	case provider.Forget:
		return "let go of"
	case provider.Verify:
		return "read again"
	}
	return string(a)
}

// took writes a duration as people read one: three digits are enough.
func took(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// redrawn is how often a terminal's progress moves.
const redrawn = 100 * time.Millisecond

var spinner = [...]string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// progress is the moving part at the end of a terminal.
type progress struct {
	p     *Printer
	mu    sync.Mutex
	open  []running
	drawn int // lines that stand on the terminal now
	turn  int
	stop  chan struct{}
	ended sync.WaitGroup
}

type running struct {
	addr   schema.Addr
	action provider.Action
	stage  string
	began  time.Time
}

func newProgress(p *Printer) *progress {
	g := &progress{p: p, stop: make(chan struct{})}
	g.ended.Go(func() {
		tick := time.NewTicker(redrawn)
		defer tick.Stop()
		for {
			select {
			case <-g.stop:
				return
			case <-tick.C:
				g.mu.Lock()
				g.turn++
				g.draw("")
				g.mu.Unlock()
			}
		}
	})
	return g
}

// close takes the moving part off the terminal.
func (g *progress) close() {
	close(g.stop)
	g.ended.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = nil
	g.draw("")
}

func (g *progress) event(e plan.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch e.Kind {
	case plan.Started:
		g.open = append(g.open, running{addr: e.Addr, action: e.Action, began: e.Time})
		g.draw("")
		return
	case plan.Stage:
		for n := range g.open {
			if g.open[n].addr == e.Addr {
				g.open[n].stage = e.Stage
			}
		}
		return // the next turn shows it: stages can be many and short
	}
	for n := range g.open {
		if g.open[n].addr == e.Addr {
			g.open = append(g.open[:n], g.open[n+1:]...)
			break
		}
	}
	g.draw(g.p.ended(e) + "\n")
}

// most is how many operations are shown at once; more would push what is above off a small terminal.
const most = 12

// draw replaces the moving part, with lasting text above it.
func (g *progress) draw(lasting string) {
	var b strings.Builder
	if g.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r\x1b[J", g.drawn) // up to its first line, and clear to the end (ECMA-48)
	}
	b.WriteString(lasting)
	g.drawn = 0
	for n, r := range g.open {
		if n == most {
			fmt.Fprintf(&b, "  … and %d more\n", len(g.open)-most)
			g.drawn++
			break
		}
		b.WriteString(g.line(r))
		g.drawn++
	}
	fmt.Fprint(g.p.w, b.String())
}

func (g *progress) line(r running) string {
	text := fmt.Sprintf("%s: %s", r.addr, doing(r.action))
	if r.stage != "" {
		text += ", " + r.stage
	}
	text += "  " + time.Since(r.began).Round(100*time.Millisecond).String()
	if room := g.p.style.Width - 3; len([]rune(text)) > room && room > 1 {
		text = string([]rune(text)[:room-1]) + "…"
	}
	return g.p.paint(cyan, spinner[g.turn%len(spinner)]) + " " + text + "\n"
}
