// Package rules loads detection rules in the TOML format of the elastic/detection-rules repository, compiles
// them together into a Set, and finds for an event the rules and stages that it satisfies. It knows what a rule
// file says and which events a rule was written for; it knows nothing of Kafka, of partials or of alerts, and it
// never reads the clock.
package rules

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/eql/ast"
)

// Rule is one EQL rule with everything that its file says. A Rule is made by Load and is not changed afterwards;
// it may be shared by any number of goroutines.
type Rule struct {
	// Path is the file that the rule was read from, as it was named to Load.
	Path string `toml:"-"`
	// Line is the line of the query in the file, counted from 1.
	Line int `toml:"-"`
	// Metadata is the file's [metadata] table.
	Metadata Metadata `toml:"-"`
	// Transform is the file's [transform] table as it stands: investigation guides' queries.
	Transform map[string]any `toml:"-"`

	ID          string   `toml:"rule_id"`
	Name        string   `toml:"name"`
	Description string   `toml:"description"`
	Author      []string `toml:"author"`
	License     string   `toml:"license"`
	Severity    string   `toml:"severity"`   // low, medium, high or critical
	RiskScore   int      `toml:"risk_score"` // 0 to 100
	Tags        []string `toml:"tags"`
	Threat      []Threat `toml:"threat"`
	References  []string `toml:"references"`
	// FalsePositives, Note and Setup are Markdown.
	FalsePositives []string `toml:"false_positives"`
	Note           string   `toml:"note"`
	Setup          string   `toml:"setup"`
	// Version and Revision are 0 where the file has none.
	Version  int `toml:"version"`
	Revision int `toml:"revision"`

	Type     string `toml:"type"`     // eql
	Language string `toml:"language"` // eql
	Query    string `toml:"query"`
	// Index holds the patterns of the data streams that the rule was written for; none means all.
	Index      []string `toml:"index"`
	DataViewID string   `toml:"data_view_id"`
	// Filters are Kibana's additional filters.
	Filters []map[string]any `toml:"filters"`

	// From, To and Interval are the schedule of the search that the rule is elsewhere: see Lookback.
	From     string `toml:"from"`
	To       string `toml:"to"`
	Interval string `toml:"interval"`
	// TimestampOverride is for scheduled searches: it narrows what they read. A stream has no such range.
	TimestampOverride                 string `toml:"timestamp_override"`
	TimestampOverrideFallbackDisabled bool   `toml:"timestamp_override_fallback_disabled"`
	// TimestampField is the event time of the rule's sequences; empty means @timestamp.
	TimestampField string `toml:"timestamp_field"`
	// EventCategoryOverride is the field that a query's category is compared with; empty means event.category.
	EventCategoryOverride string `toml:"event_category_override"`
	TiebreakerField       string `toml:"tiebreaker_field"`

	BuildingBlockType string `toml:"building_block_type"`
	// Enabled is nil where the file doesn't say.
	Enabled          *bool             `toml:"enabled"`
	AlertSuppression *AlertSuppression `toml:"alert_suppression"`
	ExceptionsList   []ExceptionList   `toml:"exceptions_list"`
	// MaxSignals is the most alerts that one scheduled search may make; 0 where the file has none.
	MaxSignals          int                  `toml:"max_signals"`
	SeverityMapping     []SeverityMapping    `toml:"severity_mapping"`
	RiskScoreMapping    []RiskScoreMapping   `toml:"risk_score_mapping"`
	RuleNameOverride    string               `toml:"rule_name_override"`
	RelatedIntegrations []RelatedIntegration `toml:"related_integrations"`
	RequiredFields      []RequiredField      `toml:"required_fields"`
	InvestigationFields InvestigationFields  `toml:"investigation_fields"`
	TimelineID          string               `toml:"timeline_id"`
	TimelineTitle       string               `toml:"timeline_title"`

	// Actions, ResponseActions, Throttle, Meta, OutputIndex and Namespace belong to a rule's life in Kibana.
	Actions         []map[string]any `toml:"actions"`
	ResponseActions []map[string]any `toml:"response_actions"`
	Throttle        string           `toml:"throttle"`
	Meta            map[string]any   `toml:"meta"`
	OutputIndex     string           `toml:"output_index"`
	Namespace       string           `toml:"namespace"`

	parsed     ast.Statement // of parsedText, set by Load
	parsedText string        // Query as Load read it
	automata   *eql.Automata // of the regular expressions in it
	normalised string        // canonical query, set by Load
	piped      bool          // the query ends in pipes
	lookback   int64         // milliseconds
	interval   int64         // milliseconds
}

