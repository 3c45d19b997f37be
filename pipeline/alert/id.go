package alert

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/weir-eql/weir/event"
)

// MissingStage stands for a missing stage among the identities that ID takes. No event has this identity.
const MissingStage = ""

// ID returns the id of an alert: the lower-case hex SHA-256 of an unambiguous encoding of the rule's id, the
// values of the join keys and the identities of the events in stage order. Equal ids mean equal inputs.
func ID(ruleID string, joinKeys []event.Value, identities []string) string {
	b := make([]byte, 0, 512)
	b = appendText(b, ruleID)
	b = binary.AppendUvarint(b, uint64(len(joinKeys)))
	for _, k := range joinKeys {
		b = event.AppendTuple(b, k)
	}
	b = binary.AppendUvarint(b, uint64(len(identities)))
	for _, id := range identities {
		b = appendText(b, id) // a missing stage is the text of length 0, which no event has
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Identity returns what tells an event from all others: its event.id, or for want of one its place in the log as
// topic/partition/offset.
func Identity(eventID, topic string, partition int32, offset int64) string {
	if eventID != "" {
		return eventID
	}
	b := make([]byte, 0, len(topic)+24)
	b = append(b, topic...)
	b = append(b, '/')
	b = strconv.AppendInt(b, int64(partition), 10)
	b = append(b, '/')
	return string(strconv.AppendInt(b, offset, 10))
}

func (e *Event) identity() string {
	if e.Missing {
		return MissingStage
	}
	return Identity(e.ID, e.Topic, e.Partition, e.Offset)
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}
