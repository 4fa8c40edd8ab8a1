package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/engine"
	"github.com/labctl/labctl/internal/plan"
	"github.com/labctl/labctl/internal/session"
)

// applying is the flags of apply and destroy.
type applying struct {
	planning
	autoApprove, acceptRisk, test, timings bool
	lab                                    string
}

func newApply(o *options) *cobra.Command {
	f := &applying{}
	cmd := &cobra.Command{
		Use:   "apply [PLAN|DIR]",
		Short: "Make the live systems as the lab declares",
		Long: `Makes a plan for the lab in DIR (default: the current folder), asks, and carries it out. With PLAN, a file that
'plan -out' saved, it does what that plan says, and refuses where the live systems have moved since.

Ctrl-C once lets what is under way end and begins nothing more; twice stops now. What was done is found by the
next plan, whenever that is.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && o.HasPlan(args[0]) {
				return f.saved(cmd, o, args[0])
			}
			return f.fresh(cmd, o, folder(args))
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.autoApprove, "auto-approve", false, "do not ask")
	cmd.Flags().BoolVar(&f.acceptRisk, "accept-risk", false, "where nobody is asked: do it though it may cut this host off")
	cmd.Flags().BoolVar(&f.test, "test", false, "run the lab's checks afterwards")
	cmd.Flags().BoolVar(&f.timings, "timings", false, "show afterwards where the time went")
	return cmd
}

func newDestroy(o *options) *cobra.Command {
	f := &applying{}
	f.destroy = true
	cmd := &cobra.Command{
		Use:   "destroy [DIR]",
		Short: "Remove everything that the lab has made",
		Long: `Removes everything that bears the mark of the lab in DIR (default: the current folder), and leaves the host as it
was. With -lab NAME it needs no files: what the lab made is known by its marks.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.lab == "" {
				return f.fresh(cmd, o, folder(args))
			}
			if len(args) > 0 {
				return errors.New("give DIR or -lab, not both")
			}
			s, err := session.OpenNamed(o, cmd.OutOrStdout(), cmd.ErrOrStderr(), f.lab, f.json)
			if err != nil {
				return err
			}
			defer s.Close()
			return f.run(cmd, s)
		},
	}
	f.register(cmd)
	for _, name := range []string{"destroy", "replace"} { // the one is what it does, the other it cannot
		cmd.Flags().Lookup(name).Hidden = true
	}
	cmd.Flags().BoolVar(&f.autoApprove, "auto-approve", false, "do not ask")
	cmd.Flags().StringVar(&f.lab, "lab", "", "the lab's `NAME`, instead of its files")
	cmd.Flags().BoolVar(&f.timings, "timings", false, "show afterwards where the time went")
	return cmd
}

// fresh plans and applies a lab's folder.
func (f *applying) fresh(cmd *cobra.Command, o *options, dir string) error {
	s, err := openLab(cmd, o, dir, f.json)
	if err != nil {
		return err
	}
	defer s.Close()
	return f.run(cmd, s)
}

// run plans, asks and applies.
func (f *applying) run(cmd *cobra.Command, s *session.Session) error {
	outliveReader()
	asked, err := f.options()
	if err != nil {
		return err
	}
	release, err := s.Lock(cmd.Context(), cmd.CommandPath())
	if err != nil {
		return err
	}
	defer release()
	p, err := s.Plan(cmd.Context(), asked)
	if err != nil {
		return err
	}
	s.Out.Plan(p)
	if p.Empty() {
		return f.check(cmd, s)
	}
	if err := f.approve(cmd, p); err != nil {
		return err
	}
	return f.carryOut(cmd, s, p, !f.autoApprove)
}