// Metadata is the [metadata] table of a rule file. Dates are as written: 2026/01/31.
type Metadata struct {
	Maturity         string   `toml:"maturity"`
	CreationDate     string   `toml:"creation_date"`
	UpdatedDate      string   `toml:"updated_date"`
	DeprecationDate  string   `toml:"deprecation_date"`
	Integration      []string `toml:"-"`
	MinStackVersion  string   `toml:"min_stack_version"`
	MinStackComments string   `toml:"min_stack_comments"`
	BypassBBRTiming  bool     `toml:"bypass_bbr_timing"`
	Promotion        bool     `toml:"promotion"`
	Comments         string   `toml:"comments"`
	OSTypeList       []string `toml:"os_type_list"`
	// QuerySchemaValidation and RelatedEndpointRules belong to the detection-rules repository's own checks.
	QuerySchemaValidation *bool `toml:"query_schema_validation"`
	RelatedEndpointRules  any   `toml:"related_endpoint_rules"`
	Extended              any   `toml:"extended"`
}

// Threat is one tactic of a framework such as MITRE ATT&CK, with the techniques under it.
type Threat struct {
	Framework string      `toml:"framework"`
	Tactic    Tactic      `toml:"tactic"`
	Technique []Technique `toml:"technique"`
}

// Tactic is a tactic: TA0002, Execution.
type Tactic struct {
	ID        string `toml:"id"`
	Name      string `toml:"name"`
	Reference string `toml:"reference"`
}

// Technique is a technique, T1059, with its subtechniques.
type Technique struct {
	ID           string         `toml:"id"`
	Name         string         `toml:"name"`
	Reference    string         `toml:"reference"`
	Subtechnique []Subtechnique `toml:"subtechnique"`
}

// Subtechnique is a subtechnique: T1059.004, Unix Shell.
type Subtechnique struct {
	ID        string `toml:"id"`
	Name      string `toml:"name"`
	Reference string `toml:"reference"`
}

// AlertSuppression says which alerts are folded into one.
type AlertSuppression struct {
	GroupBy               []string            `toml:"group_by"`
	Duration              SuppressionDuration `toml:"duration"`
	MissingFieldsStrategy string              `toml:"missing_fields_strategy"`
}

// SuppressionDuration is a window of suppression: Value times Unit, which is s, m or h.
type SuppressionDuration struct {
	Value int    `toml:"value"`
	Unit  string `toml:"unit"`
}

// ExceptionList names an exception list that is kept in Kibana.
type ExceptionList struct {
	ID            string `toml:"id"`
	ListID        string `toml:"list_id"`
	NamespaceType string `toml:"namespace_type"`
	Type          string `toml:"type"`
}

// SeverityMapping sets the severity where a field has a value.
type SeverityMapping struct {
	Field    string `toml:"field"`
	Operator string `toml:"operator"`
	Value    string `toml:"value"`
	Severity string `toml:"severity"`
}

// RiskScoreMapping takes the risk score from a field.
type RiskScoreMapping struct {
	Field     string `toml:"field"`
	Operator  string `toml:"operator"`
	Value     string `toml:"value"`
	RiskScore *int   `toml:"risk_score"`
}

// RelatedIntegration is a Fleet integration that brings the rule's data.
type RelatedIntegration struct {
	Package     string `toml:"package"`
	Version     string `toml:"version"`
	Integration string `toml:"integration"`
}

