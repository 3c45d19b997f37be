package state

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// Family is the first byte of a key: the kind of state that it names. A family whose layout changes gets a new
// letter.
type Family byte

// The families of state keys. Together with the rest of the key they are also the keys of changelog records.
const (
	FamilyPartial  Family = 'p' // partials, by rule and join key
	FamilyEvidence Family = 'e' // raw bytes of events, by place in the log
	FamilyClock    Family = 'c' // record clock of the partition: one key
	FamilyAlert    Family = 'a' // ids of alerts that were published, and when
	FamilyShared   Family = 'r' // events of rules that join events of any host, which wait for the watermark, by place in the log
	FamilySources  Family = 's' // progress of the sources of the re-key topic: one key, and one for each field that orders events
	FamilyTaken    Family = 't' // what was taken of the events of each log that may be sent again to the re-key topic
	// FamilySharedAlert is as FamilyAlert, for rules that join events of any host, by the clock of the sources.
	FamilySharedAlert Family = 'q'

	FamilyWaiting Family = 'w' // pages of events that wait for their host's watermark
	FamilyMarks   Family = 'm' // pages of the watermarks of hosts
	FamilyNotes   Family = 'n' // pages of notes of events that wait

	FamilyQuarantine Family = 'x' // rules in quarantine: one key
	FamilyUnclaimed  Family = 'u' // events that wait for rules that aren't loaded, by place

	// FamilyJournal is on the changelog only: batches of at-least-once delivery, whose changes are not under their own keys yet.
	FamilyJournal Family = 'j'

	FamilyBuffered Family = 'b' // of codec version 1: candidates that wait, by host and event time
	FamilyHost     Family = 'h' // of codec version 1: watermark of a host
)

// ErrKey says that bytes are not a key of the family that they were parsed as.
var ErrKey = errors.New("not a state key")

// MaxNameBytes is the longest host, topic or join key that goes into a key as it is.
const MaxNameBytes = 1024

// Fold returns the name itself where it has at most MaxNameBytes, else its beginning and its SHA-256, in
// MaxNameBytes+1 bytes, which no other name is folded to. Keys hold folded names, so that no event, whatever it
// says of its host, makes a key that the store refuses; whoever needs the whole name keeps it in the value.
func Fold(name string) string {
	if len(name) <= MaxNameBytes {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:MaxNameBytes+1-hex.EncodedLen(len(sum))] + hex.EncodeToString(sum[:])
}

// FamilyOf returns the family of a key, false for bytes that are of none.
func FamilyOf(key []byte) (Family, bool) {
	if len(key) == 0 {
		return 0, false
	}
	switch f := Family(key[0]); f {
	case FamilyPartial, FamilyBuffered, FamilyEvidence, FamilyHost, FamilyClock, FamilyAlert, FamilyWaiting, FamilyMarks, FamilyNotes,
		FamilyShared, FamilySources, FamilyTaken, FamilySharedAlert, FamilyQuarantine, FamilyUnclaimed:
		return f, true
	default:
		return 0, false
	}
}

// PartialKey names the partials of a rule under one join key. Partials of a rule are neighbours in key order.
type PartialKey struct {
	Rule uint64 // hash of what the rule's state depends on
	Join string // encoded join key, folded
}

// Append appends the key to dst.
func (k PartialKey) Append(dst []byte) []byte {
	return append(PartialPrefix(dst, k.Rule), Fold(k.Join)...)
}

// PartialPrefix appends what the keys of all partials of a rule begin with.
func PartialPrefix(dst []byte, rule uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, byte(FamilyPartial)), rule)
}

// ParsePartialKey is the reverse of Append.
func ParsePartialKey(key []byte) (PartialKey, error) {
	r := keyReader{family: FamilyPartial, rest: key}
	r.begin()
	k := PartialKey{Rule: r.uint64()}
	k.Join, r.rest = string(r.rest), nil
	return k, r.end()
}

// BufferedKey names a candidate in the reorder buffer. The candidates of a host are neighbours, ordered by event
// time, then by their place in the log.
type BufferedKey struct {
	Host      string // folded
	Time      int64  // event time, milliseconds since the epoch
	Topic     string // folded
	Partition int32
	Offset    int64
}

