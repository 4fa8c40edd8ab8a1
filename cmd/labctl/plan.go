package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/schema"
)

// planning is the flags of the commands that make a plan.
type planning struct {
	targets, excludes, replace []string
	destroy, refreshOnly       bool
	json                       bool
}

func (f *planning) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.targets, "target", nil, "plan just this `ADDRESS` and what it needs; may be repeated")
	flags.StringArrayVar(&f.excludes, "exclude", nil, "leave out this `ADDRESS` and what needs it; may be repeated")
	flags.StringArrayVar(&f.replace, "replace", nil, "destroy and create this `ADDRESS` again; may be repeated")
	flags.BoolVar(&f.destroy, "destroy", f.destroy, "plan to destroy everything of the lab")
	flags.BoolVar(&f.json, "json", false, "write JSON, one object a line")
}

// options is what the flags ask the engine for.
func (f *planning) options() (plan.Options, error) {
	o := plan.Options{Destroy: f.destroy, RefreshOnly: f.refreshOnly}
	for _, list := range []struct {
		flag  string
		texts []string
		addrs *[]schema.Addr
	}{{"target", f.targets, &o.Targets}, {"exclude", f.excludes, &o.Excludes}, {"replace", f.replace, &o.Replace}} {
		for _, text := range list.texts {
			addr, err := schema.ParseAddr(text)
			if err != nil {
				return o, fmt.Errorf("-%s: %w", list.flag, err)
			}
			*list.addrs = append(*list.addrs, addr)
		}
	}
	return o, nil
}

func newPlan(o *options) *cobra.Command {
	f := &planning{}
	var file string
	var detailed bool
	cmd := &cobra.Command{
		Use:   "plan [DIR]",
		Short: "Show what apply would change",
		Long: `Reads the live systems, compares them with the lab in DIR (default: the current folder) and shows what apply
would do. It changes nothing.

The exit code is 0, or 1 for an error; with -detailed-exitcode it is 2 where there is something to do.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, err := f.options()
			if err != nil {
				return err
			}
			s, err := openLab(cmd, o, folder(args), f.json)
			if err != nil {
				return err
			}
			defer s.Close()
			p, err := s.Plan(cmd.Context(), asked)
			if err != nil {
				return err
			}
			s.Out.Plan(p)
			if file != "" {
				if err := save(s, p, file); err != nil {
					return err
				}
				s.Note("\nThe plan is saved in %s; carry it out with\n  labctl apply %s\n", file, file)
			}
			if detailed && !p.Empty() {
				return session.ExitError{Code: exitChanges}
			}
			return nil
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.refreshOnly, "refresh-only", false, "show just what has moved since the last apply")
	cmd.Flags().StringVar(&file, "out", "", "save the plan in this `FILE`, for apply")
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit 2 where there is something to do")
	return cmd
}

// save writes the plan for a later apply.
func save(s *session.Session, p *plan.Plan, file string) error {
	from, err := s.Origin()
	if err != nil {
		return err
	}
	return s.Options.SavePlan(file, p, from)
}
