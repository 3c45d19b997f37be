package demo_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/weir-eql/weir/internal/demo"
)

// document is what the tests read of a generated event.
type document struct {
	Time       time.Time `json:"@timestamp"`
	DataStream struct {
		Type, Dataset, Namespace string
	} `json:"data_stream"`
	Event struct {
		ID             string
		Action         string
		Category, Type []string
		Sequence       int
		Ingested       time.Time
		Dataset        string
	}
	Agent     struct{ ID string }
	Host      struct{ ID string }
	Container *struct{ ID string }
	Process   struct {
		EntityID    string `json:"entity_id"`
		Name        string
		Args        []string
		Interactive bool
		Parent      struct {
			EntityID string `json:"entity_id"`
		}
		EntryLeader struct {
			EntityID string `json:"entity_id"`
		} `json:"entry_leader"`
		SessionLeader struct {
			EntityID string `json:"entity_id"`
		} `json:"session_leader"`
	}
}

func parse(t *testing.T, doc []byte) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(doc, &d); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, doc)
	}
	return d
}

func TestDocuments(t *testing.T) {
	const events = 10_000
	g := demo.New(demo.Options{Seed: 3})
	ids := map[string]bool{}
	sequences := map[string]int{} // by agent
	datasets := map[string]int{}
	hosts := map[string]bool{}
	var last time.Time
	size := 0
	for range events {
		at, doc, host := g.Next()
		d := parse(t, doc)
		size += len(doc)
		if len(doc) >= 4096 {
			t.Fatalf("document of %d bytes:\n%s", len(doc), doc)
		}
		if at.Before(last) {
			t.Fatalf("event time goes back from %v to %v", last, at)
		}
		last = at
		if !d.Time.Equal(at) || d.Host.ID != host {
			t.Fatalf("got time %v and host %s, want %v and %s", d.Time, d.Host.ID, at, host)
		}
		if delay := d.Event.Ingested.Sub(at); delay < 500*time.Millisecond || delay > 2*time.Second {
			t.Fatalf("ingested %v after the event", delay)
		}
		if d.Event.ID == "" || ids[d.Event.ID] {
			t.Fatalf("event.id %q is empty or not unique", d.Event.ID)
		}
		ids[d.Event.ID] = true
		if before, ok := sequences[d.Agent.ID]; ok && d.Event.Sequence != before+1 {
			t.Fatalf("event.sequence of agent %s goes from %d to %d", d.Agent.ID, before, d.Event.Sequence)
		}
		sequences[d.Agent.ID] = d.Event.Sequence
		p := d.Process
		if p.EntityID == "" || p.EntryLeader.EntityID == "" || p.SessionLeader.EntityID == "" || p.Parent.EntityID == "" {
			t.Fatalf("process without identity or relations:\n%s", doc)
		}
		if d.DataStream.Dataset != d.Event.Dataset || d.DataStream.Type != "logs" || d.DataStream.Namespace != "default" {
			t.Fatalf("data stream %+v of dataset %s", d.DataStream, d.Event.Dataset)
		}
		datasets[d.Event.Dataset]++
		hosts[host] = true
	}
	want := []string{"cloud_defend.file", "cloud_defend.process", "endpoint.events.file", "endpoint.events.network", "endpoint.events.process"}
	if got := slices.Sorted(maps.Keys(datasets)); !slices.Equal(got, want) {
		t.Errorf("datasets: got %v, want %v", got, want)
	}
	for name, n := range datasets {
		if n < events/100 {
			t.Errorf("%s: only %d of %d events", name, n, events)
		}
	}
	if len(hosts) != 3 {
		t.Errorf("got %d hosts, want 3", len(hosts))
	}
	if mean := size / events; mean < 1500 || mean > 3000 {
		t.Errorf("documents have %d bytes on average", mean)
	}
}

func TestDeterministic(t *testing.T) {
	a, b := demo.New(demo.Options{Seed: 11, Hosts: 2}), demo.New(demo.Options{Seed: 11, Hosts: 2})
	other := demo.New(demo.Options{Seed: 12, Hosts: 2})
	differs := false
	for i := range 5_000 {
		_, x, _ := a.Next()
		_, y, _ := b.Next()
		_, z, _ := other.Next()
		if !bytes.Equal(x, y) {
			t.Fatalf("event %d differs for the same seed:\n%s\n%s", i, x, y)
		}
		differs = differs || !bytes.Equal(x, z)
	}
	if !differs {
		t.Error("another seed gives the same events")
	}
}

// TestParents checks that what Elastic Defend reports of a process's parent was reported as a process itself, for
// processes that began after the start.
func TestParents(t *testing.T) {
	g := demo.New(demo.Options{Seed: 5, AttackEvery: time.Second})
	started := map[string]bool{}
	linked := 0
	for range 8_000 {
		_, doc, _ := g.Next()
		d := parse(t, doc)
		if d.Event.Action == "exec" || d.Event.Action == "fork" {
			started[d.Process.EntityID] = true
		}
		if started[d.Process.Parent.EntityID] {
			linked++
		}
		if d.Event.Action == "end" && !started[d.Process.EntityID] && len(d.Process.Args) > 0 {
			t.Fatalf("a process ends that never started:\n%s", doc)
		}
	}
	if linked < 1_000 {
		t.Errorf("only %d events have a parent that was seen", linked)
	}
}

func TestRate(t *testing.T) {
	for _, rate := range []float64{10, 100, 1000} {
		start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		g := demo.New(demo.Options{Seed: 1, Rate: rate, Start: start, AttackEvery: -1})
		span := 60 * time.Second
		if rate > 500 {
			span = 2 * time.Second
		}
		n := 0
		for {
			at, _, _ := g.Next()
			if at.Sub(start) < 20*time.Second { // long activities have to get going
				continue
			}
			if at.Sub(start) > 20*time.Second+span {
				break
			}
			n++
		}
		if got := float64(n) / span.Seconds(); got < rate*0.5 || got > rate*1.6 {
			t.Errorf("rate %g: got %.1f events per second", rate, got)
		}
		if n := len(g.Attacks()); n != 0 {
			t.Errorf("rate %g: %d attacks, want none", rate, n)
		}
	}
}

func TestAttacks(t *testing.T) {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	g := demo.New(demo.Options{Seed: 1, Start: start})
	for {
		if at, _, _ := g.Next(); at.Sub(start) > 2*time.Minute {
			break
		}
	}
	attacks := g.Attacks()
	if got := attacks[0].Start.Sub(start); got > 3*time.Second {
		t.Errorf("the first attack starts after %v, want within 3 s", got)
	}
	if len(attacks) < 12 || len(attacks) > 18 {
		t.Errorf("got %d attacks in two minutes, want one each 8 s", len(attacks))
	}
	names := map[string]bool{}
	for _, a := range attacks[:len(demo.Stories())] {
		names[a.Story.Name] = true
	}
	if len(names) != len(demo.Stories()) {
		t.Errorf("the first %d attacks are of %d stories, want all", len(demo.Stories()), len(names))
	}
}

func BenchmarkNext(b *testing.B) {
	g := demo.New(demo.Options{Seed: 1, Rate: 20_000})
	b.ReportAllocs()
	for b.Loop() {
		_, doc, _ := g.Next()
		b.SetBytes(int64(len(doc)))
	}
}