// Append appends the key to dst.
func (k BufferedKey) Append(dst []byte) []byte {
	dst = appendOrdered(BufferedPrefix(dst, k.Host), k.Time)
	return appendPlace(dst, k.Topic, k.Partition, k.Offset)
}

// BufferedPrefix appends what the keys of all buffered candidates of a host begin with.
func BufferedPrefix(dst []byte, host string) []byte {
	return appendName(append(dst, byte(FamilyBuffered)), host)
}

// ParseBufferedKey is the reverse of Append.
func ParseBufferedKey(key []byte) (BufferedKey, error) {
	r := keyReader{family: FamilyBuffered, rest: key}
	r.begin()
	k := BufferedKey{Host: r.name(), Time: r.ordered()}
	k.Topic, k.Partition, k.Offset = r.place()
	return k, r.end()
}

// EvidenceKey names the raw bytes of one event.
type EvidenceKey struct {
	Topic     string // folded
	Partition int32
	Offset    int64
}

// Append appends the key to dst.
func (k EvidenceKey) Append(dst []byte) []byte {
	return appendPlace(append(dst, byte(FamilyEvidence)), k.Topic, k.Partition, k.Offset)
}

// ParseEvidenceKey is the reverse of Append.
func ParseEvidenceKey(key []byte) (EvidenceKey, error) {
	r := keyReader{family: FamilyEvidence, rest: key}
	topic, partition, offset := r.wholePlace()
	return EvidenceKey{topic, partition, offset}, r.end()
}

// HostKey names the watermark of a host, folded.
type HostKey struct{ Host string }

// Append appends the key to dst.
func (k HostKey) Append(dst []byte) []byte {
	return append(append(dst, byte(FamilyHost)), Fold(k.Host)...)
}

// ParseHostKey is the reverse of Append.
func ParseHostKey(key []byte) (HostKey, error) {
	r := keyReader{family: FamilyHost, rest: key}
	r.begin()
	k := HostKey{Host: string(r.rest)}
	r.rest = nil
	return k, r.end()
}

// AppendClockKey appends the key of the partition's record clock to dst.
func AppendClockKey(dst []byte) []byte { return append(dst, byte(FamilyClock)) }

// AlertKey names an alert that was published: the first half of its id.
type AlertKey [16]byte

// Append appends the key to dst.
func (k AlertKey) Append(dst []byte) []byte { return append(append(dst, byte(FamilyAlert)), k[:]...) }

// ParseAlertKey is the reverse of Append.
func ParseAlertKey(key []byte) (AlertKey, error) {
	r := keyReader{family: FamilyAlert, rest: key}
	r.begin()
	var k AlertKey
	copy(k[:], r.take(len(k)))
	return k, r.end()
}

// SharedKey names an event that waits in the order of rules that join events of any host, by the place of the record that
// brought it.
type SharedKey struct {
	Topic     string // folded
	Partition int32
	Offset    int64
}

// Append appends the key to dst.
func (k SharedKey) Append(dst []byte) []byte {
	return appendPlace(append(dst, byte(FamilyShared)), k.Topic, k.Partition, k.Offset)
}

// ParseSharedKey is the reverse of Append.
func ParseSharedKey(key []byte) (SharedKey, error) {
	r := keyReader{family: FamilyShared, rest: key}
	topic, partition, offset := r.wholePlace()
	return SharedKey{topic, partition, offset}, r.end()
}

// AppendSourcesKey appends the key of the progress of sources to dst.
func AppendSourcesKey(dst []byte) []byte { return append(dst, byte(FamilySources)) }

// OrderKey names an order of events by a field that isn't @timestamp, and the progress of sources in it.
type OrderKey string

// Append appends the key to dst.
func (k OrderKey) Append(dst []byte) []byte { return append(AppendSourcesKey(dst), k...) }

// ParseOrderKey is the reverse of Append. The key of AppendSourcesKey is that of no field.
func ParseOrderKey(key []byte) (OrderKey, error) {
	r := keyReader{family: FamilySources, rest: key}
	r.begin()
	k := OrderKey(r.rest)
	r.rest = nil
	return k, r.end()
}

