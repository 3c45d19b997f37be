package alert_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/pipeline/alert"
)

// The id is part of what users store: it must never change between versions.
func TestIDIsStable(t *testing.T) {
	got := alert.ID("rule", []event.Value{event.StringValue("h"), event.IntValue(1)}, []string{"a", alert.MissingStage, "t/0/1"})
	want := "0e7ce34c28db36bb034add441f33d60e24b19295a3b1e74626490e0831c2005a"
	if got != want {
		t.Errorf("ID = %s, want %s", got, want)
	}
}

type idInput struct {
	rule       string
	keys       []event.Value
	identities []string
}

func drawIDInput(t *rapid.T, label string) idInput {
	short := rapid.StringMatching(`[ab/\x00]{0,3}`) // few letters, so that concatenations clash
	value := rapid.Custom(func(t *rapid.T) event.Value {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return event.Value{}
		case 1:
			return event.IntValue(rapid.Int64Range(0, 2).Draw(t, "int"))
		case 2:
			return event.BoolValue(rapid.Bool().Draw(t, "bool"))
		default:
			return event.StringValue(short.Draw(t, "str"))
		}
	})
	return idInput{
		rule:       short.Draw(t, label+" rule"),
		keys:       rapid.SliceOfN(value, 0, 3).Draw(t, label+" keys"),
		identities: rapid.SliceOfN(short, 0, 3).Draw(t, label+" identities"),
	}
}

func (in idInput) id() string { return alert.ID(in.rule, in.keys, in.identities) }

func TestIDIsUnambiguous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawIDInput(t, "a"), drawIDInput(t, "b")
		same := a.rule == b.rule && slices.Equal(a.keys, b.keys) && slices.Equal(a.identities, b.identities)
		if got := a.id() == b.id(); got != same {
			t.Fatalf("ids equal: %v, inputs equal: %v\n%+v\n%+v", got, same, a, b)
		}
	})
}

func TestIDTellsNeighboursApart(t *testing.T) {
	str := event.StringValue
	inputs := []idInput{
		{"r", nil, []string{"a"}},
		{"ra", nil, []string{""}},
		{"r", nil, []string{"a", ""}},
		{"r", nil, []string{"", "a"}},
		{"r", nil, []string{"", ""}},
		{"r", []event.Value{str("a")}, nil},
		{"r", []event.Value{str("a")}, []string{"a"}},
		{"r", []event.Value{str("a"), str("b")}, nil},
		{"r", []event.Value{str("ab")}, nil},
		{"r", []event.Value{str("1")}, nil},
		{"r", []event.Value{event.IntValue(1)}, nil},
		{"r", []event.Value{event.BoolValue(true)}, nil},
		{"r", []event.Value{{}}, nil},
		{"r", []event.Value{str("")}, nil},
	}
	seen := map[string]idInput{}
	for _, in := range inputs {
		if other, ok := seen[in.id()]; ok {
			t.Errorf("one id for %+v and %+v", in, other)
		}
		seen[in.id()] = in
	}
}

func TestIdentity(t *testing.T) {
	if got, want := alert.Identity("e", "t", 1, 2), "e"; got != want {
		t.Errorf("with event.id: %q, want %q", got, want)
	}
	if got, want := alert.Identity("", "logs", 12, 345), "logs/12/345"; got != want {
		t.Errorf("without event.id: %q, want %q", got, want)
	}
}
