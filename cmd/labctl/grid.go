package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/spf13/cobra"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/labctl/labctl/internal/engine"
	"github.com/labctl/labctl/internal/grid"
	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/internal/probe"
	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/schema/config"
	"github.com/labctl/labctl/schema/diag"
)

// runGrid applies the lab and runs its checks with every value of some variables, and then makes the lab again what it is
// without them.
func (t *checking) runGrid(cmd *cobra.Command, o *options, dir string, match *regexp.Regexp) error {
	s := session.New(o, cmd.OutOrStdout(), cmd.ErrOrStderr(), false)
	if err := s.Load(dir); err != nil {
		return err
	}
	axes, err := readAxes(t.grid, s.Files())
	if err != nil {
		return err
	}
	o.Errand.Args = grid.SpellOut(o.Errand.Args, axes)
	if err := s.Away(); err != nil {
		return err
	}
	cells := grid.Combinations(axes)
	if !t.autoApprove {
		if err := t.askGrid(cmd, axes, len(cells)); err != nil {
			return err
		}
	}
	outliveReader()
	g := &grid.Grid{Lab: s.Lab.Name, Description: s.Lab.Description, Axes: axes, Began: time.Now(), Version: o.Version}
	err = t.fillGrid(cmd, o, dir, match, g, cells)
	g.Took = time.Since(g.Began)
	if back := t.inCell(cmd, o, dir, nil, func(*session.Session) error { return nil }); back != nil {
		err = errors.Join(err, fmt.Errorf("the lab is not again as its files say: %w", back))
	}
	if err := errors.Join(err, t.writeGrid(cmd, o, g)); err != nil {
		return err
	}
	if g.Failed() {
		return session.ExitError{Code: exitError}
	}
	return nil
}

func (t *checking) askGrid(cmd *cobra.Command, axes []grid.Axis, cells int) error {
	names := make([]string, len(axes))
	for n, a := range axes {
		names[n] = a.Variable
	}
	fmt.Fprintf(cmd.OutOrStdout(), "The lab is applied %d times, with other values of %s each time, and then again as its files say.\n",
		cells, strings.Join(names, " and "))
	return (&applying{}).ask(cmd, nil)
}

// fillGrid visits all cells.
func (t *checking) fillGrid(cmd *cobra.Command, o *options, dir string, match *regexp.Regexp, g *grid.Grid, cells [][]string) error {
	for n, values := range cells {
		began := time.Now()
		var vars, words []string
		for i, a := range g.Axes {
			vars = append(vars, a.Variable+"="+values[i])
			words = append(words, a.Variable+" = "+values[i])
		}
		cell := grid.Cell{Values: values}
		err := t.inCell(cmd, o, dir, vars, func(s *session.Session) error {
			cell.Results = probe.Run(cmd.Context(), s.Lab, s.Guests(), selected(s, match), probe.Options{Parallel: s.Options.Parallel})
			for n := range cell.Results {
				s.HideIn(&cell.Results[n])
			}
			return nil
		})
		if err != nil {
			return err
		}
		cell.Seconds = time.Since(began).Seconds()
		g.Cells = append(g.Cells, cell)
		if t.json {
			if err := json.NewEncoder(cmd.OutOrStdout()).Encode(cell); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%d/%d  %s  %.1fs\n", n+1, len(cells), strings.Join(words, ", "), cell.Seconds)
		style := probe.Style{Color: o.Color(cmd.OutOrStdout()), Width: session.Width(cmd.OutOrStdout())}
		for _, r := range cell.Results {
			if !r.Pass {
				style.Write(cmd.OutOrStdout(), r)
			}
		}
	}
	return nil
}

// inCell makes the lab as its files say with these variables, and does something then.
func (t *checking) inCell(cmd *cobra.Command, o *options, dir string, vars []string, do func(*session.Session) error) error {
	s, err := session.Open(o.With(vars...), cmd.OutOrStdout(), cmd.ErrOrStderr(), dir, false)
	if err != nil {
		return err
	}
	defer s.Close()
	release, err := s.Lock(cmd.Context(), cmd.CommandPath())
	if err != nil {
		return err
	}
	defer release()
	p, err := s.Plan(cmd.Context(), plan.Options{})
	if err != nil {
		return err
	}
	if !p.Empty() {
		report, err := s.Engine.Apply(cmd.Context(), p, engine.ApplyOptions{Parallel: s.Options.Parallel, Events: func(plan.Event) {}})
		if err != nil {
			if report != nil {
				s.Out.Report(report)
			}
			return s.Tell(err)
		}
	}
	return do(s)
}

// writeGrid shows the grid, and saves it where that is asked for.
func (t *checking) writeGrid(cmd *cobra.Command, o *options, g *grid.Grid) error {
	var errs []error
	for _, file := range []struct {
		path  string
		write func(io.Writer) error
	}{{t.svg, g.SVG}, {t.html, g.HTML}} {
		if file.path != "" {
			errs = append(errs, writeFile(o, file.path, file.write))
		}
	}
	if !t.json {
		fmt.Fprintln(cmd.OutOrStdout())
		g.Text(cmd.OutOrStdout(), o.Color(cmd.OutOrStdout()))
		fmt.Fprintf(cmd.OutOrStdout(), "%d cells in %.0f s.\n", len(g.Cells), g.Took.Seconds())
	}
	return errors.Join(errs...)
}

// readAxes reads -grid 'variable=expression': the expression is a list of the values, and may refer to the lab's locals.
func readAxes(texts []string, result *config.Result) ([]grid.Axis, error) {
	if len(texts) > 2 {
		return nil, errors.New("-grid: a grid has rows and columns: give it once or twice")
	}
	var axes []grid.Axis
	for _, text := range texts {
		name, expression, ok := strings.Cut(text, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, fmt.Errorf("-grid %s: write it as -grid 'variable=[\"value\", \"value\"]'", text)
		}
		if result == nil { // where the files are it was found that there is one
			result = new(config.Result)
		} else if !slices.ContainsFunc(result.Variables, func(v config.Variable) bool { return v.Name == name }) {
			return nil, fmt.Errorf("-grid %s: the lab has no variable %q", text, name)
		}
		values, err := listOf(expression, result)
		if err != nil {
			return nil, fmt.Errorf("-grid %s: %w", text, err)
		}
		axes = append(axes, grid.Axis{Variable: name, Values: values})
	}
	return axes, nil
}

// listOf evaluates an expression that is a list of texts.
func listOf(text string, result *config.Result) ([]string, error) {
	expression, diags := hclsyntax.ParseExpression([]byte(text), "<expression>", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, errors.New(diags[0].Detail)
	}
	value, diags := expression.Value(result.EvalContext())
	if diags.HasErrors() {
		return nil, errors.New(diag.Unique(diags)[0].Detail)
	}
	list, err := convert.Convert(value, cty.List(cty.String))
	if err != nil || list.IsNull() || !list.IsWhollyKnown() || list.ContainsMarked() || list.LengthInt() == 0 {
		return nil, errors.New("give a list of texts, such as [\"one\", \"two\"] or local.types")
	}
	var values []string
	for _, v := range list.AsValueSlice() {
		if v.IsNull() {
			return nil, errors.New("null is no value for it")
		}
		values = append(values, v.AsString())
	}
	return values, nil
}
