package drawing

import (
	"cmp"
	"slices"
)

// Sizes in pixels.
const (
	lineHeight = 16
	charWidth  = 7 // of the widest common characters at the size that is drawn
	titleWidth = 9 // the same of the title, which is bold and larger
	padding    = 12
	wire       = 14 // what a line sticks out between a segment and the first label on it
	apart      = 28 // between machines
	barHeight  = 8
	margin     = 24
)

// plot is where everything stands: segments are bars from top to bottom, machines stand in the gaps between them, each in
// a column of its own as far as its lines reach. Gap 0 is above the first bar, gap i below bar i-1.
type plot struct {
	picture *Picture
	order   []int // segments from top to bottom
	row     []int // the place of each segment in order
	boxes   []box
	gaps    []gap
	columns []int // left edge of each column
	left    int   // where bars begin
	width   int
	height  int
}

// box is one machine: which gap and column it stands in, and the ports that leave it upwards and downwards.
type box struct {
	gap, column, last int // last is the lowest gap that a line of it runs through
	up, down          []Port
	width, height     int
}

// gap is the space between two bars.
type gap struct {
	top               int // y of its beginning, the lower edge of the bar above
	above, box, below int // heights: labels of lines that go up, boxes, labels of lines that go down
	used              bool
}

func (g gap) height() int {
	if !g.used {
		return 0
	}
	return g.above + g.box + g.below
}

func newPlot(p *Picture) *plot {
	l := &plot{picture: p, order: orderSegments(p), row: make([]int, len(p.Segments)), gaps: make([]gap, len(p.Segments)+1)}
	for place, segment := range l.order {
		l.row[segment] = place
	}
	for _, m := range p.Machines {
		l.boxes = append(l.boxes, l.newBox(m))
	}
	l.assignColumns()
	l.measure()
	return l
}

// orderSegments puts segments that share machines next to each other, beginning with the first.
func orderSegments(p *Picture) []int {
	shared := make([]map[int]int, len(p.Segments))
	for i := range shared {
		shared[i] = map[int]int{}
	}
	for _, m := range p.Machines {
		if m.Role == Host {
			continue // it is connected to most of them
		}
		for _, a := range m.Ports {
			for _, b := range m.Ports {
				if a.Segment != b.Segment {
					shared[a.Segment][b.Segment]++
				}
			}
		}
	}
	var order []int
	placed := make([]bool, len(p.Segments))
	for next := 0; next < len(p.Segments); {
		order, placed[next] = append(order, next), true
		best, most := -1, 0
		for other, n := range shared[next] {
			if !placed[other] && (n > most || n == most && other < best) {
				best, most = other, n
			}
		}
		for next = max(best, 0); next < len(placed) && placed[next]; {
			next++
		}
	}
	return order
}

// newBox decides in which gap a machine stands: below its first segment, and those that are on the first segment alone
// above it, so that both sides of it are used.
func (l *plot) newBox(m Machine) box {
	b := box{gap: len(l.gaps) - 1, last: len(l.gaps) - 1}
	if len(m.Ports) > 0 {
		first, last := len(l.row), 0
		for _, p := range m.Ports {
			first, last = min(first, l.row[p.Segment]), max(last, l.row[p.Segment])
		}
		b.gap, b.last = first+1, max(last, first+1)
		if first == last && first == 0 && len(l.row) > 1 {
			b.gap, b.last = 0, 0
		}
	}
	ports := slices.Clone(m.Ports)
	slices.SortStableFunc(ports, func(a, b Port) int { return cmp.Compare(l.row[a.Segment], l.row[b.Segment]) })
	for _, p := range ports {
		if l.row[p.Segment] < b.gap {
			b.up = append(b.up, p)
		} else {
			b.down = append(b.down, p)
		}
	}
	text := charWidth * (len([]rune(m.Name)) + 1) // the name is bold
	for _, n := range m.Notes {
		text = max(text, charWidth*len([]rune(n)))
	}
	b.width = max(text+2*padding, slots(b.up), slots(b.down), 96)
	b.height = lineHeight*(1+len(m.Notes)) + padding
	return b
}

// slot is the width that a line takes with its label.
func slot(p Port) int {
	widest := len([]rune(p.Name))
	for _, n := range p.Notes {
		widest = max(widest, len([]rune(n)))
	}
	return widest*charWidth + 2*padding
}

func slots(ports []Port) (sum int) {
	for _, p := range ports {
		sum += slot(p)
	}
	return sum
}

// assignColumns gives each machine the first column that is free in all gaps that its lines run through. Those with the
// longest lines come first.
func (l *plot) assignColumns() {
	sequence := make([]int, len(l.boxes))
	for i := range sequence {
		sequence[i] = i
	}
	slices.SortStableFunc(sequence, func(a, b int) int {
		return cmp.Compare(l.boxes[b].last-l.boxes[b].gap, l.boxes[a].last-l.boxes[a].gap)
	})
	next := make([]int, len(l.gaps)) // columns are taken from left to right, so one number a gap says what is free
	for _, i := range sequence {
		b := &l.boxes[i]
		for g := b.gap; g <= b.last; g++ {
			b.column = max(b.column, next[g])
		}
		for g := b.gap; g <= b.last; g++ {
			next[g] = b.column + 1
		}
	}
}

// measure turns columns and gaps into pixels.
func (l *plot) measure() {
	for _, s := range l.picture.Segments {
		l.left = max(l.left, charWidth*(len([]rune(s.Name))+1))
		for _, n := range s.Notes {
			l.left = max(l.left, charWidth*len([]rune(n)))
		}
	}
	l.left += margin + padding
	var widths []int
	for _, b := range l.boxes {
		for len(widths) <= b.column {
			widths = append(widths, 0)
		}
		widths[b.column] = max(widths[b.column], b.width)
		g := &l.gaps[b.gap]
		g.used = true
		up, down := &g.above, &g.below
		*up = max(*up, labelHeight(b.up))
		*down = max(*down, labelHeight(b.down))
		g.box = max(g.box, b.height)
	}
	x := l.left + apart
	for _, w := range widths {
		l.columns = append(l.columns, x)
		x += w + apart
	}
	l.width = max(x, 2*margin+titleWidth*(len([]rune(l.picture.Title))+2))
	y := margin + 2*lineHeight
	for i := range l.gaps {
		g := &l.gaps[i]
		if g.used {
			g.above, g.below = max(g.above, padding), max(g.below, padding)
		} else if i > 0 && i < len(l.gaps)-1 {
			g.used, g.box = true, 3*lineHeight
		}
		g.top = y
		y += g.height() + barHeight
	}
	l.height = y + margin
}

// labelHeight is the length of the lines of ports, along which their labels are written.
func labelHeight(ports []Port) (most int) {
	for _, p := range ports {
		n := len(p.Notes)
		if p.Name != "" {
			n++
		}
		most = max(most, 2*wire+lineHeight*n)
	}
	return most
}

// bar is the upper edge of a segment.
func (l *plot) bar(segment int) int { return l.gaps[l.row[segment]+1].top - barHeight }
