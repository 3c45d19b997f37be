package balance_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/pipeline/kafka/balance"
)

// world is a group whose members follow the plans that are made for it, as those of a cooperative group do.
type world struct {
	group  balance.Group
	shares map[string]balance.Share
}

func newWorld(partitions int32, topics ...string) *world {
	w := &world{group: balance.Group{Partitions: map[string]int32{}}, shares: map[string]balance.Share{}}
	for _, topic := range topics {
		w.group.Partitions[topic] = partitions
	}
	return w
}

func (w *world) join(key string, topics ...string) {
	w.group.Members = append(w.group.Members, balance.Member{Key: key, Topics: topics, Generation: -1})
}

func (w *world) leave(key string) {
	delete(w.shares, key)
	w.group.Members = slices.DeleteFunc(w.group.Members, func(m balance.Member) bool { return m.Key == key })
}

// rebalance makes plans until nothing changes. Between two plans members give up
// what is not theirs any more, and only then somebody else may have it.
func (w *world) rebalance(t *testing.T) {
	t.Helper()
	for round := 1; ; round++ {
		shares := balance.Plan(w.group)
		w.checkOwners(t, shares)
		changed := false
		for i, share := range shares {
			m := &w.group.Members[i]
			changed = changed || !maps.EqualFunc(m.Owned, share.Owned, slices.Equal)
			m.Owned, m.Generation = share.Owned, int32(round)
			w.shares[m.Key] = share
		}
		if !changed {
			return
		}
		if round > 5 {
			t.Fatal("the plans don't come to an end")
		}
	}
}

// checkOwners: nothing is given to two members, nor to one while another has yet to give it up.
func (w *world) checkOwners(t *testing.T, shares []balance.Share) {
	t.Helper()
	owner := map[string]int{}
	for i, share := range shares {
		for topic, numbers := range share.Owned {
			for _, n := range numbers {
				name := topic + "/" + strconv.Itoa(int(n))
				if other, ok := owner[name]; ok {
					t.Fatalf("%s is given to %d and %d", name, other, i)
				}
				owner[name] = i
				for j, m := range w.group.Members {
					if j != i && slices.Contains(m.Owned[topic], n) && !slices.Contains(w.group.Members[i].Owned[topic], n) {
						t.Fatalf("%s is given to %s while %s has it", name, w.group.Members[i].Key, m.Key)
					}
				}
			}
		}
	}
}

// check looks at a finished plan: everything is assigned, partition n of all topics to one member, evenly.
func (w *world) check(t *testing.T) {
	t.Helper()
	slots := map[int32]string{}
	var counts []int
	for _, m := range w.group.Members {
		mine := map[int32]bool{}
		for topic, numbers := range m.Owned {
			if !slices.Contains(m.Topics, topic) {
				t.Errorf("%s is given %s, which it doesn't read", m.Key, topic)
			}
			for _, n := range numbers {
				mine[n] = true
				if other, ok := slots[n]; ok && other != m.Key {
					t.Errorf("partition %d is split between %s and %s", n, other, m.Key)
				}
				slots[n] = m.Key
			}
		}
		for n := range mine {
			for _, topic := range m.Topics {
				if n < w.group.Partitions[topic] && !slices.Contains(m.Owned[topic], n) {
					t.Errorf("%s has partition %d without %s", m.Key, n, topic)
				}
			}
			if slices.Contains(w.shares[m.Key].Standby, n) {
				t.Errorf("%s is active and standby of %d", m.Key, n)
			}
		}
		counts = append(counts, len(mine))
	}
	var all int32
	for _, n := range w.group.Partitions {
		all = max(all, n)
	}
	copies, most := 0, 0
	for _, share := range w.shares {
		copies, most = copies+len(share.Standby), max(most, len(share.Standby))
	}
	members := len(w.group.Members)
	want := min(w.group.Standbys, members-1) * int(all)
	if copies != want || most > want/members+2 {
		t.Errorf("%d copies, of which one member keeps %d; want %d on %d members", copies, most, want, members)
	}
	if len(slots) != int(all) {
		t.Errorf("%d of %d partitions are assigned", len(slots), all)
	}
	if slices.Max(counts)-slices.Min(counts) > 1 {
		t.Errorf("shares are uneven: %v", counts)
	}
}

// owners returns who has which partition of a topic.
func (w *world) owners(topic string) map[int32]string {
	out := map[int32]string{}
	for _, m := range w.group.Members {
		for _, n := range m.Owned[topic] {
			out[n] = m.Key
		}
	}
	return out
}

