package alert

import (
	"cmp"
	"time"
)

// NewBare returns a Builder of documents that have everything but a Body, for alerts that are only counted.
func NewBare() Builder { return bareBuilder{} }

type bareBuilder struct{}

// Build implements Builder. The Key is that of the ECS document, as far as the pipeline says it: sources are not read.
func (bareBuilder) Build(m Match, _ time.Time) (Document, error) {
	if m.Rule == nil {
		return Document{}, errNoRule
	}
	completed := -1
	identities := make([]string, len(m.Events))
	for i := range m.Events {
		identities[i] = m.Events[i].identity()
		if !m.Events[i].Missing && (completed < 0 || m.Events[i].Time >= m.Events[completed].Time) {
			completed = i
		}
	}
	if completed < 0 {
		return Document{}, errNoEvent
	}
	host := cmp.Or(m.Events[completed].Host, m.Host)
	doc := Document{
		ID: ID(m.Rule.ID, m.JoinKeys, identities), RuleID: m.Rule.ID, Severity: m.Rule.Severity,
		Time: m.Events[completed].Time,
	}
	if host != "" {
		doc.Key = []byte(host)
	}
	return doc, nil
}
