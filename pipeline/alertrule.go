package pipeline

import (
	"strings"

	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/rules"
)

// alertRules turns the rules of a set into what an alert says of them.
func alertRules(set *rules.Set) []*alert.Rule {
	compiled := set.Rules()
	out := make([]*alert.Rule, len(compiled))
	for i, c := range compiled {
		out[i] = alertRule(c)
	}
	return out
}

func alertRule(c *rules.Compiled) *alert.Rule {
	r := c.Rule
	a := &alert.Rule{
		ID: r.ID, Name: r.Name, Description: r.Description, Severity: r.Severity, RiskScore: float64(r.RiskScore),
		Version: r.Version, References: r.References, Tags: r.Tags, Author: r.Author,
		FalsePositives: r.FalsePositives, License: r.License, Note: r.Note, Hash: c.Hash,
		BuildingBlock: r.BuildingBlockType, Ruleset: ruleset(r),
	}
	for _, t := range r.Threat {
		a.Threat = append(a.Threat, alertThreat(t))
	}
	return a
}

// ruleset names what the rule belongs to: the integrations that its file was written for, else its author.
func ruleset(r *rules.Rule) string {
	if len(r.Metadata.Integration) > 0 {
		return strings.Join(r.Metadata.Integration, ", ")
	}
	return strings.Join(r.Author, ", ")
}

func alertThreat(t rules.Threat) alert.Threat {
	out := alert.Threat{Framework: t.Framework, Tactic: alert.Tactic(t.Tactic)}
	for _, tech := range t.Technique {
		converted := alert.Technique{ID: tech.ID, Name: tech.Name, Reference: tech.Reference}
		for _, sub := range tech.Subtechnique {
			converted.Subtechniques = append(converted.Subtechniques, alert.Subtechnique(sub))
		}
		out.Techniques = append(out.Techniques, converted)
	}
	return out
}

// joinFields returns the names of a rule's join keys as its first stage has them.
func joinFields(c *rules.Compiled) []string {
	var names []string
	for _, k := range c.Query.Stages[0].By {
		names = append(names, k.Path)
	}
	return names
}
