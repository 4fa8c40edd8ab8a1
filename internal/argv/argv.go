// Package argv reads command lines as Terraform's users type them: long flags with one dash, and a word on what was meant
// where a flag does not exist.
package argv

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Normalise lets long flags be written with one dash, as Terraform's users do: -auto-approve, -var 'a=b', -out=FILE.
// What comes after --, and after the command of `exec` and `sandbox`, is somebody else's and stays as it is.
func Normalise(root *cobra.Command, args []string) []string {
	cmd, words := root, 0
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(out, args[i:]...)
		}
		if !strings.HasPrefix(arg, "-") || len(arg) < 2 {
			out = append(out, arg)
			if sub := subcommand(cmd, arg); sub != nil && words == 0 {
				cmd = sub
			} else if words++; !interspersed(cmd) {
				return append(out, args[i+1:]...)
			}
			continue
		}
		if len(arg) > 2 && arg[1] != '-' {
			arg = "-" + arg
		}
		out = append(out, arg)
		if i+1 < len(args) && takesNext(cmd, arg) {
			i++
			out = append(out, args[i])
		}
	}
	return out
}

func subcommand(cmd *cobra.Command, name string) *cobra.Command {
	for _, sub := range cmd.Commands() {
		if sub.Name() == name || sub.HasAlias(name) {
			return sub
		}
	}
	return nil
}

// ownFlags is the annotation of a command whose first argument ends labctl's own flags.
const ownFlags = "labctl:own-flags"

func interspersed(cmd *cobra.Command) bool { return cmd.Annotations[ownFlags] == "" }

// EndFlagsAtCommand makes the first argument of cmd the end of labctl's flags.
func EndFlagsAtCommand(cmd *cobra.Command) {
	cmd.Flags().SetInterspersed(false)
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[ownFlags] = "yes"
}

// takesNext reports whether the flag's value is the next argument.
func takesNext(cmd *cobra.Command, arg string) bool {
	name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	if hasValue {
		return false
	}
	var flag *pflag.Flag
	if strings.HasPrefix(arg, "--") {
		flag = lookup(cmd, name)
	}
	return flag != nil && flag.NoOptDefVal == ""
}

func lookup(cmd *cobra.Command, name string) *pflag.Flag {
	for c := cmd; c != nil; c = c.Parent() {
		if flag := c.Flags().Lookup(name); flag != nil {
			return flag
		}
		if flag := c.PersistentFlags().Lookup(name); flag != nil {
			return flag
		}
	}
	return nil
}

// FlagError adds the nearest flag's name to what pflag says of an unknown one.
func FlagError(cmd *cobra.Command, err error) error {
	unknown, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return fmt.Errorf("%w\nRun '%s -help' for its flags", err, cmd.CommandPath())
	}
	best, least := "", max(2, len(unknown)/3)+1
	consider := func(flag *pflag.Flag) {
		if d := levenshtein.Distance(unknown, flag.Name, nil); d < least && !flag.Hidden {
			best, least = flag.Name, d
		}
	}
	cmd.Flags().VisitAll(consider)
	cmd.InheritedFlags().VisitAll(consider)
	if best != "" {
		return fmt.Errorf("unknown flag -%s; did you mean -%s?", unknown, best)
	}
	return fmt.Errorf("unknown flag -%s\nRun '%s -help' for its flags", unknown, cmd.CommandPath())
}

// Words is a command line that says what cmd was told, without some flags.
func Words(cmd *cobra.Command, args []string, without ...string) []string {
	words := strings.Fields(cmd.CommandPath())[1:]
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if slices.Contains(without, flag.Name) {
			return
		}
		values := []string{flag.Value.String()}
		if several, ok := flag.Value.(pflag.SliceValue); ok {
			values = several.GetSlice()
		}
		for _, value := range values {
			words = append(words, "--"+flag.Name+"="+value)
		}
	})
	return append(append(words, "--"), args...)
}
