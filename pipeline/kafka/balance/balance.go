// Package balance decides which member of a consumer group works on which partitions, and who keeps a warm copy of
// whose state. It is a pure function of what the members tell: it knows no broker and no clock.
//
// The unit is a slot: partition n of all topics. A slot is never split, because one worker with one state reads partition n of
// all of them.
package balance

import (
	"cmp"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
)

// Member is what one member of the group tells of itself.
type Member struct {
	// Key names the member; it is the same after a restart where membership is static. Unique.
	Key string
	// Topics are those that it reads.
	Topics []string
	// Owned are the partitions that it works on now, by topic, and Generation the last generation of the group that it
	// knew, -1 for none. It may also own nothing.
	Owned      map[string][]int32
	Generation int32
	// Warm says for partition numbers up to which offset of the changelog the member has their state on disk.
	Warm map[int32]int64
}

// Group is what a plan is made for.
type Group struct {
	Members    []Member
	Partitions map[string]int32 // number of partitions of each topic
	Standbys   int              // number of members that shall keep a copy of each slot's state
}

// Share is one member's part of a plan.
type Share struct {
	// Owned are the partitions that it works on, by topic, ascending. What another member has yet to give up isn't there: it
	// comes with the plan after that.
	Owned map[string][]int32
	// Standby are the partition numbers whose state it keeps a copy of, ascending. None of them is in Owned.
	Standby []int32
}

// Plan shares the partitions out, one Share per member in the order of g.Members. The result depends on g alone, not on
// the order of anything in it.
//
// Members that share topics get numbers of slots that differ by one at most. As few slots as possible move away from members
// that own them. A slot that nobody owns goes to the member that has the most of its state, where that keeps the balance. Topics that the
// owner of a slot doesn't read are assigned to nobody: they wait until all members read them, as in the middle of a rolling upgrade.
func Plan(g Group) []Share {
	shares := make([]Share, len(g.Members))
	for i := range shares {
		shares[i].Owned = map[string][]int32{}
	}
	for _, topics := range components(g) {
		p := newPlanner(g, topics)
		p.claim()
		p.place()
		p.level()
		p.share(shares)
		p.standBy(shares)
	}
	for i := range shares {
		for _, numbers := range shares[i].Owned {
			slices.Sort(numbers)
		}
		slices.Sort(shares[i].Standby)
	}
	return shares
}

// components returns the topics in sets: those that are read by one member belong together.
func components(g Group) [][]string {
	set := map[string]string{} // topic: the least topic of its set
	for topic := range g.Partitions {
		set[topic] = topic
	}
	for changed := true; changed; {
		changed = false
		for _, m := range g.Members {
			least := ""
			for _, topic := range m.Topics {
				if s, ok := set[topic]; ok && (least == "" || s < least) {
					least = s
				}
			}
			for _, topic := range m.Topics {
				if s, ok := set[topic]; ok && s != least {
					set[topic], changed = least, true
				}
			}
		}
	}
	by := map[string][]string{}
	for _, topic := range slices.Sorted(maps.Keys(set)) {
		by[set[topic]] = append(by[set[topic]], topic)
	}
	var sets [][]string
	for _, least := range slices.Sorted(maps.Keys(by)) {
		sets = append(sets, by[least])
	}
	return sets
}

// nobody is the owner of a slot that has none.
const nobody = -1

// planner makes the plan of one component. Members are indexes into group.Members.
type planner struct {
	group   Group
	topics  []string
	members []int // those that read any of the topics, by key
	slots   []slot
	load    map[int]int // by member: number of slots
}

// slot is partition number n of all topics of the component.
type slot struct {
	claims []int // members that own a part of it now, the best claim first
	owner  int
	fresh  bool // the owner did not own it before
}

