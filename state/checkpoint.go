package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// CodecVersion is the version of everything that this package and its users encode: checkpoints, keys and the
// values that AppendVersion begins. A store of another version is rebuilt from the changelog.
const CodecVersion = 2

// oldestVersion is the oldest version of a value that this program reads: version 2 has other families of keys, and
// values of the families that both have are the same.
const oldestVersion = 1

// ErrVersion says that a value was written by another version of the codec.
var ErrVersion = errors.New("unknown codec version")

// AppendVersion begins a value: every value in the store and on the changelog starts with the version of the
// codec that wrote it, because a changelog outlives the program that filled it.
func AppendVersion(dst []byte) []byte { return append(dst, CodecVersion) }

// Payload returns what follows the version of a value, sharing its memory, or ErrVersion.
func Payload(value []byte) ([]byte, error) {
	if len(value) == 0 {
		return nil, fmt.Errorf("%w: empty value", ErrVersion)
	}
	if value[0] < oldestVersion || value[0] > CodecVersion {
		return nil, fmt.Errorf("%w %d, this program reads %d to %d", ErrVersion, value[0], oldestVersion, CodecVersion)
	}
	return value[1:], nil
}

// Checkpoint says up to where the state of a partition is complete, and of which source.
type Checkpoint struct {
	// Version is the codec version of the state. Apply sets it.
	Version uint16
	// Cluster and Topic say where the state came from: the id of the cluster, and the ids of the topics. State of
	// another identity is of no use.
	Cluster, Topic string
	// Inputs has the next offset to read, by input topic.
	Inputs map[string]int64
	// Changelog is the next offset to read on the changelog partition.
	Changelog int64
	// At is when the checkpoint was written, in milliseconds since the epoch, by the clock of the caller.
	At int64
	// Epoch is that of the owner of the last whole batch of at-least-once delivery that the state has seen, 0 where there
	// is none.
	Epoch uint64
}

func (c Checkpoint) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, c.Version)
	dst = appendText(dst, c.Cluster)
	dst = appendText(dst, c.Topic)
	dst = binary.AppendVarint(dst, c.Changelog)
	dst = binary.AppendVarint(dst, c.At)
	dst = binary.AppendUvarint(dst, uint64(len(c.Inputs)))
	for _, topic := range slices.Sorted(maps.Keys(c.Inputs)) {
		dst = appendText(dst, topic)
		dst = binary.AppendVarint(dst, c.Inputs[topic])
	}
	if c.Epoch > 0 {
		dst = binary.AppendUvarint(dst, c.Epoch)
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func decodeCheckpoint(b []byte) (Checkpoint, error) {
	if len(b) < 2 {
		return Checkpoint{}, fmt.Errorf("%w: checkpoint of %d bytes", ErrCorrupt, len(b))
	}
	c := Checkpoint{Version: binary.BigEndian.Uint16(b)}
	if c.Version != CodecVersion {
		return c, nil
	}
	r := reader{rest: b[2:]}
	c.Cluster, c.Topic = r.text(), r.text()
	c.Changelog, c.At = r.varint(), r.varint()
	if n := r.uvarint(); n > 0 && !r.bad {
		c.Inputs = make(map[string]int64, min(n, 64))
		for ; n > 0 && !r.bad; n-- {
			topic := r.text()
			c.Inputs[topic] = r.varint()
		}
	}
	if !r.bad && len(r.rest) > 0 {
		c.Epoch = r.uvarint()
	}
	if r.bad || len(r.rest) > 0 {
		return Checkpoint{}, fmt.Errorf("%w: checkpoint ends early or late", ErrCorrupt)
	}
	return c, nil
}

// reader takes a record apart; bad is set, and stays, where the bytes don't suffice.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) skip(n int) {
	if n <= 0 {
		r.rest, r.bad = nil, true
		return
	}
	r.rest = r.rest[n:]
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.skip(n)
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	r.skip(n)
	return v
}

func (r *reader) text() string {
	n := r.uvarint()
	if r.bad || n > uint64(len(r.rest)) {
		r.rest, r.bad = nil, true
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}
