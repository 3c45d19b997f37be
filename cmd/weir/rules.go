package main

import "github.com/spf13/cobra"

func newRulesCommand(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:   "rules",
		Short: "Check, list, explain and test rules",
	}, newRulesLintCommand(a), newRulesListCommand(a), newRulesExplainCommand(a), newRulesCostCommand(a), newRulesTestCommand(a))
}
