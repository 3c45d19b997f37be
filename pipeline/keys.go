package pipeline

import (
	"encoding/binary"
	"errors"
	"slices"
	"unsafe"

	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// What the worker keeps in the state store, key by key. Values carry whole names, because keys hold folded ones:
//
//	partial   host, join key, number, deadline, sequence.State or sample.State
//	buffered  host, topic, timestamp field, event time and the part below a millisecond, then the hashes of the
//	          rules that it waits for, of 8 bytes each, up to the end
//	evidence  the raw event
//	host      name, newest event time, record clock then, watermark
//	clock     record clock
//	alert     record clock when the alert was published

var errValue = errors.New("malformed state value")

func ruleHash(c *rules.Compiled) uint64 { return binary.BigEndian.Uint64(c.StateHash[:]) }

func appendPartialKey(dst []byte, c *rules.Compiled, join []byte) []byte {
	return state.PartialKey{Rule: ruleHash(c), Join: alias(join)}.Append(dst)
}

// joinOf returns a join key that lives as long as the key of its partial: a part of it, where it wasn't folded.
func joinOf(key string, join []byte) []byte {
	if tail := key[len(key)-min(len(key), len(join)):]; tail == alias(join) {
		return unsafe.Slice(unsafe.StringData(tail), len(tail)) // nobody changes a join key
	}
	return slices.Clone(join)
}

func (at place) key() []byte {
	return state.EvidenceKey{Topic: at.topic, Partition: at.partition, Offset: at.offset}.Append(nil)
}

func (h *host) key() []byte { return state.HostKey{Host: h.name}.Append(nil) }

func (b *buffered) key() []byte {
	topic := b.ref.Topic
	if b.field != "" { // the rules of another timestamp field order the same event elsewhere
		topic += "\x00" + b.field
	}
	return state.BufferedKey{
		Host: state.Fold(b.host.name), Time: b.ref.Time,
		Topic: state.Fold(topic), Partition: b.ref.Partition, Offset: b.ref.Offset,
	}.Append(nil)
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

func (h *host) value() []byte {
	dst := appendName(state.AppendVersion(nil), h.name)
	dst = binary.AppendVarint(dst, h.newest)
	dst = binary.AppendVarint(dst, h.clockAt)
	return binary.AppendVarint(dst, h.mark)
}

func (h *host) decode(value []byte) error {
	r := readValue(value)
	h.name = r.name()
	h.newest, h.clockAt, h.mark = r.varint(), r.varint(), r.varint()
	return r.err
}

func (b *buffered) value() []byte {
	dst := appendName(state.AppendVersion(nil), b.host.name)
	dst = appendName(dst, b.ref.Topic)
	dst = appendName(dst, b.field)
	dst = binary.AppendVarint(dst, b.ref.Time)
	dst = binary.AppendVarint(dst, int64(b.ref.SubMillis))
	for i := range b.cands {
		if i == 0 || b.cands[i].rule != b.cands[i-1].rule { // those of one rule are neighbours
			dst = binary.BigEndian.AppendUint64(dst, ruleHash(b.cands[i].rule))
		}
	}
	return dst
}

// decode reads the value of a buffered event into b, and returns the name of its host and the hashes of the rules
// that it waits for.
func (b *buffered) decode(value []byte) (hostName string, waiting []uint64, err error) {
	r := readValue(value)
	hostName, b.ref.Topic, b.field = r.name(), r.name(), r.name()
	b.ref.Time, b.ref.SubMillis = r.varint(), int32(r.varint())
	for len(r.rest) >= 8 {
		waiting = append(waiting, binary.BigEndian.Uint64(r.rest))
		r.rest = r.rest[8:]
	}
	if len(r.rest) > 0 {
		r.fail()
	}
	return hostName, waiting, r.err
}

func (p *partial) value() []byte {
	dst := appendName(state.AppendVersion(nil), p.host.name)
	dst = appendName(dst, string(p.join))
	dst = binary.AppendVarint(dst, p.begun)
	dst = binary.AppendVarint(dst, p.at)
	return p.st.append(dst)
}

// decode reads the value of a partial of p.rule, and returns the name of the host that drives it.
func (p *partial) decode(value []byte) (hostName string, err error) {
	r := readValue(value)
	hostName = r.name()
	p.join = []byte(r.name())
	p.begun, p.at = r.varint(), r.varint()
	if r.err != nil {
		return "", r.err
	}
	if p.st, err = decodeState(p.rule, r.rest); err != nil {
		return "", err
	}
	return hostName, nil
}

func (c *recordClock) value() []byte {
	dst := appendName(state.AppendVersion(nil), c.jumpHost)
	dst = binary.AppendVarint(dst, c.now)
	dst = binary.AppendVarint(dst, c.jump)
	dst = binary.AppendVarint(dst, int64(c.jumpCount))
	return binary.AppendVarint(dst, int64(c.young))
}

func (c *recordClock) decode(value []byte) error {
	r := readValue(value)
	c.started = true
	c.jumpHost = r.name()
	c.now, c.jump, c.jumpCount, c.young = r.varint(), r.varint(), int32(r.varint()), int32(r.varint())
	return r.err
}
