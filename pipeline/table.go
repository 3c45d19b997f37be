package pipeline

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"iter"
	"math"
	"slices"
	"strings"
	"unsafe"

	"github.com/weir-eql/weir/rules"
)

// partialID is the place of a partial in its table; 0 is none.
type partialID uint32

// partial is what is live of one rule under one join key. A partition may have a million of them, so they lie side by side
// in memory, know each other by number, and keep their state packed. One is valid until the table removes it.
type partial struct {
	body string // the join key, its number in the order in which partials began, the packed state
	host *host
	at   int64 // deadline of its timer; math.MaxInt64: none
	id   partialID
	rule uint32    // number of the rule
	hash uint32    // of rule and join key
	next partialID // the next one of the same hash

	ofRule, ofAll links      // neighbours by age
	timer         timerLinks // neighbours in its host's timers

	stored   bool // the store has a record of it
	dirty    bool // its record has to change with the next commit
	listed   bool // it is in the worker's list of those that may be dirty, or what was here before it is
	unpacked bool // its state is in the table's map, not in its body
}

// links are the neighbours in a list that is ordered by age.
type links struct{ older, newer partialID }

// ageList is a list of partials in the order in which they began.
type ageList struct {
	oldest, newest partialID
	live           int
}

// partialTable holds the partials of a partition. To find, add and remove one and to name the oldest takes the same time
// however many there are. It belongs to one goroutine. Iteration follows age, never the hashes: what a worker does must not
// depend on the seed of its hashes.
type partialTable struct {
	rules  []*rules.Compiled
	seed   maphash.Seed
	chunks []*[chunkSize]partial
	used   int       // places handed out so far, place 0 included
	free   partialID // places that were given back, linked by next
	byHash map[uint32]partialID
	byRule []ageList
	all    ageList
	// The states that are not packed: those of samples, and large ones.
	unpacked map[partialID]*MachineState
}

const (
	chunkBits = 10
	chunkSize = 1 << chunkBits
)

func newPartialTable(set []*rules.Compiled) *partialTable {
	return &partialTable{
		rules: set, seed: maphash.MakeSeed(), used: 1,
		byHash: map[uint32]partialID{}, byRule: make([]ageList, len(set)), unpacked: map[partialID]*MachineState{},
	}
}

// at returns a partial by its number, which isn't 0.
func (t *partialTable) at(id partialID) *partial { return &t.chunks[id>>chunkBits][id&(chunkSize-1)] }

func (t *partialTable) len() int { return t.all.live }

// ruleOf returns the rule of a partial.
func (t *partialTable) ruleOf(p *partial) *rules.Compiled { return t.rules[p.rule] }

// hash returns the hash by which the partial of a rule and a join key is found.
func (t *partialTable) hash(c *rules.Compiled, join []byte) uint32 {
	h := maphash.Bytes(t.seed, join) ^ ruleHash(c)
	return uint32(h ^ h>>32)
}

// find returns the partial of a rule and a join key, nil where there is none.
func (t *partialTable) find(hash uint32, c *rules.Compiled, join []byte) *partial {
	for id := t.byHash[hash]; id != 0; {
		p := t.at(id)
		if p.rule == uint32(c.Number) && p.join() == alias(join) {
			return p
		}
		id = p.next
	}
	return nil
}

// add makes room for a new partial, younger than all others, which has no body yet.
func (t *partialTable) add(hash uint32, c *rules.Compiled, h *host) *partial {
	id := t.free
	if id != 0 {
		t.free = t.at(id).next
	} else {
		if t.used>>chunkBits == len(t.chunks) {
			t.chunks = append(t.chunks, new([chunkSize]partial))
		}
		id = partialID(t.used)
		t.used++
	}
	p := t.at(id)
	*p = partial{id: id, host: h, at: math.MaxInt64, rule: uint32(c.Number), hash: hash, next: t.byHash[hash], listed: p.listed}
	t.byHash[hash] = id
	t.push(&t.all, p, (*partial).inAll)
	t.push(&t.byRule[p.rule], p, (*partial).inRule)
	return p
}

// remove takes a partial out, whose timer was stopped.
func (t *partialTable) remove(p *partial) {
	t.cut(&t.all, p, (*partial).inAll)
	t.cut(&t.byRule[p.rule], p, (*partial).inRule)
	if first := t.byHash[p.hash]; first != p.id {
		before := t.at(first)
		for before.next != p.id {
			before = t.at(before.next)
		}
		before.next = p.next
	} else if p.next != 0 {
		t.byHash[p.hash] = p.next
	} else {
		delete(t.byHash, p.hash)
	}
	if p.unpacked {
		delete(t.unpacked, p.id)
	}
	*p = partial{id: p.id, listed: p.listed, next: t.free}
	t.free = p.id
}