func newPlanner(g Group, topics []string) *planner {
	p := &planner{group: g, topics: topics, load: map[int]int{}}
	for i, m := range g.Members {
		if slices.ContainsFunc(topics, func(t string) bool { return slices.Contains(m.Topics, t) }) {
			p.members = append(p.members, i)
		}
	}
	slices.SortFunc(p.members, func(a, b int) int { return cmp.Compare(g.Members[a].Key, g.Members[b].Key) })
	var most int32
	for _, topic := range topics {
		most = max(most, g.Partitions[topic])
	}
	p.slots = make([]slot, most)
	for n := range p.slots {
		p.slots[n].owner = nobody
	}
	return p
}

// reads reports whether a member reads any topic of a slot.
func (p *planner) reads(member, n int) bool {
	return slices.ContainsFunc(p.group.Members[member].Topics, func(t string) bool {
		return slices.Contains(p.topics, t) && int32(n) < p.group.Partitions[t]
	})
}

// owns reports whether a member owns a partition now.
func (p *planner) owns(member int, topic string, n int) bool {
	return slices.Contains(p.group.Members[member].Owned[topic], int32(n))
}

// claim gives each slot to the member that owns it now. Of several the one that saw the newest generation of the group has
// it, of equal ones the one that owns most of the slot.
func (p *planner) claim() {
	for n := range p.slots {
		s := &p.slots[n]
		parts := map[int]int{}
		for _, i := range p.members {
			for _, topic := range p.topics {
				if p.owns(i, topic, n) && int32(n) < p.group.Partitions[topic] && slices.Contains(p.group.Members[i].Topics, topic) {
					parts[i]++
				}
			}
			if parts[i] > 0 {
				s.claims = append(s.claims, i)
			}
		}
		if len(s.claims) == 0 {
			continue
		}
		slices.SortStableFunc(s.claims, func(a, b int) int {
			return cmp.Or(cmp.Compare(p.group.Members[b].Generation, p.group.Members[a].Generation), cmp.Compare(parts[b], parts[a]))
		})
		s.owner = s.claims[0]
		p.load[s.owner]++
	}
}

// place gives away the slots that nobody owns: first to members that have their state, up to the even share, then to
// whoever has least.
func (p *planner) place() {
	if len(p.members) == 0 {
		return
	}
	even := (len(p.slots) + len(p.members) - 1) / len(p.members)
	for n := range p.slots {
		if p.slots[n].owner != nobody {
			continue
		}
		best, far := nobody, int64(-1)
		for _, i := range p.members {
			if at, ok := p.group.Members[i].Warm[int32(n)]; ok && at > far && p.load[i] < even && p.reads(i, n) {
				best, far = i, at
			}
		}
		if best != nobody {
			p.give(n, best)
		}
	}
	for n := range p.slots {
		if p.slots[n].owner != nobody {
			continue
		}
		best := nobody
		for _, i := range p.members {
			if p.reads(i, n) && (best == nobody || p.load[i] < p.load[best]) {
				best = i
			}
		}
		if best != nobody {
			p.give(n, best)
		}
	}
}

func (p *planner) give(n, member int) {
	s := &p.slots[n]
	if s.owner != nobody {
		p.load[s.owner]--
	}
	s.owner = member
	s.fresh = len(s.claims) == 0 || s.claims[0] != member
	p.load[member]++
}

// level moves slots from those that have most to those that have least until they differ by one at most.
func (p *planner) level() {
	for p.levelOnce() {
	}
}

// levelOnce makes the best single move, if there is one: between those that have most and least, and only where that doesn't go
// because they don't read the same topics between any others.
func (p *planner) levelOnce() bool {
	most, least := 0, len(p.slots)
	for _, i := range p.members {
		most, least = max(most, p.load[i]), min(least, p.load[i])
	}
	return most-least >= 2 && (p.move(most, least) || p.move(0, len(p.slots)))
}

