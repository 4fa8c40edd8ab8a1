package drawing

import (
	"bytes"
	"io"

	svg "github.com/ajstarks/svgo"
)

const style = `text{font:12px ui-sans-serif,"DejaVu Sans",Arial,sans-serif;fill:#1d2733}
.name{font-weight:bold}.title{font-size:15px;font-weight:bold}.note{fill:#51606f}.side{text-anchor:end}
.bar{fill:#4477aa}.wire{stroke:#4477aa;stroke-width:2}.dot{fill:#4477aa;stroke:#fff;stroke-width:1.5}.box{stroke:#51606f;stroke-width:1.2}`

// SVG draws the picture: segments are bars, and machines hang on them with the lines of their interfaces. Where a line
// ends on a bar there is a dot; without one it passes by.
func (p *Picture) SVG(w io.Writer) error {
	l := newPlot(p)
	var buffer bytes.Buffer
	canvas := svg.New(&buffer)
	canvas.Startview(l.width, l.height, 0, 0, l.width, l.height)
	canvas.Title(p.Title)
	canvas.Style("text/css", style)
	canvas.Rect(0, 0, l.width, l.height, `fill="#ffffff"`)
	canvas.Text(margin, margin+padding, p.Title, `class="title"`)
	ends := l.ends()
	for i, s := range p.Segments {
		y := l.bar(i)
		canvas.Roundrect(l.left, y, max(ends[i], l.left+4*apart)-l.left, barHeight, 3, 3, `class="bar"`)
		canvas.Text(l.left-padding, y+barHeight, s.Name, `class="name side"`)
		for n, note := range s.Notes {
			canvas.Text(l.left-padding, y+barHeight+lineHeight*(n+1), note, `class="note side"`)
		}
	}
	for i := range p.Machines {
		l.drawMachine(canvas, i)
	}
	canvas.End()
	_, err := w.Write(buffer.Bytes())
	return err
}

// ends is the right end of every segment.
func (l *plot) ends() []int {
	ends := make([]int, len(l.picture.Segments))
	for _, b := range l.boxes {
		for _, ports := range [][]Port{b.up, b.down} {
			x := l.columns[b.column] + padding
			for _, port := range ports {
				ends[port.Segment] = max(ends[port.Segment], x+apart)
				x += slot(port)
			}
		}
	}
	return ends
}

func (l *plot) drawMachine(canvas *svg.SVG, i int) {
	m, b := l.picture.Machines[i], l.boxes[i]
	g := l.gaps[b.gap]
	x, y := l.columns[b.column], g.top+g.above
	if b.gap == 0 { // all of a row stand on one line, next to the bar that they hang on
		y += g.box - b.height
	}
	l.drawPorts(canvas, b.up, x, y, l.label(b, y, true))
	l.drawPorts(canvas, b.down, x, y+b.height, l.label(b, y, false))
	canvas.Roundrect(x, y, b.width, b.height, 6, 6, `class="box"`, `fill="`+fill(m.Role)+`"`)
	canvas.Text(x+padding, y+lineHeight+1, m.Name, `class="name"`)
	for n, note := range m.Notes {
		canvas.Text(x+padding, y+lineHeight*(n+2)+1, note, `class="note"`)
	}
}

// label is where the labels of a box's lines begin.
func (l *plot) label(b box, y int, up bool) int {
	if up {
		return l.gaps[b.gap].top + wire + padding
	}
	return y + b.height + wire + padding
}

// drawPorts draws the lines from the edge y of a box that begins at x, with their labels from text downwards.
func (l *plot) drawPorts(canvas *svg.SVG, ports []Port, x, y, text int) {
	x += padding
	for _, port := range ports {
		bar := l.bar(port.Segment)
		canvas.Line(x, y, x, bar+barHeight/2, `class="wire"`)
		canvas.Circle(x, bar+barHeight/2, 5, `class="dot"`)
		line := text
		if port.Name != "" {
			canvas.Text(x+6, line, port.Name, `class="name"`)
			line += lineHeight
		}
		for _, note := range port.Notes {
			canvas.Text(x+6, line, note, `class="note"`)
			line += lineHeight
		}
		x += slot(port)
	}
}
