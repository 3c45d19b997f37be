package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-eql/weir/internal/term"
)

// The exit codes.
const (
	exitFine     = 0
	exitFindings = 1
	exitUsage    = 2
)

// errFindings ends a command that worked and found something: what it found was printed already.
var errFindings = errors.New("findings")

// interruption ends a command that was interrupted and knows how far it was.
type interruption struct{ after string }

// Error says how far the command was.
func (i *interruption) Error() string { return "interrupted after " + i.after }

// Unwrap returns what interrupts commands.
func (i *interruption) Unwrap() error { return context.Canceled }

// app is what all commands share.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	out, err       term.Style // how to write to stdout and stderr
	now            func() time.Time
}

// run runs the command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{
		stdin: stdin, stdout: stdout, stderr: stderr,
		out: term.Detect(stdout, os.Getenv), err: term.Detect(stderr, os.Getenv), now: time.Now,
	}
	root := newRootCommand(a)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitFine
	case errors.Is(err, errFindings):
		return exitFindings
	case errors.Is(err, context.Canceled):
		how := "interrupted"
		if i, ok := errors.AsType[*interruption](err); ok {
			how = i.Error()
		}
		_, _ = fmt.Fprintln(stderr, "weir: "+how)
		return exitUsage
	default:
		_, _ = fmt.Fprintf(stderr, "%s %v\n", a.err.Red("weir:"), err)
		return exitUsage
	}
}

func newRootCommand(a *app) *cobra.Command {
	root := group(&cobra.Command{
		Use:   "weir",
		Short: "Elastic EQL detection rules on Kafka",
		Long: `Weir runs Elastic EQL detection rules, single events, sequences and samples, on events as they flow through Kafka,
and publishes alerts with their evidence on another topic, each exactly once.

Start with "weir demo": it needs no broker and no configuration.

Exit codes: 0 fine, 1 findings (lint errors, failed tests, rules that didn't load), 2 wrong usage, configuration or trouble.`,
		Version:       readBuild().Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	},
		newDemoCommand(a), newRunCommand(a), newBacktestCommand(a), newQueryCommand(a), newRulesCommand(a), newConformanceCommand(a),
		newBenchCommand(a), newVersionCommand(a),
	)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w\nSee \"%s --help\"", err, cmd.CommandPath())
	})
	return root
}

// group makes a command that only holds others: without one of them it prints its help, with a wrong one it fails.
func group(cmd *cobra.Command, subcommands ...*cobra.Command) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		near := elsewhere(cmd.Root(), args[0])
		if len(near) == 0 {
			near = cmd.SuggestionsFor(args[0])
		}
		meant := ""
		if len(near) > 0 {
			meant = "; did you mean " + orList(near) + "?"
		}
		return fmt.Errorf("unknown command %q for %q%s\nSee \"%s --help\"", args[0], cmd.CommandPath(), meant, cmd.CommandPath())
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(subcommands...)
	return cmd
}

// elsewhere returns the paths of the commands below cmd that have this name.
func elsewhere(cmd *cobra.Command, name string) (paths []string) {
	for _, sub := range cmd.Commands() {
		if sub.Name() == name && !sub.Hidden {
			paths = append(paths, sub.CommandPath())
		}
		paths = append(paths, elsewhere(sub, name)...)
	}
	return paths
}

// noArgs refuses what is neither a flag nor the value of one.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%s takes flags only, not %q\nSee \"%s --help\"", cmd.CommandPath(), args[0], cmd.CommandPath())
}

// outputFlag adds -o with the formats that a command knows, the first of which is the default.
func outputFlag(cmd *cobra.Command, formats ...string) *string {
	format := cmd.Flags().StringP("output", "o", formats[0], "output format: "+orList(formats))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)))
	check := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		for _, f := range formats {
			if f == *format {
				if check != nil {
					return check(cmd, args)
				}
				return nil
			}
		}
		return fmt.Errorf("unknown output format %q: use %s", *format, orList(formats))
	}
	return format
}

// orList joins words as a sentence does: a, b or c.
func orList(words []string) string {
	n := len(words)
	if n < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
}

// count writes a number of things: "1 file", "2 files".
func count[N int | uint64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