// dead reports whether the partial was removed.
func (p *partial) dead() bool { return p.host == nil }

func (p *partial) inAll() *links  { return &p.ofAll }
func (p *partial) inRule() *links { return &p.ofRule }

// push adds a partial to a list as its newest; in returns the partial's place in this list.
func (t *partialTable) push(l *ageList, p *partial, in func(*partial) *links) {
	*in(p) = links{older: l.newest}
	if l.newest != 0 {
		in(t.at(l.newest)).newer = p.id
	} else {
		l.oldest = p.id
	}
	l.newest = p.id
	l.live++
}

// cut takes a partial out of a list.
func (t *partialTable) cut(l *ageList, p *partial, in func(*partial) *links) {
	n := *in(p)
	if n.older != 0 {
		in(t.at(n.older)).newer = n.newer
	} else {
		l.oldest = n.newer
	}
	if n.newer != 0 {
		in(t.at(n.newer)).older = n.older
	} else {
		l.newest = n.older
	}
	l.live--
}

// oldest returns the oldest partial of a list that isn't empty.
func (t *partialTable) oldest(l *ageList) *partial { return t.at(l.oldest) }

// byAge yields the partials, the oldest first. The one that was yielded may be removed meanwhile, no other.
func (t *partialTable) byAge() iter.Seq[*partial] {
	return func(yield func(*partial) bool) {
		for id := t.all.oldest; id != 0; {
			p := t.at(id)
			id = p.ofAll.newer
			if !yield(p) {
				return
			}
		}
	}
}

// setRules gives the partials of rules that are in another set too to that set, and calls drop, which removes them, for the rest.
func (t *partialTable) setRules(set []*rules.Compiled, next map[uint64]*rules.Compiled, drop func(*partial)) {
	for p := range t.byAge() {
		if next[ruleHash(t.ruleOf(p))] == nil {
			drop(p)
		}
	}
	byRule := make([]ageList, len(set))
	for p := range t.byAge() {
		p.rule = uint32(next[ruleHash(t.ruleOf(p))].Number)
		t.push(&byRule[p.rule], p, (*partial).inRule)
	}
	t.rules, t.byRule = set, byRule
}

// sortByAge brings the lists in the order of the partials' numbers.
func (t *partialTable) sortByAge() {
	type numbered struct {
		begun int64
		id    partialID
	}
	ps := make([]numbered, 0, t.len())
	for p := range t.byAge() {
		_, begun, _ := p.parts()
		ps = append(ps, numbered{begun, p.id})
	}
	slices.SortFunc(ps, func(a, b numbered) int { return cmp.Compare(a.begun, b.begun) })
	t.all, t.byRule = ageList{}, make([]ageList, len(t.rules))
	for _, n := range ps {
		p := t.at(n.id)
		t.push(&t.all, p, (*partial).inAll)
		t.push(&t.byRule[p.rule], p, (*partial).inRule)
	}
}

// compare orders partials by rule and join key, so that the order of decisions doesn't depend on history that isn't kept.
func (t *partialTable) compare(p, q *partial) int {
	if p.rule != q.rule {
		if c := cmp.Compare(ruleHash(t.ruleOf(p)), ruleHash(t.ruleOf(q))); c != 0 {
			return c
		}
	}
	return strings.Compare(p.join(), q.join())
}

// appendBody appends what the body of a partial begins with. The packed state follows.
func appendBody(dst []byte, join string, begun int64) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(join)))
	dst = append(dst, join...)
	return binary.AppendVarint(dst, begun)
}

// join returns the join key. It stays valid whatever becomes of the partial: a body never changes, it is replaced.
func (p *partial) join() string {
	join, _ := cutJoin(p.body)
	return join
}

// parts returns the join key, the number and the packed state.
func (p *partial) parts() (join string, begun int64, packed []byte) {
	join, rest := cutJoin(p.body)
	begun, n := binary.Varint(bytesOf(rest))
	return join, begun, bytesOf(rest)[n:]
}

func cutJoin(body string) (join, rest string) {
	size, n := binary.Uvarint(bytesOf(body))
	end := n + int(size)
	return body[n:end], body[end:]
}

// bytesOf returns the bytes of text, which nobody may change.
func bytesOf(text string) []byte { return unsafe.Slice(unsafe.StringData(text), len(text)) }