func moved(before, after map[int32]string, gone string) (n int) {
	for number, owner := range before {
		if owner != gone && after[number] != owner {
			n++
		}
	}
	return n
}

// leastMoves is the smallest number of slots that have to leave their owners so that all have even shares.
func leastMoves(slots int, owned []int) int {
	slices.SortFunc(owned, func(a, b int) int { return b - a })
	moves := 0
	for i, have := range owned {
		share := slots / len(owned)
		if i < slots%len(owned) {
			share++
		}
		moves += max(0, have-share)
	}
	return moves
}

// TestMembersComeAndGo has members join and leave at random: after each step the plan is even and whole, and no more
// slots have left their owners than had to.
func TestMembersComeAndGo(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(strconv.Itoa(int(seed)), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			topics := []string{"a", "b", "c"}[:1+rnd.IntN(3)]
			w := newWorld(int32(1+rnd.IntN(24)), topics...)
			w.group.Standbys = rnd.IntN(3)
			slots := int(w.group.Partitions["a"])
			for step := range 25 {
				gone := ""
				if len(w.group.Members) > 1 && rnd.IntN(2) == 0 {
					gone = w.group.Members[rnd.IntN(len(w.group.Members))].Key
					w.leave(gone)
				} else {
					w.join(fmt.Sprint("m", step), topics...)
				}
				before := w.owners("a")
				for i := range w.group.Members { // any state on disk, so that it can't spoil the rest
					if rnd.IntN(3) == 0 {
						w.group.Members[i].Warm = map[int32]int64{rnd.Int32N(24): rnd.Int64N(9), rnd.Int32N(24): rnd.Int64N(9), rnd.Int32N(24): 5}
					}
				}
				var owned []int
				for _, m := range w.group.Members {
					owned = append(owned, len(m.Owned["a"]))
				}
				w.rebalance(t)
				w.check(t)
				if got, want := moved(before, w.owners("a"), gone), leastMoves(slots, owned); got != want {
					t.Errorf("step %d: %d partitions moved, %d had to", step, got, want)
				}
			}
		})
	}
}

// TestOrderDoesNotMatter plans for the same members in any order.
func TestOrderDoesNotMatter(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		w := newWorld(int32(1+rnd.IntN(16)), "a", "b")
		w.group.Standbys = rnd.IntN(3)
		for i := range 1 + rnd.IntN(6) {
			w.join(fmt.Sprint("m", i), "a", "b")
			if m := &w.group.Members[i]; rnd.IntN(2) == 0 {
				m.Warm = map[int32]int64{rnd.Int32N(16): rnd.Int64N(3), rnd.Int32N(16): 1}
			}
			if rnd.IntN(2) == 0 {
				w.rebalance(t)
			}
		}
		byKey := func(g balance.Group) map[string]balance.Share {
			out := map[string]balance.Share{}
			for i, share := range balance.Plan(g) {
				out[g.Members[i].Key] = share
			}
			return out
		}
		want := byKey(w.group)
		for range 10 {
			rnd.Shuffle(len(w.group.Members), func(i, j int) {
				w.group.Members[i], w.group.Members[j] = w.group.Members[j], w.group.Members[i]
			})
			if diff := cmp.Diff(want, byKey(w.group)); diff != "" {
				t.Fatalf("seed %d: the plan depends on the order (-want +got):\n%s", seed, diff)
			}
		}
	}
}

// TestUpgradeThatAddsATopic: members that read one topic more come one by one. Partitions stay even among old and new, none is
// split, and the new topic's are read as soon as their owner reads it.
func TestUpgradeThatAddsATopic(t *testing.T) {
	w := newWorld(12, "events", "rekey")
	for i := range 3 {
		w.join(fmt.Sprint("m", i), "events")
	}
	w.rebalance(t)
	for i := range 3 {
		before := w.owners("events")
		w.group.Members[i].Topics = []string{"events", "rekey"}
		w.rebalance(t)
		w.check(t)
		if n := moved(before, w.owners("events"), ""); n != 0 {
			t.Errorf("%d partitions moved by an upgrade in place", n)
		}
		if got, want := len(w.owners("rekey")), 4*(i+1); got != want {
			t.Errorf("%d partitions of the new topic are assigned, want %d", got, want)
		}
	}
}

