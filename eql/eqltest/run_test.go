package eqltest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weir-eql/weir/eql/eqltest"
)

// pairs is an engine that finds the first event with each later one, and refuses the query "bad".
func pairs(query string, _ []eqltest.FieldType, events []eqltest.Event) ([]eqltest.Match, error) {
	if query == "bad" {
		return nil, errors.New("the query is bad")
	}
	var out []eqltest.Match
	for i := range events {
		if i > 0 {
			out = append(out, eqltest.Match{events[0].Name, events[i].Name})
		}
	}
	return out, nil
}

// recorder is a stream over pairs that writes down what is done to it.
type recorder struct {
	events []eqltest.Event
	told   int
	log    []string
}

func (r *recorder) Event(e eqltest.Event) error {
	r.events = append(r.events, e)
	r.log = append(r.log, e.Name)
	return nil
}

func (r *recorder) Advance(d time.Duration) error {
	r.log = append(r.log, d.String())
	return nil
}

func (r *recorder) Restart() error {
	r.log = append(r.log, "restart")
	return nil
}

func (r *recorder) Settle() ([]eqltest.Match, error) { return r.take("settle") }
func (r *recorder) Finish() ([]eqltest.Match, error) { return r.take("finish") }

func (r *recorder) take(how string) ([]eqltest.Match, error) {
	r.log = append(r.log, how)
	all, err := pairs("", nil, r.events)
	all = all[r.told:]
	r.told += len(all)
	return all, err
}

func parseCase(t *testing.T, src string) *eqltest.Case {
	t.Helper()
	script, err := eqltest.Parse("x", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return &script.Cases[0]
}

func TestRun(t *testing.T) {
	const head = "rule good\nevent 0s a\nevent 1s b\n"
	for _, c := range []struct{ src, batch, stream string }{
		{src: head + "expect match a b"},
		{src: head + "expect match a b\nrestart\nevent 2s c\nexpect match a c\nadvance 1s\nexpect none"},
		{
			src:    head + "expect match a b\nevent 2s c\nexpect none",
			batch:  "x:6: good\ngot  (a b) (a c)\nwant (a b)",
			stream: "x:6: good\ngot  (a c)\nwant none",
		},
		{
			src:    head + "expect none\nevent 2s c\nexpect match a b\nexpect match a c",
			stream: "x:4: good\ngot  (a b)\nwant none",
		},
		{
			src:    head + "expect match b a",
			batch:  "x:4: good\ngot  (a b)\nwant (b a)",
			stream: "x:4: good\ngot  (a b)\nwant (b a)",
		},
		{src: "rule good\nonly batch\nevent 0s a\nexpect match a", batch: "x:4: good\ngot  none\nwant (a)"},
		{src: "rule good\nonly stream\nevent 0s a\nexpect match a", stream: "x:4: good\ngot  none\nwant (a)"},
		{src: "rule bad\nexpect error \"is bad\""},
		{
			src:    "rule bad\nexpect error \"is good\"",
			batch:  `x:1: got the error "the query is bad", want one with "is good"`,
			stream: `x:1: got the error "the query is bad", want one with "is good"`,
		},
		{src: "rule bad\nexpect none", batch: "x:1: the query is bad", stream: "x:1: the query is bad"},
		{
			src:    "rule good\nexpect error \"is bad\"",
			batch:  `x:1: the query compiles, an error with "is bad" was expected`,
			stream: `x:1: the query compiles, an error with "is bad" was expected`,
		},
	} {
		one := parseCase(t, c.src)
		open := func(query string, _ []eqltest.FieldType) (eqltest.Stream, error) {
			_, err := pairs(query, nil, nil)
			return &recorder{}, err
		}
		if got := message(one.Batch(pairs)); got != c.batch {
			t.Errorf("%q in a batch:\ngot  %s\nwant %s", c.src, got, c.batch)
		}
		if got := message(one.Stream(open)); got != c.stream {
			t.Errorf("%q in a stream:\ngot  %s\nwant %s", c.src, got, c.stream)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestStreamSteps(t *testing.T) {
	c := parseCase(t, "rule good\nevent 0s a\nrestart\nadvance 2s\nexpect none\nevent 3s b\nexpect match a b")
	r := &recorder{}
	if err := c.Stream(func(string, []eqltest.FieldType) (eqltest.Stream, error) { return r, nil }); err != nil {
		t.Fatal(err)
	}
	got, want := strings.Join(r.log, " "), "a restart 2s settle b finish"
	if got != want {
		t.Errorf("got the steps %q, want %q", got, want)
	}
	if got, want := c.Name(), "x:1"; got != want {
		t.Errorf("got name %q, want %q", got, want)
	}
}
