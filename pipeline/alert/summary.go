package alert

import (
	"fmt"
	"time"

	json "github.com/goccy/go-json"
)

// Summary is what a person reads first of an alert. Its texts hold no control characters, so that they are
// safe to print on a terminal.
type Summary struct {
	ID        string
	Time      time.Time // event time of the completing event
	Severity  string
	RiskScore float64
	RuleID    string
	RuleName  string
	Message   string
	Host      string
	User      string
	Container string
	Image     string
	// Tactics and Techniques are "TA0002 Execution"; subtechniques are among the techniques.
	Tactics    []string
	Techniques []string
	// Steps are the stages in order.
	Steps []Step
	// OpenEnd marks a match that only the end of the input decided.
	OpenEnd bool
	// Latency is the time from the completing event to its detection.
	Latency time.Duration
}

// Step is one stage of an alert.
type Step struct {
	Missing     bool          // a missing stage: the other fields are zero
	Time        time.Time     // zero where the document has no valid time
	Offset      time.Duration // since the earliest event of the alert
	Action      string        // event.action
	Text        string        // the event in a few words
	Process     string        // process.name
	Parent      string        // process.parent.name
	CommandLine string
	Destination string // host:port
	File        string // file.path
}

// summaryDoc are the parts of a document that Summarise reads besides the events.
type summaryDoc struct {
	Weir struct {
		Rule struct {
			Severity  string  `json:"severity"`
			RiskScore float64 `json:"risk_score"`
		} `json:"rule"`
		LatencyMS int64          `json:"latency_ms"`
		OpenEnd   bool           `json:"open_end"`
		Events    []summaryEvent `json:"events"`
	} `json:"weir"`
}

type summaryEvent struct {
	Missing   bool            `json:"missing"`
	Timestamp string          `json:"@timestamp"`
	Source    json.RawMessage `json:"source"`
}

// Summarise reads back a body that the ECS builder made. It returns an error where body is no such document.
func Summarise(body []byte) (Summary, error) {
	var doc summaryDoc
	if err := json.Unmarshal(body, &doc); err != nil {
		return Summary{}, fmt.Errorf("summarise alert: %w", err)
	}
	tree, err := decode(body)
	if err != nil {
		return Summary{}, fmt.Errorf("summarise alert: %w", err)
	}
	s := Summary{
		ID:        plain(text(tree, "event", "id")),
		Severity:  plain(doc.Weir.Rule.Severity),
		RiskScore: doc.Weir.Rule.RiskScore,
		RuleID:    plain(text(tree, "rule", "id")),
		RuleName:  plain(text(tree, "rule", "name")),
		Message:   plain(text(tree, "message")),
		Host:      clip(hostName(tree)),
		User:      clip(userName(tree)),
		Container: clip(or(text(tree, "container", "name"), text(tree, "container", "id"))),
		Image:     clip(image(tree)),
		Tactics:   labels(tree, "threat", "tactic"),
		OpenEnd:   doc.Weir.OpenEnd,
		Latency:   time.Duration(doc.Weir.LatencyMS) * time.Millisecond,
	}
	s.Techniques = append(labels(tree, "threat", "technique"), labels(tree, "threat", "technique", "subtechnique")...)
	if t, err := time.Parse(time.RFC3339Nano, text(tree, "@timestamp")); err == nil {
		s.Time = t
	}
	s.Steps = steps(doc.Weir.Events, tree)
	return s, nil
}

// labels returns id and name of each tactic or technique.
func labels(tree object, path ...string) []string {
	ids, names := texts(tree, append(path, "id")...), texts(tree, append(path, "name")...)
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = plain(id)
		if len(names) == len(ids) {
			out[i] += " " + plain(names[i])
		}
	}
	return out
}

func steps(events []summaryEvent, doc object) []Step {
	out := make([]Step, len(events))
	var first time.Time
	for i, e := range events {
		if e.Missing {
			out[i].Missing = true
			continue
		}
		_, tree, ok := readSource(e.Source)
		if !ok && len(events) == 1 {
			tree = doc // the source went for size; the fields in common are its own
		}
		out[i] = step(tree)
		if t, err := time.Parse(time.RFC3339Nano, e.Timestamp); err == nil {
			out[i].Time = t
			if first.IsZero() || t.Before(first) {
				first = t
			}
		}
	}
	for i := range out {
		if !out[i].Time.IsZero() {
			out[i].Offset = out[i].Time.Sub(first)
		}
	}
	return out
}

func step(tree object) Step {
	return Step{
		Action:      action(tree),
		Text:        deed(tree),
		Process:     clip(text(tree, "process", "name")),
		Parent:      clip(text(tree, "process", "parent", "name")),
		CommandLine: clip(commandLine(tree)),
		Destination: destination(tree),
		File:        clip(text(tree, "file", "path")),
	}
}