// RequiredField is a field that the rule reads, as its file declares it.
type RequiredField struct {
	Name string `toml:"name"`
	Type string `toml:"type"`
	ECS  bool   `toml:"ecs"`
}

// InvestigationFields are the fields that an analyst should see first.
type InvestigationFields struct {
	FieldNames []string `toml:"field_names"`
}

// BuildingBlock reports whether the rule's alerts are building blocks: input of other rules, not for an analyst.
func (r *Rule) BuildingBlock() bool { return r.BuildingBlockType != "" }

// LookbackMillis returns how far back the rule's search would look, in milliseconds, from its `from`: the bound
// of a sample, and of a sequence without maxspan. A rule without `from` has Kibana's default of six minutes.
func (r *Rule) LookbackMillis() int64 {
	if r.lookback == 0 {
		return defaultLookback
	}
	return r.lookback
}

// IntervalMillis returns the interval of the rule's search in milliseconds, five minutes where the file has none.
func (r *Rule) IntervalMillis() int64 {
	if r.interval == 0 {
		return defaultInterval
	}
	return r.interval
}

// NormalisedQuery returns the query in its canonical spelling, or as written where the rule wasn't loaded from a file.
func (r *Rule) NormalisedQuery() string {
	if r.normalised == "" {
		return r.Query
	}
	return r.normalised
}

// Hash returns the hex SHA-256 of what decides the rule's matches: the normalised query and the fields that
// stand for category and event time. A change of white space, comments or metadata keeps it.
func (r *Rule) Hash() string {
	sum := r.digest("")
	return hex.EncodeToString(sum[:])
}

// SameText reports whether two rules say the same, wherever their files lie.
func (r *Rule) SameText(o *Rule) bool {
	a, b := *r, *o
	for _, c := range []*Rule{&a, &b} {
		c.Path, c.Line = "", 0
	}
	x, err := json.Marshal(&a)
	if err != nil {
		return false
	}
	y, err := json.Marshal(&b)
	return err == nil && bytes.Equal(x, y)
}

// StateHash names the rule's partials in the state. It covers the rule's id and all that Hash does: partials outlive a
// reload as long as the query means the same.
func (r *Rule) StateHash() [8]byte {
	sum := r.digest(r.ID)
	return [8]byte(sum[:8])
}

// digest hashes the parts with their lengths, so that no two lists of parts have the same bytes.
func (r *Rule) digest(id string) [sha256.Size]byte {
	h := sha256.New()
	for _, part := range []string{id, r.NormalisedQuery(), r.EventCategoryOverride, r.TimestampField} {
		h.Write(strconv.AppendInt(nil, int64(len(part)), 10)) // a hash never fails to write
		h.Write([]byte(":" + part))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Unhonoured returns the keys of the file that ask for something that Weir doesn't do yet, in a fixed order.
func (r *Rule) Unhonoured() []string {
	asked := []struct {
		key string
		set bool
	}{
		{"alert_suppression", r.AlertSuppression != nil},
		{"exceptions_list", len(r.ExceptionsList) > 0},
		{"max_signals", r.MaxSignals != 0},
		{"severity_mapping", len(r.SeverityMapping) > 0},
		{"risk_score_mapping", len(r.RiskScoreMapping) > 0},
		{"rule_name_override", r.RuleNameOverride != ""},
		{"filters", len(r.Filters) > 0},
		{"data_view_id", r.DataViewID != "" && len(r.Index) == 0},
		{"tiebreaker_field", r.TiebreakerField != "" && r.TiebreakerField != "event.sequence"},
		{"actions", len(r.Actions) > 0},
		{"response_actions", len(r.ResponseActions) > 0},
		{"throttle", r.Throttle != ""},
		{"query pipes", r.piped},
	}
	var keys []string
	for _, a := range asked {
		if a.set {
			keys = append(keys, a.key)
		}
	}
	return keys
}
