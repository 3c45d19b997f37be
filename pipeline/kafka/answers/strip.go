package answers

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Where the parts of a record batch are (https://kafka.apache.org/documentation/#recordbatch), and what is looked at in answers.
const (
	lengthAt    = 8 // of what stands behind it
	magicAt     = 16
	crcAt       = 17 // Castagnoli, of what stands behind it
	attributeAt = 21
	recordsAt   = 61
	magic       = 2
	codecBits   = 7 // of the attributes: 0 for none

	// leastRecords is how many bytes the records of a batch have at least for it to get a stub.
	leastRecords = 512
	// leastVersion is the first version of the protocol that has batches of this kind. The last is that of the client's library.
	leastVersion = 4
)

// strip appends to text the answer a as it would be if its batches had stubs in place of their records, and keeps these. ok is false where it
// isn't known how, or where that makes it hardly smaller: nothing is kept then.
func (m *Memory) strip(text []byte, a *answer, version int16, c *conn) (stripped []byte, ok bool) {
	resp := kmsg.NewPtrFetchResponse()
	if version < leastVersion || version > resp.MaxVersion() {
		return nil, false
	}
	resp.SetVersion(version)
	head := headBytes
	if resp.IsFlexible() {
		if head++; a.buf[head-1] != 0 { // tags, of which there are none yet
			return nil, false
		}
	}
	if resp.UnsafeReadFrom(a.buf[head:]) != nil {
		return nil, false
	}
	want := len(a.buf)
	s := stripper{table: m.table, stub: m.newStub()}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			p := &resp.Topics[i].Partitions[j]
			want -= fieldBytes(p.RecordBatches, resp.IsFlexible())
			p.RecordBatches = s.batches(p.RecordBatches)
			want += fieldBytes(p.RecordBatches, resp.IsFlexible())
		}
	}
	if want > len(a.buf)/2 {
		return nil, false
	}
	text = resp.AppendTo(append(text, a.buf[:head]...))
	if len(text) != want { // there was something in it that the library doesn't know
		return nil, false
	}
	binary.BigEndian.PutUint32(text, uint32(len(text)-4))
	m.keep(a, &s, c)
	return text, true
}

// fieldBytes returns how much a field of bytes takes with its length.
func fieldBytes(field []byte, flexible bool) int {
	if !flexible {
		return 4 + len(field)
	}
	return (bits.Len(uint(len(field)+1))+6)/7 + len(field)
}

// stripper makes batches with stubs.
type stripper struct {
	table   *crc32.Table
	stub    []byte   // of the answer
	records [][]byte // by number of the batch: what its stub stands for
}

// batches returns those of a partition with stubs. What doesn't get one is as it was, but for the cut one at the end.
func (s *stripper) batches(text []byte) []byte {
	var out []byte
	rest, before := text, len(s.records)
	for len(rest) >= recordsAt {
		size := lengthAt + 4 + int(int32(binary.BigEndian.Uint32(rest[lengthAt:])))
		if size < recordsAt || rest[magicAt] != magic {
			break
		}
		if size > len(rest) { // its beginning tells the client that it is cut, and that is all that it looks at
			rest = rest[:recordsAt]
			break
		}
		if batch := rest[:size]; s.takes(batch) {
			out = s.append(out, batch)
		} else {
			out = append(out, batch...)
		}
		rest = rest[size:]
	}
	if len(s.records) == before {
		return text
	}
	return append(out, rest...)
}

// takes reports whether the records of a batch get a stub: those that the client gives to its decompressor. It is for the client to refuse what has a wrong sum.
func (s *stripper) takes(batch []byte) bool {
	return binary.BigEndian.Uint16(batch[attributeAt:])&codecBits != 0 && len(batch)-recordsAt >= leastRecords &&
		crc32.Checksum(batch[attributeAt:], s.table) == binary.BigEndian.Uint32(batch[crcAt:])
}

// append adds a batch with a stub to out.
func (s *stripper) append(out, batch []byte) []byte {
	start := len(out)
	out = append(out, batch[:recordsAt]...)
	out = append(out, s.stub...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(s.records)))
	s.records = append(s.records, batch[recordsAt:])
	made := out[start:]
	binary.BigEndian.PutUint32(made[lengthAt:], uint32(len(made)-lengthAt-4))
	binary.BigEndian.PutUint32(made[crcAt:], crc32.Checksum(made[attributeAt:], s.table))
	return out
}
