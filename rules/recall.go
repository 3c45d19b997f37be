package rules

import (
	"math/bits"
	"slices"

	"github.com/weir-eql/weir/internal/textindex"
)

// recalled says which units a probe finds by a text: names, arguments and the paths of programs come again and again. It fills a line of
// the processor's cache.
type recalled struct {
	probe uint64 // its number; 0 where nothing is recalled
	units [recalledUnits]int32
	size  uint8 // of text
	found uint8 // units
	text  [recalledBytes]byte
}

const (
	recalledUnits = 4
	recalledBytes = 38
	recalledBits  = 10 // a matcher recalls two to the power of these
)

// A probe's credit says whether its texts come again: what isn't recalled costs more than is saved by what is. A probe whose credit is used
// up searches for a while without asking.
const (
	firstCredit = 64
	mostCredit  = 256
	missDebit   = 2
	pause       = 1 << 13 // values
)

// recall calls consider for the units that the probe finds by a text, and reports whether it did. It searches for those that aren't recalled.
func (p *probe) recall(m *Matcher, text string) bool {
	if p.credit <= 0 {
		if p.credit++; p.credit == 0 {
			p.credit = firstCredit
		}
		return false
	}
	if len(text) > recalledBytes {
		return false
	}
	r := &m.recalled[p.hash(text)]
	if r.probe == p.number && string(r.text[:r.size]) == text {
		p.credit = min(p.credit+1, mostCredit)
		for _, u := range r.units[:r.found] {
			m.consider(u)
		}
		return true
	}
	if p.credit -= missDebit; p.credit <= 0 {
		p.credit = -pause
	}
	m.found = m.found[:0]
	p.search(text, m.gather)
	for _, u := range m.found {
		m.consider(u)
	}
	if len(m.found) <= recalledUnits {
		r.probe, r.size, r.found = p.number, uint8(len(text)), uint8(len(m.found))
		copy(r.units[:], m.found)
		copy(r.text[:], text)
	}
	return true
}

// hash says where a text is recalled for a probe: by its last bytes and, where it is longer, those in its middle.
func (p *probe) hash(text string) uint64 {
	n := len(text)
	h := textindex.Mark(text) + uint64(n)
	if n > 8 {
		h ^= bits.RotateLeft64(textindex.Mark(text[:n/2+4]), 23)
	}
	return (h + p.number<<32) * scramble >> (64 - recalledBits)
}

// gatherer returns what gathers the units that a text finds; those that are too many to be recalled are considered at once.
func (m *Matcher) gatherer() func(u int32) bool {
	return func(u int32) bool {
		switch {
		case len(m.found) > recalledUnits:
			m.consider(u)
		case !slices.Contains(m.found, u):
			m.found = append(m.found, u)
		}
		return false
	}
}