// saved applies a plan from a file, which was seen and approved when it was made.
func (f *applying) saved(cmd *cobra.Command, o *options, path string) error {
	outliveReader()
	file, err := o.ReadPlan(path)
	if err != nil {
		return err
	}
	if asked, err := f.options(); err != nil || asked.Destroy || len(asked.Targets)+len(asked.Excludes)+len(asked.Replace) > 0 {
		return errors.Join(err, errors.New("a saved plan says what to do: -destroy, -target, -exclude and -replace belong to 'labctl plan'"))
	}
	if err := f.deliberate(file.Plan); err != nil {
		return err
	}
	s, err := session.OpenSaved(o, cmd.OutOrStdout(), cmd.ErrOrStderr(), file, f.json)
	if err != nil {
		return err
	}
	defer s.Close()
	release, err := s.Lock(cmd.Context(), cmd.CommandPath())
	if err != nil {
		return err
	}
	defer release()
	if err := o.UsePlan(path, file); err != nil {
		return err
	}
	return f.carryOut(cmd, s, file.Plan, false)
}

// carryOut applies a plan and tells how it goes.
func (f *applying) carryOut(cmd *cobra.Command, s *session.Session, p *plan.Plan, recheck bool) error {
	ctx, stop, done := interruptible(cmd.Context(), s)
	defer done()
	report, err := s.Engine.Apply(ctx, p, engine.ApplyOptions{
		Parallel: s.Options.Parallel, Recheck: recheck, Stop: stop, Events: s.Out.Event,
	})
	if report != nil {
		s.Out.Report(report)
		if f.timings {
			s.Out.Timings(report)
		}
	}
	if err != nil {
		return s.Tell(err)
	}
	if !p.Options.Destroy {
		if err := showOutputs(cmd.Context(), s); err != nil {
			return s.Tell(err)
		}
	}
	return f.check(cmd, s)
}

// check runs the lab's checks where -test asks for it.
func (f *applying) check(cmd *cobra.Command, s *session.Session) error {
	if !f.test {
		return nil
	}
	s.Note("\n")
	return (&checking{json: f.json}).runChecks(s, cmd, nil)
}

// outliveReader keeps labctl at work where whoever reads what it writes goes away, as head does: a lab is not left half made
// for want of a reader.
func outliveReader() { signal.Ignore(syscall.SIGPIPE) }

// interruptible makes the first interrupt a wish to stop and the second an order. What is under way after the first goes
// on, so that nothing is left half done.
func interruptible(parent context.Context, s *session.Session) (ctx context.Context, stop <-chan struct{}, done func()) {
	ctx, cancel := context.WithCancel(parent)
	wish := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, ok := <-signals; !ok {
			return
		}
		s.Aside("Stopping when what is under way has ended. Interrupt again to stop now.")
		close(wish)
		if _, ok := <-signals; ok {
			s.Aside("Stopping now.")
			cancel()
		}
	}()
	return ctx, wish, func() {
		signal.Stop(signals)
		close(signals)
		cancel()
	}
}

// deliberate demands a word of its own for what may cut the host off, where nobody is asked.
func (f *applying) deliberate(p *plan.Plan) error {
	if risks := p.Risks(); len(risks) > 0 && !f.acceptRisk {
		return fmt.Errorf("this may cut the host off:\n  %s\nNothing was changed. Give -accept-risk where that is meant, or leave -auto-approve out to be asked",
			strings.Join(risks, "\n  "))
	}
	return nil
}

// approve asks the user, who has just seen the plan, unless the flags have answered already.
func (f *applying) approve(cmd *cobra.Command, p *plan.Plan) error {
	if f.autoApprove {
		return f.deliberate(p)
	}
	return f.ask(cmd, p.Risks())
}

// ask asks the user, naming the risks.
func (f *applying) ask(cmd *cobra.Command, risks []string) error {
	in, out := cmd.InOrStdin(), cmd.OutOrStdout()
	if !session.IsTerminal(in) || f.json {
		return errors.New("nobody can be asked, since the input is no terminal: look at the plan and give -auto-approve")
	}
	for _, risk := range risks {
		fmt.Fprintf(out, "\nThis may cut the host off: %s\n", risk)
	}
	question := "\nDo you want to carry this out?"
	if f.destroy {
		question = "\nDo you really want to destroy all of this?"
	}
	fmt.Fprintf(out, "%s Only \"yes\" does it: ", question)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		return errors.New("not approved: nothing was changed")
	}
	fmt.Fprintln(out)
	return nil
}
