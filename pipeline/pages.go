package pipeline

import (
	"encoding/binary"
	"slices"

	"github.com/weir-eql/weir/state"
)

// The events that wait and the watermarks of hosts are many and change with every commit. So they are kept in pages: a
// record of the state holds a page of them, and a commit writes the pages in which something changed. What a page holds is
// exact: an event stands in one page from the commit that it outlived until it is fed.
//
// Numbers of pages are used again, so that keys are overwritten and not deleted: a tombstone costs a store more.
const (
	eventsPerPage = 512
	hostsPerPage  = 32
)

// eventPage is a page of waiting events, in the order in which they came.
type eventPage struct {
	number uint32
	events []entry // also such as have gone meanwhile
	live   int     // events that still wait
	stored bool    // the store has a record of it
	dirty  bool
}

// hostPage is a page of the watermarks of hosts with something pending.
type hostPage struct {
	number uint32
	hosts  []*host
	stored bool // the store has a record of it
	dirty  bool
	open   bool // it is among those with room
}

// pages are all pages of a partition, by number.
type pages struct {
	events     []*eventPage
	filling    *eventPage // takes the next event; nil: none
	dirty      []*eventPage
	hosts      []*hostPage
	open       []*hostPage // have room
	dirtyHosts []*hostPage
	kinds      map[string]*eventKind
	stamp      uint64 // of the page that is written
	scratch    []byte
	key        []byte
}

// eventKind is what many waiting events have in common. It stands once in a page.
type eventKind struct {
	topic     string
	partition int32
	field     string   // the rules' timestamp_field; empty: @timestamp
	rules     []uint64 // hashes of the rules that the event waits for
	stamp     uint64   // the page in which it stands already
	index     uint64   // its place there
}

// maxKinds is the number of kinds from which they are made anew: rules come and go.
const maxKinds = 4096

func newPages() pages { return pages{kinds: map[string]*eventKind{}} }

// clearDirty forgets what is dirty, after it was written.
func (p *pages) clearDirty() {
	for _, page := range p.dirty {
		page.dirty, page.stored = false, page.live > 0
	}
	for _, page := range p.dirtyHosts {
		page.dirty, page.stored = false, len(page.hosts) > 0
	}
	p.dirty, p.dirtyHosts = p.dirty[:0], p.dirtyHosts[:0]
}

func (p *pages) touch(page *eventPage) {
	if !page.dirty {
		page.dirty = true
		p.dirty = append(p.dirty, page)
	}
}

func (p *pages) touchHosts(page *hostPage) {
	if !page.dirty {
		page.dirty = true
		p.dirtyHosts = append(p.dirtyHosts, page)
	}
}

// add puts an event into a page.
func (p *pages) add(b *buffered) {
	if p.filling == nil || len(p.filling.events) >= eventsPerPage {
		p.filling = p.emptyPage()
	}
	page := p.filling
	page.events = append(page.events, entry{b, b.number})
	page.live++
	b.page = page
	p.touch(page)
}

func (p *pages) emptyPage() *eventPage {
	for _, page := range p.events {
		if page.live == 0 {
			page.events = page.events[:0]
			return page
		}
	}
	return p.eventPage(uint32(len(p.events)))
}

// eventPage returns the page of a number, made where it isn't there.
func (p *pages) eventPage(number uint32) *eventPage {
	for n := len(p.events); n <= int(number); n++ {
		p.events = append(p.events, &eventPage{number: uint32(n)})
	}
	return p.events[number]
}

// remove takes an event out that waits no more.
func (p *pages) remove(b *buffered) {
	page := b.page
	if page == nil {
		return
	}
	b.page = nil
	page.live--
	if page.live == 0 {
		clear(page.events)
		page.events = page.events[:0]
	}
	p.touch(page)
}

// addHost puts a host into a page with room.
func (p *pages) addHost(h *host) {
	for len(p.open) > 0 && len(p.open[len(p.open)-1].hosts) >= hostsPerPage {
		p.open[len(p.open)-1].open = false
		p.open = p.open[:len(p.open)-1]
	}
	if len(p.open) == 0 {
		p.offer(p.hostPage(uint32(len(p.hosts))))
	}
	page := p.open[len(p.open)-1]
	p.placeHost(page, h)
	p.touchHosts(page)
}

func (p *pages) placeHost(page *hostPage, h *host) {
	h.page, h.slot = page, uint8(len(page.hosts))
	page.hosts = append(page.hosts, h)
}

// hostPage returns the page of a number, made where it isn't there.
func (p *pages) hostPage(number uint32) *hostPage {
	for n := len(p.hosts); n <= int(number); n++ {
		p.hosts = append(p.hosts, &hostPage{number: uint32(n)})
	}
	return p.hosts[number]
}

// offer notes that a page has room.
func (p *pages) offer(page *hostPage) {
	if !page.open {
		page.open = true
		p.open = append(p.open, page)
	}
}

// removeHost takes a host out that nothing waits for any more.
func (p *pages) removeHost(h *host) {
	page := h.page
	last := len(page.hosts) - 1
	moved := page.hosts[last]
	page.hosts[h.slot], moved.slot = moved, h.slot
	page.hosts[last] = nil
	page.hosts = page.hosts[:last]
	h.page = nil
	p.offer(page)
	p.touchHosts(page)
}

