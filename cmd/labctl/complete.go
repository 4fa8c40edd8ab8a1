package main

import (
	"bytes"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/config"
)

// offer tells the shell what may follow, from the files of the lab in the current folder: no host is asked.
func offer(o *options, list func(*config.Result) []string, directive cobra.ShellCompDirective) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		if enter(o) != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		result, _, err := o.Read(".")
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return list(result), directive
	}
}

// offerAll gives every command of root that takes an address, a name or a folder what the shell may offer for it.
func offerAll(o *options, root *cobra.Command) {
	const here = cobra.ShellCompDirectiveNoFileComp
	flags := map[string]cobra.CompletionFunc{
		"target": offer(o, addresses, here), "exclude": offer(o, addresses, here), "replace": offer(o, addresses, here),
		"var": offer(o, variables, here|cobra.ShellCompDirectiveNoSpace), "run": offer(o, checks, here),
		"chdir":    cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		"var-file": cobra.FixedCompletions([]string{"hclvars", "json"}, cobra.ShellCompDirectiveFilterFileExt),
	}
	for name, f := range flags {
		if root.PersistentFlags().Lookup(name) != nil {
			_ = root.RegisterFlagCompletionFunc(name, f)
		}
	}
	for _, cmd := range root.Commands() {
		for name, f := range flags {
			if cmd.LocalNonPersistentFlags().Lookup(name) != nil {
				_ = cmd.RegisterFlagCompletionFunc(name, f)
			}
		}
		if cmd.ValidArgsFunction != nil {
			continue
		}
		switch use := cmd.Use[strings.IndexByte(cmd.Use+" ", ' '):]; strings.TrimSpace(use) {
		case "[DIR]":
			cmd.ValidArgsFunction = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
		case "":
			cmd.ValidArgsFunction = cobra.FixedCompletions(nil, here)
		case "[NAME]":
			cmd.ValidArgsFunction = first(offer(o, outputs, here))
		case "[EXPRESSION]":
			cmd.ValidArgsFunction = first(offer(o, references, here|cobra.ShellCompDirectiveNoSpace))
		}
	}
}

// first completes the first argument alone.
func first(f cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f(cmd, args, word)
	}
}

// addresses are those of the lab's resources, and of the modules and blocks that hold several.
func addresses(r *config.Result) (list []string) {
	if r.Lab == nil {
		return nil
	}
	for _, resource := range r.Lab.Resources {
		whole := resource.Addr.Whole()
		for _, a := range []schema.Addr{{Module: whole.Module}, whole.Block(), whole, resource.Addr} {
			if text := bare(a.String()); text != "" && !slices.Contains(list[max(0, len(list)-8):], text) {
				list = append(list, text)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// references are what an expression may begin with. Keys need quotes that a shell takes away, so none are offered.
func references(r *config.Result) (list []string) {
	modules := r.Modules()
	if len(modules) == 0 {
		return nil
	}
	for _, d := range modules[0].Ordered {
		if d.Name.Kind != "output" && d.Name.Kind != "check" && d.Name.Label != "" {
			list = append(list, d.Name.Kind+"."+d.Name.Label)
		}
	}
	return list
}

// bare is an address as it survives a shell: keys that are words need no quotes.
func bare(address string) string {
	return regexp.MustCompile(`\["([A-Za-z_][A-Za-z0-9_-]*)"\]`).ReplaceAllString(address, "[$1]")
}

func variables(r *config.Result) (list []string) {
	for _, v := range r.Variables {
		list = append(list, v.Name+"=")
	}
	return list
}

func outputs(r *config.Result) (list []string) {
	if r.Lab == nil {
		return nil
	}
	for _, v := range r.Lab.Outputs {
		list = append(list, v.Name+"\t"+v.Description)
	}
	return list
}

func checks(r *config.Result) (list []string) {
	if r.Lab == nil {
		return nil
	}
	for _, c := range r.Lab.Checks {
		list = append(list, c.Addr.Name)
	}
	return list
}

// machines are the lab's by the names of their domains, which no shell takes apart as it does brackets.
func machines(r *config.Result) (list []string) {
	if r.Lab == nil {
		return nil
	}
	for _, resource := range r.Lab.Resources {
		if domain, ok := resource.Body.(*schema.Domain); ok {
			list = append(list, domain.Name+"\t"+resource.Addr.String())
		}
	}
	return list
}

// offerMachines offers the machines that the files declare, and those of hosts where the folder holds no lab.
func offerMachines(o *options) cobra.CompletionFunc {
	declared := offer(o, machines, cobra.ShellCompDirectiveNoFileComp)
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if names, directive := declared(cmd, args, word); len(names) > 0 {
			return names, directive
		}
		s, err := session.OpenHosts(o, io.Discard, io.Discard, ".")
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		defer s.Close()
		live, err := s.Machines(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []string
		for _, m := range live {
			if s.Lab.Name == "" || m.Lab == s.Lab.Name {
				names = append(names, m.Domain+"\t"+m.Addr.String())
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// oneDash lets the shell complete a flag that was begun with one dash: it takes only what begins as the user did. It
// returns what finishes the output.
func oneDash(root *cobra.Command, args []string) (done func()) {
	last := ""
	if len(args) > 1 {
		last = args[len(args)-1]
	}
	if len(args) < 2 || args[0] != cobra.ShellCompRequestCmd && args[0] != cobra.ShellCompNoDescRequestCmd ||
		len(last) < 2 || last[0] != '-' || last[1] == '-' {
		return func() {}
	}
	var held bytes.Buffer
	out := root.OutOrStdout()
	root.SetOut(&held)
	return func() {
		for line := range strings.Lines(held.String()) {
			if strings.HasPrefix(line, "--") {
				line = line[1:]
			}
			_, _ = io.WriteString(out, line)
		}
	}
}