// TestUnrelatedMembers: members of one group that read other topics don't take part in each other's shares.
func TestUnrelatedMembers(t *testing.T) {
	w := newWorld(4, "a", "b")
	w.join("x", "a")
	w.join("y", "b")
	w.rebalance(t)
	if len(w.owners("a")) != 4 || len(w.owners("b")) != 4 {
		t.Errorf("owners of a: %v, of b: %v", w.owners("a"), w.owners("b"))
	}
}

// TestUnevenTopics: a topic with more partitions than the others is read whole.
func TestUnevenTopics(t *testing.T) {
	w := newWorld(4, "a", "b")
	w.group.Partitions["b"] = 9
	w.join("x", "a", "b")
	w.join("y", "a", "b")
	w.join("z", "b")
	w.rebalance(t)
	if n := len(w.owners("b")); n != 9 {
		t.Errorf("%d of 9 partitions of b are assigned", n)
	}
}

// TestStateDecides: what nobody owns goes where its state is; with even shares all the same.
func TestStateDecides(t *testing.T) {
	w := newWorld(4, "a")
	w.join("x", "a")
	w.join("y", "a")
	w.group.Members[0].Warm = map[int32]int64{1: 10, 2: 10, 3: 10}
	w.group.Members[1].Warm = map[int32]int64{3: 11}
	w.rebalance(t)
	if diff := cmp.Diff(map[int32]string{0: "y", 1: "x", 2: "x", 3: "y"}, w.owners("a")); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
}

// TestStandbyTakesOver kills a member: its slots go to those that keep copies of them, as far as shares stay even.
func TestStandbyTakesOver(t *testing.T) {
	w := newWorld(12, "a")
	w.group.Standbys = 1
	for i := range 3 {
		w.join(fmt.Sprint("m", i), "a")
	}
	w.rebalance(t)
	for i := range w.group.Members {
		m := &w.group.Members[i]
		m.Warm = map[int32]int64{}
		for _, n := range append(slices.Clone(m.Owned["a"]), w.shares[m.Key].Standby...) {
			m.Warm[n] = 100
		}
		if got := len(w.shares[m.Key].Standby); got < 3 || got > 5 {
			t.Errorf("%s keeps %d copies, want about 4", m.Key, got)
		}
	}
	lost := w.group.Members[0].Owned["a"]
	w.leave("m0")
	w.rebalance(t)
	w.check(t)
	cold := 0
	for _, m := range w.group.Members {
		for _, n := range m.Owned["a"] {
			if _, warm := m.Warm[n]; !warm {
				cold++
			}
		}
	}
	if cold > 1 {
		t.Errorf("%d of %v went to a member without their state", cold, lost)
	}
	for n, owner := range w.owners("a") {
		for _, m := range w.group.Members {
			if m.Key != owner && !slices.Contains(w.shares[m.Key].Standby, n) {
				t.Errorf("partition %d of %s has no copy on %s", n, owner, m.Key)
			}
		}
	}
}

// TestStaleClaims: of two members that say they own a partition the one that saw the newer generation has it, and the
// other gives it up before anything else is done with it.
func TestStaleClaims(t *testing.T) {
	w := newWorld(2, "a")
	w.join("x", "a")
	w.join("y", "a")
	w.group.Members[0].Owned, w.group.Members[0].Generation = map[string][]int32{"a": {0, 1}}, 3
	w.group.Members[1].Owned, w.group.Members[1].Generation = map[string][]int32{"a": {0}}, 4
	w.rebalance(t)
	if diff := cmp.Diff(map[int32]string{0: "y", 1: "x"}, w.owners("a")); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
}

// TestNobody: no members, or none that reads anything, make no trouble.
func TestNobody(t *testing.T) {
	if got := balance.Plan(balance.Group{Partitions: map[string]int32{"a": 3}}); len(got) != 0 {
		t.Errorf("shares %v, want none", got)
	}
	g := balance.Group{Members: []balance.Member{{Key: "x", Topics: []string{"gone"}}}, Partitions: map[string]int32{"a": 3}}
	if got := balance.Plan(g); len(got) != 1 || len(got[0].Owned) != 0 {
		t.Errorf("shares %v, want an empty one", got)
	}
}

func BenchmarkPlan(b *testing.B) {
	w := newWorld(1000, "a", "b")
	w.group.Standbys = 1
	for i := range 50 {
		w.join(fmt.Sprint("m", i), "a", "b")
	}
	for b.Loop() {
		balance.Plan(w.group)
	}
}