// changePages writes the pages that have changed to the overlay. It may be called again before the commit.
func (w *Worker) changePages() {
	for _, e := range w.addedBuffers {
		if e.waits() && e.event.page == nil {
			w.pages.add(e.event)
		}
	}
	for _, h := range w.dirtyHosts {
		switch {
		case h.pending() && h.page == nil:
			w.pages.addHost(h)
		case h.pending():
			w.pages.touchHosts(h.page)
		case h.page != nil:
			w.pages.removeHost(h)
		}
	}
	p := &w.pages
	for _, page := range p.dirty {
		if page.live > 0 {
			value := w.eventPageValue(page)
			w.overlay.Put(p.pageKey(state.FamilyWaiting, page.number), value)
		} else if page.stored {
			w.overlay.Delete(p.pageKey(state.FamilyWaiting, page.number))
		}
	}
	for _, page := range p.dirtyHosts {
		if len(page.hosts) > 0 {
			value := p.hostPageValue(page)
			w.overlay.Put(p.pageKey(state.FamilyMarks, page.number), value)
		} else if page.stored {
			w.overlay.Delete(p.pageKey(state.FamilyMarks, page.number))
		}
	}
}

// pageKey returns the key of a page; it is valid until the next call.
func (p *pages) pageKey(f state.Family, number uint32) []byte {
	p.key = state.AppendPageKey(p.key[:0], f, number)
	return p.key
}

// kindOf returns what an event has in common with others.
func (w *Worker) kindOf(b *buffered) *eventKind {
	if b.kind != nil {
		return b.kind
	}
	p := &w.pages
	key := appendName(p.key[:0], b.ref.Topic)
	key = binary.AppendVarint(key, int64(b.ref.Partition))
	key = appendName(key, b.field)
	from := len(key)
	for i := range b.cands {
		if i == 0 || b.cands[i].rule != b.cands[i-1].rule { // those of one rule are neighbours
			key = binary.BigEndian.AppendUint64(key, ruleHash(b.cands[i].rule))
		}
	}
	p.key = key
	kind, ok := p.kinds[string(key)]
	if !ok {
		if len(p.kinds) >= maxKinds {
			clear(p.kinds)
		}
		kind = &eventKind{topic: b.ref.Topic, partition: b.ref.Partition, field: b.field}
		for rest := key[from:]; len(rest) > 0; rest = rest[8:] {
			kind.rules = append(kind.rules, binary.BigEndian.Uint64(rest))
		}
		p.kinds[string(key)] = kind
	}
	b.kind = kind
	return kind
}

// eventPageValue encodes a page: the number of its kinds, the kinds, then each event as its kind with a bit that says
// whether its evidence is in the store, and the differences of offset and time to the event before.
func (w *Worker) eventPageValue(page *eventPage) []byte {
	p := &w.pages
	if len(page.events) > 2*page.live {
		page.events = slices.DeleteFunc(page.events, func(e entry) bool { return !e.in(page) })
	}
	p.stamp++
	kinds := uint64(0)
	for _, e := range page.events {
		if e.in(page) {
			if k := w.kindOf(e.event); k.stamp != p.stamp {
				k.stamp, k.index = p.stamp, kinds
				kinds++
			}
		}
	}
	dst := binary.AppendUvarint(state.AppendVersion(p.scratch[:0]), kinds)
	next := uint64(0)
	for _, e := range page.events {
		if e.in(page) && e.event.kind.index == next {
			dst = e.event.kind.append(dst)
			next++
		}
	}
	var offset, at int64
	for _, entered := range page.events {
		if !entered.in(page) {
			continue
		}
		b := entered.event
		head := b.kind.index << 1
		if e := b.evidence; e != nil && (e.stored || e.storing) {
			head |= 1
		}
		dst = binary.AppendUvarint(dst, head)
		dst = binary.AppendVarint(dst, b.ref.Offset-offset)
		dst = binary.AppendVarint(dst, b.ref.Time-at)
		offset, at = b.ref.Offset, b.ref.Time
	}
	p.scratch = dst
	return dst
}

func (k *eventKind) append(dst []byte) []byte {
	dst = appendName(dst, k.topic)
	dst = binary.AppendVarint(dst, int64(k.partition))
	dst = appendName(dst, k.field)
	dst = binary.AppendUvarint(dst, uint64(len(k.rules)))
	for _, hash := range k.rules {
		dst = binary.BigEndian.AppendUint64(dst, hash)
	}
	return dst
}

func (r *valueReader) kind() *eventKind {
	k := &eventKind{topic: r.name(), partition: int32(r.varint()), field: r.name()}
	for n := r.count(8); n > 0; n-- {
		k.rules = append(k.rules, r.hash())
	}
	return k
}

// hostPageValue encodes a page: each host with its name, newest event time, record clock then, and watermark.
func (p *pages) hostPageValue(page *hostPage) []byte {
	dst := state.AppendVersion(p.scratch[:0])
	for _, h := range page.hosts {
		dst = h.append(dst)
	}
	p.scratch = dst
	return dst
}