// move makes the best single move from a member with at least so many slots to one with at most so many.
func (p *planner) move(most, least int) bool {
	type move struct{ n, to, gain, cost int }
	best := move{n: nobody}
	for n := range p.slots {
		from := p.slots[n].owner
		if from == nobody || p.load[from] < most {
			continue
		}
		for _, to := range p.members {
			gain := p.load[from] - p.load[to]
			if p.load[to] > least || gain < 2 || !p.reads(to, n) {
				continue
			}
			m := move{n: n, to: to, gain: gain, cost: p.cost(n, from, to)}
			if best.n == nobody || m.gain > best.gain || m.gain == best.gain && m.cost < best.cost {
				best = m
			}
		}
	}
	if best.n == nobody {
		return false
	}
	p.give(best.n, best.to)
	return true
}

// cost says how bad it is to move a slot: best is one that isn't worked on yet, then one whose state the receiver has.
func (p *planner) cost(n, from, to int) int {
	cost := 0
	at, warm := p.group.Members[to].Warm[int32(n)]
	if !p.slots[n].fresh {
		cost += 4
	}
	if !warm {
		cost += 2
	}
	if had, ok := p.group.Members[from].Warm[int32(n)]; p.slots[n].fresh && ok && (!warm || had > at) {
		cost++
	}
	return cost
}

// share writes the plan down. Where another member has yet to give a part of the slot up, the new owner gets no more of it
// than it has.
func (p *planner) share(shares []Share) {
	for n, s := range p.slots {
		if s.owner == nobody {
			continue
		}
		waits := slices.ContainsFunc(s.claims, func(i int) bool { return i != s.owner })
		for _, topic := range p.topics {
			if int32(n) >= p.group.Partitions[topic] || !slices.Contains(p.group.Members[s.owner].Topics, topic) {
				continue
			}
			if !waits || p.owns(s.owner, topic, n) {
				shares[s.owner].Owned[topic] = append(shares[s.owner].Owned[topic], int32(n))
			}
		}
	}
}

// standBy chooses who keeps copies of each slot's state: who has most of it already, up to an even share, then whoever keeps least.
func (p *planner) standBy(shares []Share) {
	copies := min(p.group.Standbys, len(p.members)-1)
	if copies <= 0 {
		return
	}
	even := (len(p.slots)*copies + len(p.members) - 1) / len(p.members)
	kept := make([]int, len(p.slots))
	load := map[int]int{}
	for _, warmOnly := range []bool{true, false} {
		for n, s := range p.slots {
			if s.owner == nobody {
				continue
			}
			for _, i := range p.candidates(n, load, warmOnly) {
				_, warm := p.group.Members[i].Warm[int32(n)]
				if kept[n] < copies && (!warmOnly || warm && load[i] < even) && !slices.Contains(shares[i].Standby, int32(n)) {
					shares[i].Standby = append(shares[i].Standby, int32(n))
					load[i]++
					kept[n]++
				}
			}
		}
	}
}

// candidates are the members that could keep a copy of a slot: by how much of its state they have, or else by how few copies they
// keep so far; then by a hash, so that the copies of one member's slots are spread over the others.
func (p *planner) candidates(n int, load map[int]int, byState bool) []int {
	var out []int
	for _, i := range p.members {
		if i != p.slots[n].owner && p.reads(i, n) {
			out = append(out, i)
		}
	}
	state := func(i int) int64 {
		if at, ok := p.group.Members[i].Warm[int32(n)]; ok && byState {
			return at
		}
		return -1
	}
	key := func(i int) string { return p.group.Members[i].Key }
	slices.SortStableFunc(out, func(a, b int) int {
		return cmp.Or(cmp.Compare(state(b), state(a)), cmp.Compare(load[a], load[b]), cmp.Compare(score(key(b), n), score(key(a), n)))
	})
	return out
}

// score is the rendezvous hash of a member and a slot.
func score(key string, n int) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(strconv.AppendInt(append([]byte(key), 0), int64(n), 10)) // never fails
	x := h.Sum64()                                                          // FNV's low bits follow its input: mix them
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}
