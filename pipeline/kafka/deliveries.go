package kafka

import (
	"encoding/binary"
	"log/slog"
	"slices"
)

// Members of one group have to agree on the mode of delivery: one with transactions isn't protected from one without that was replaced and wakes up.
// So each tells its mode behind what it has on disk, and the leader tells all where they differ. Versions that don't know of it tell and read
// nothing there.

// deliveries are the names of a group's members by their mode of delivery.
type deliveries struct{ exactlyOnce, atLeastOnce []string }

// mixed reports whether members differ.
func (d *deliveries) mixed() bool { return len(d.exactlyOnce) > 0 && len(d.atLeastOnce) > 0 }

// maxDeliveryNames is how many names of a mode members are told.
const maxDeliveryNames = 20

// The modes as members tell them.
const (
	modeExactlyOnce = 1
	modeAtLeastOnce = 2
)

func (d *deliveries) add(mode uint64, name string) {
	switch mode {
	case modeExactlyOnce:
		d.exactlyOnce = append(d.exactlyOnce, name)
	case modeAtLeastOnce:
		d.atLeastOnce = append(d.atLeastOnce, name)
	}
}

// appendDelivery appends what a member tells of itself.
func appendDelivery(dst []byte, atLeastOnce bool, name string) []byte {
	mode := uint64(modeExactlyOnce)
	if atLeastOnce {
		mode = modeAtLeastOnce
	}
	return appendText(binary.AppendUvarint(dst, mode), name)
}

// readDelivery reads that, behind what the member has on disk; the mode is 0 where it tells nothing.
func (r *userData) readDelivery() (mode uint64, name string) {
	mode, name = r.uvarint(), r.text()
	if r.bad {
		return 0, ""
	}
	return mode, name
}

// append appends what the leader tells all members, where there is something to tell.
func (d *deliveries) append(dst []byte) []byte {
	if !d.mixed() {
		return dst
	}
	for _, names := range [][]string{d.exactlyOnce, d.atLeastOnce} {
		slices.Sort(names)
		names = names[:min(len(names), maxDeliveryNames)]
		dst = binary.AppendUvarint(dst, uint64(len(names)))
		for _, name := range names {
			dst = appendText(dst, name)
		}
	}
	return dst
}

// readDeliveries reads that.
func (r *userData) readDeliveries() (d deliveries) {
	for _, names := range []*[]string{&d.exactlyOnce, &d.atLeastOnce} {
		for n := r.uvarint(); n > 0 && !r.bad; n-- {
			*names = append(*names, r.text())
		}
	}
	if r.bad {
		return deliveries{}
	}
	return d
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

func (r *userData) text() string {
	n := r.uvarint()
	if r.bad || n > uint64(len(r.rest)) {
		r.rest, r.bad = nil, true
		return ""
	}
	text := string(r.rest[:n])
	r.rest = r.rest[n:]
	return text
}

// noteDeliveries is told by the balancer with each assignment how members differ, if they do.
func (s *Service) noteDeliveries(d deliveries) {
	s.deps.Metrics.deliveriesMixed(d.mixed())
	if d.mixed() {
		s.log.Error("members of the group differ in their delivery: what one without transactions writes late, after it was replaced, can spoil state and alerts of the others; "+
			"stop all members, set the same delivery for all, and start them again",
			slog.Any("exactly_once", d.exactlyOnce), slog.Any("at_least_once", d.atLeastOnce))
	}
}
