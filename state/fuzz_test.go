package state_test

import (
	"bytes"
	"testing"

	"github.com/weir-eql/weir/state"
)

// key is a key of any family.
type key interface{ Append(dst []byte) []byte }

// FuzzKeys sees that no bytes make a parser of keys panic, that what is parsed is encoded to the same bytes, and that a
// key is of one family only.
func FuzzKeys(f *testing.F) {
	for _, k := range []key{
		state.PartialKey{Rule: 1, Join: "j"},
		state.BufferedKey{Host: "h", Time: -5, Topic: "t", Partition: 3, Offset: 9},
		state.EvidenceKey{Topic: "t\x00f", Partition: -1, Offset: -1},
		state.HostKey{Host: "h"},
		state.AlertKey{1, 2},
		state.SharedKey{Topic: "t", Partition: 4, Offset: 1},
		state.SharedAlertKey{3},
		state.TakenKey(1 << 60),
		state.OrderKey("event.created"),
	} {
		f.Add(k.Append(nil))
	}
	f.Add(state.AppendClockKey(nil))
	f.Add(state.AppendSourcesKey(nil))
	checkpoint := state.Checkpoint{Version: state.CodecVersion, Cluster: "c", Topic: "t", Inputs: map[string]int64{"a": 1, "b": -2}, Changelog: 7, At: 9}
	f.Add(state.EncodeCheckpoint(checkpoint))
	f.Fuzz(func(t *testing.T, b []byte) {
		parsed := map[state.Family]key{}
		keep := func(family state.Family, k key, err error) {
			if err == nil {
				parsed[family] = k
			}
		}
		p, err := state.ParsePartialKey(b)
		keep(state.FamilyPartial, p, err)
		c, err := state.ParseBufferedKey(b)
		keep(state.FamilyBuffered, c, err)
		e, err := state.ParseEvidenceKey(b)
		keep(state.FamilyEvidence, e, err)
		h, err := state.ParseHostKey(b)
		keep(state.FamilyHost, h, err)
		a, err := state.ParseAlertKey(b)
		keep(state.FamilyAlert, a, err)
		r, err := state.ParseSharedKey(b)
		keep(state.FamilyShared, r, err)
		q, err := state.ParseSharedAlertKey(b)
		keep(state.FamilySharedAlert, q, err)
		taken, err := state.ParseTakenKey(b)
		keep(state.FamilyTaken, taken, err)
		order, err := state.ParseOrderKey(b)
		keep(state.FamilySources, order, err)
		family, _ := state.FamilyOf(b)
		for of, k := range parsed {
			if again := k.Append(nil); of != family || len(b) < state.MaxNameBytes && !bytes.Equal(again, b) {
				t.Errorf("%x, of family %q, is parsed as %q and encoded to %x", b, family, of, again)
			}
		}
		if cp, err := state.DecodeCheckpoint(b); err == nil && cp.Version == state.CodecVersion {
			again, err := state.DecodeCheckpoint(state.EncodeCheckpoint(cp))
			if err != nil || !bytes.Equal(state.EncodeCheckpoint(again), state.EncodeCheckpoint(cp)) {
				t.Errorf("%x decodes to the checkpoint %+v, and that to %+v: %v", b, cp, again, err)
			}
		}
	})
}
