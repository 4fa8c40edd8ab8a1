package grid

import (
	"fmt"
	"html/template"
	"io"
	"strings"
)

const page = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; color: #1c2430; background: #fff; margin: 2rem auto; max-width: 76rem; padding: 0 1.2rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .2rem; }
p { margin: .2rem 0 .8rem; color: #5b6675; }
.scroll { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 3px; }
th { text-align: left; font-weight: 600; padding: .3rem .6rem; vertical-align: bottom; }
tbody th { vertical-align: middle; }
th.axis { font-weight: 400; color: #5b6675; }
td { padding: .55rem .7rem; border-radius: 6px; min-width: 8.5rem; vertical-align: top; background: #dde6f2; color: #1d3a5f; }
td.good { background: #c9ecd0; color: #0b5523; }
td.bad { background: #f3b8b0; color: #7a1207; }
td.none { background: #f2f2f2; }
td.unexpected { outline: 4px solid #a000a0; }
td small { display: block; margin-top: .25rem; color: inherit; opacity: .85; font-size: .74rem; line-height: 1.3; }
footer { margin-top: 2.5rem; color: #5b6675; font-size: .85rem; }
</style>
</head>
<body>
<h1>{{.Title}}</h1>
{{with .Description}}<p>{{.}}</p>{{end}}
<p>{{range $i, $t := .Tables}}{{if $i}} · {{end}}{{$t.Name}}: {{$t.Summary}}{{end}}</p>
{{range .Tables}}
<h2>{{.Name}}</h2>
<p>{{.Subject}}</p>
<div class="scroll"><table>
<thead>{{if .ColumnName}}<tr><th></th><th class="axis" colspan="{{len .Columns}}">{{.ColumnName}}</th></tr>{{end}}
<tr><th class="axis">{{.RowVariable}}</th>{{range .Columns}}<th scope="col">{{.}}</th>{{end}}</tr></thead>
<tbody>{{range .Rows}}
<tr><th scope="row">{{.Value}}</th>{{range .Cells}}<td class="{{.Class}}">{{.Mark}}{{range .Notes}}<small>{{.}}</small>{{end}}</td>{{end}}</tr>{{end}}
</tbody></table></div>
<p>{{.Summary}}.</p>
{{end}}
<footer>{{.Caption}}</footer>
</body>
</html>
`

// What the page shows of a table.
type (
	pageTable struct {
		Name, Subject, Summary, RowVariable, ColumnName string
		Columns                                         []string
		Rows                                            []pageRow
	}
	pageRow struct {
		Value string
		Cells []pageCell
	}
	pageCell struct {
		Class, Mark string
		Notes       []string
	}
)

// HTML writes the tables as one page that needs nothing else.
func (g *Grid) HTML(w io.Writer) error {
	parsed, err := template.New("page").Parse(page)
	if err != nil {
		return fmt.Errorf("the page: %w", err)
	}
	var tables []pageTable
	for _, t := range g.tables() {
		tables = append(tables, t.page())
	}
	return parsed.Execute(w, map[string]any{"Title": g.title(), "Description": g.Description, "Caption": g.caption(), "Tables": tables})
}

func (t *table) page() pageTable {
	p := pageTable{
		Name: strings.TrimPrefix(t.Check, "check."), Subject: t.Subject, Summary: t.summary(),
		RowVariable: t.RowVariable, ColumnName: t.ColumnName,
	}
	for _, c := range t.Columns {
		p.Columns = append(p.Columns, spaced(c))
	}
	for i, row := range t.Cells {
		r := pageRow{Value: spaced(t.Rows[i])}
		for _, s := range row {
			r.Cells = append(r.Cells, s.page())
		}
		p.Rows = append(p.Rows, r)
	}
	return p
}

func (s *square) page() pageCell {
	if s == nil {
		return pageCell{Class: "none", Mark: "–"}
	}
	c := pageCell{Mark: s.mark()}
	switch {
	case s.Good:
		c.Class = "good"
	case s.Bad:
		c.Class = "bad"
	}
	if s.Unexpected {
		c.Class += " unexpected"
		c.Notes = append(c.Notes, "expected "+s.Expect)
	}
	for part := range strings.SplitSeq(s.Detail, ", ") {
		if part != "" {
			c.Notes = append(c.Notes, part)
		}
	}
	return c
}
