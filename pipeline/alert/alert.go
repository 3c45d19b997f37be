// Package alert turns a match into the document that is published for it. A Builder makes one form of
// document; the ECS form is here. The package knows neither the pipeline nor Kafka nor rule files, and it
// never reads the clock: the match alone decides every byte but those of weir.detected_at and weir.latency_ms.
package alert

import (
	"sync/atomic"
	"time"

	"github.com/weir-eql/weir/event"
)

// Rule is what an alert says of the rule that matched. A Rule must not change once a Builder used it: what is the same in all alerts is encoded once.
type Rule struct {
	ID          string
	Name        string
	Description string
	// Severity is low, medium, high or critical.
	Severity string
	// RiskScore is 0 to 100.
	RiskScore float64
	// Version is the version that the rule's file states, 0 where it states none.
	Version        int
	References     []string
	Tags           []string
	Author         []string
	FalsePositives []string
	License        string
	// Note is the investigation guide, in Markdown.
	Note string
	// Ruleset names the set that the rule came with.
	Ruleset string
	// Hash identifies the rule's content.
	Hash string
	// BuildingBlock is the building block type of the rule, empty for a rule that alerts in its own right.
	BuildingBlock string
	Threat        []Threat

	encoded atomic.Pointer[constants] // nil until the first alert
}

// Threat is one tactic of a rule's threat mapping with the techniques that serve it.
type Threat struct {
	Framework  string
	Tactic     Tactic
	Techniques []Technique
}

// Tactic is a tactic of a threat framework.
type Tactic struct {
	ID, Name, Reference string
}

// Technique is a technique of a threat framework.
type Technique struct {
	ID, Name, Reference string
	Subtechniques       []Subtechnique
}

// Subtechnique is a subtechnique of a threat framework.
type Subtechnique struct {
	ID, Name, Reference string
}

// Event is one stage of a match: an event with its evidence, or a missing stage.
type Event struct {
	// Missing marks the stage of a `![…]`; the other fields are zero then.
	Missing bool
	// ID is the identity of the event: its event.id. Where it is empty, the place in the log serves.
	ID        string
	Topic     string
	Partition int32
	Offset    int64
	// Time is the event time in milliseconds since the epoch, SubMillis the nanoseconds below that.
	Time      int64
	SubMillis int32
	// Source is the whole event, a JSON object; nil when it could not be kept. Build does not change or keep it.
	Source []byte
	// Host is the host of the event where Source isn't there to tell, as far as it may be another than that of the match.
	Host string
	// Truncated says that Source is not the whole event, or that it is gone.
	Truncated bool
}

// Match is what an alert is built from.
type Match struct {
	Rule *Rule
	// JoinKeys are the values of the join keys, empty for a rule without any.
	JoinKeys []event.Value
	// JoinFields are the paths of the join keys as the first stage names them; may be nil.
	JoinFields []string
	// Events are the stages in order after runs were expanded, missing stages included.
	Events []Event
	// Host is the host of the completing event as the pipeline names it: the key where the event has no host.id, or several.
	Host string
	// OpenEnd marks a match that only the end of the input decided.
	OpenEnd bool
}

// Document is an alert ready to be published.
type Document struct {
	// ID is the alert id, lower-case hex SHA-256.
	ID string
	// Key is the host.id of the completing event, or the host as the pipeline names it where it has none or several; nil where
	// there is neither.
	Key      []byte
	RuleID   string
	Severity string
	// Time is the event time of the completing event in milliseconds since the epoch.
	Time int64
	// Body is the document, one JSON object.
	Body []byte
}

// Builder makes alert documents of one form. A Builder is immutable and may be used by any number of goroutines.
type Builder interface {
	// Build makes the document of m. detectedAt is the time at which the match was found. The match's
	// sources are not kept. An error means that m itself is malformed, never that an event is.
	Build(m Match, detectedAt time.Time) (Document, error)
}
