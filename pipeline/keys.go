package pipeline

import (
	"encoding/binary"
	"errors"

	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// What the worker keeps in the state store, key by key. Values carry whole names, because keys hold folded ones:
//
//	partial   host, join key, number, deadline, sequence.State or sample.State
//	waiting   a page of waiting events: eventPageValue
//	evidence  the raw event
//	marks     a page of hosts, each with name, newest event time, record clock then, watermark
//	clock     record clock
//	alert     record clock when the alert was published

var errValue = errors.New("malformed state value")

func ruleHash(c *rules.Compiled) uint64 { return binary.BigEndian.Uint64(c.StateHash[:]) }

// key returns the key of a partial in the store.
func (t *partialTable) key(p *partial) []byte {
	return state.PartialKey{Rule: ruleHash(t.ruleOf(p)), Join: p.join()}.Append(nil)
}

func (at place) key() []byte {
	return state.EvidenceKey{Topic: at.topic, Partition: at.partition, Offset: at.offset}.Append(nil)
}

func appendName(dst []byte, name string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(name))), name...)
}

// valueReader reads a value's parts; the first that is malformed makes err set and all that follow zero.
type valueReader struct {
	rest []byte
	err  error
}

func readValue(value []byte) *valueReader {
	rest, err := state.Payload(value)
	return &valueReader{rest: rest, err: err}
}

func (r *valueReader) fail() {
	if r.err == nil {
		r.err = errValue
	}
	r.rest = nil
}

func (r *valueReader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *valueReader) name() string {
	size, n := binary.Uvarint(r.rest)
	if n <= 0 || size > uint64(len(r.rest)-n) {
		r.fail()
		return ""
	}
	name := string(r.rest[n : n+int(size)])
	r.rest = r.rest[n+int(size):]
	return name
}

func (r *valueReader) unsigned() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// count reads the number of things that follow, each of which takes so many bytes at least.
func (r *valueReader) count(size int) int {
	n := r.unsigned()
	if n > uint64(len(r.rest)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

// hash reads the hash of a rule.
func (r *valueReader) hash() uint64 {
	if len(r.rest) < 8 {
		r.fail()
		return 0
	}
	v := binary.BigEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return v
}

func (h *host) append(dst []byte) []byte {
	dst = appendName(dst, h.name)
	dst = binary.AppendVarint(dst, h.newest)
	dst = binary.AppendVarint(dst, h.newest-h.clockAt)
	return binary.AppendVarint(dst, h.newest-h.mark)
}

// host reads what append wrote.
func (r *valueReader) host() *host {
	h := newHost(r.name())
	h.newest = r.varint()
	h.clockAt, h.mark = h.newest-r.varint(), h.newest-r.varint()
	return h
}

// appendValue appends the value of a partial whose packed state doesn't name topic.
func (t *partialTable) appendValue(dst []byte, p *partial, topic string) []byte {
	join, begun, packed := p.parts()
	dst = appendPartialHead(dst, p.host.name, join, begun, p.at)
	if p.unpacked {
		return t.unpacked[p.id].append(dst)
	}
	return sequence.AppendPacked(dst, topic, packed)
}

func appendPartialHead(dst []byte, host, join string, begun, at int64) []byte {
	dst = appendName(state.AppendVersion(dst), host)
	dst = appendName(dst, join)
	dst = binary.AppendVarint(dst, begun)
	return binary.AppendVarint(dst, at)
}

// storedPartial is a partial as the store has it.
type storedPartial struct {
	rule      *rules.Compiled
	host      string // the one that drives it
	join      string
	begun, at int64
	st        MachineState
}

func (p *storedPartial) value() []byte {
	return p.st.append(appendPartialHead(nil, p.host, p.join, p.begun, p.at))
}

// decode reads the value of a partial of p.rule.
func (p *storedPartial) decode(value []byte) error {
	r := readValue(value)
	p.host, p.join = r.name(), r.name()
	p.begun, p.at = r.varint(), r.varint()
	if r.err != nil {
		return r.err
	}
	var err error
	p.st, err = decodeState(p.rule, r.rest)
	return err
}

func (c *recordClock) value() []byte {
	dst := appendName(state.AppendVersion(nil), c.jumpHost)
	dst = binary.AppendVarint(dst, c.now)
	dst = binary.AppendVarint(dst, c.jump)
	dst = binary.AppendVarint(dst, int64(c.jumpCount))
	dst = binary.AppendVarint(dst, int64(c.young))
	if c.wall != 0 {
		dst = binary.AppendVarint(dst, c.wall)
	}
	return dst
}

func (c *recordClock) decode(value []byte) error {
	r := readValue(value)
	c.started = true
	c.jumpHost = r.name()
	c.now, c.jump, c.jumpCount, c.young = r.varint(), r.varint(), int32(r.varint()), int32(r.varint())
	if c.log = c.now; len(r.rest) > 0 {
		c.wall = r.varint()
	}
	return r.err
}