// AppendQuarantineKey appends the key of the rules in quarantine to dst.
func AppendQuarantineKey(dst []byte) []byte { return append(dst, byte(FamilyQuarantine)) }

// UnclaimedKey names an event that waits for rules that aren't loaded.
type UnclaimedKey struct {
	Kind      byte // of what it waits for
	Topic     string
	Partition int32
	Offset    int64
	Field     string // the rules' timestamp_field; empty: @timestamp
}

// Append appends the key to dst, with topic and field folded.
func (k UnclaimedKey) Append(dst []byte) []byte {
	return append(appendPlace(append(dst, byte(FamilyUnclaimed), k.Kind), k.Topic, k.Partition, k.Offset), Fold(k.Field)...)
}

// TakenKey names a log of the input by its hash.
type TakenKey uint64

// Append appends the key to dst.
func (k TakenKey) Append(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(append(dst, byte(FamilyTaken)), uint64(k))
}

// ParseTakenKey is the reverse of Append.
func ParseTakenKey(key []byte) (TakenKey, error) {
	r := keyReader{family: FamilyTaken, rest: key}
	r.begin()
	k := TakenKey(r.uint64())
	return k, r.end()
}

// SharedAlertKey names an alert of a rule that joins events of any host, as AlertKey does.
type SharedAlertKey [16]byte

// Append appends the key to dst.
func (k SharedAlertKey) Append(dst []byte) []byte {
	return append(append(dst, byte(FamilySharedAlert)), k[:]...)
}

// ParseSharedAlertKey is the reverse of Append.
func ParseSharedAlertKey(key []byte) (SharedAlertKey, error) {
	r := keyReader{family: FamilySharedAlert, rest: key}
	r.begin()
	var k SharedAlertKey
	copy(k[:], r.take(len(k)))
	return k, r.end()
}

// AppendPageKey appends the key of a page of FamilyWaiting, FamilyMarks or FamilyNotes to dst.
func AppendPageKey(dst []byte, f Family, number uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, byte(f)), number)
}

// ParsePageKey is the reverse of AppendPageKey.
func ParsePageKey(f Family, key []byte) (number uint32, err error) {
	r := keyReader{family: f, rest: key}
	r.begin()
	if b := r.take(4); b != nil {
		number = binary.BigEndian.Uint32(b)
	}
	return number, r.end()
}

// appendName appends a folded name with its length in front, so that what follows it can be told apart.
func appendName(dst []byte, name string) []byte {
	name = Fold(name)
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(name))), name...)
}

// appendOrdered appends a number so that bytes compare as the numbers do.
func appendOrdered(dst []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(v)^1<<63)
}

func appendPlace(dst []byte, topic string, partition int32, offset int64) []byte {
	dst = binary.BigEndian.AppendUint32(appendName(dst, topic), uint32(partition)^1<<31)
	return appendOrdered(dst, offset)
}

// keyReader takes a key apart; after the first thing that does not fit, all it reads is zero.
type keyReader struct {
	family Family
	rest   []byte
	bad    bool
}

func (r *keyReader) take(n int) []byte {
	if r.bad || len(r.rest) < n {
		r.rest, r.bad = nil, true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *keyReader) begin() {
	if b := r.take(1); len(b) == 0 || Family(b[0]) != r.family {
		r.bad = true
	}
}

func (r *keyReader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *keyReader) ordered() int64 { return int64(r.uint64() ^ 1<<63) }

func (r *keyReader) name() string {
	b := r.take(2)
	if b == nil {
		return ""
	}
	return string(r.take(int(binary.BigEndian.Uint16(b))))
}

// wholePlace reads a key that is nothing but a place behind its family.
func (r *keyReader) wholePlace() (topic string, partition int32, offset int64) {
	r.begin()
	return r.place()
}

func (r *keyReader) place() (topic string, partition int32, offset int64) {
	topic = r.name()
	if b := r.take(4); b != nil {
		partition = int32(binary.BigEndian.Uint32(b) ^ 1<<31)
	}
	return topic, partition, r.ordered()
}

func (r *keyReader) end() error {
	if r.bad || len(r.rest) > 0 {
		return fmt.Errorf("%w of family %q", ErrKey, byte(r.family))
	}
	return nil
}
