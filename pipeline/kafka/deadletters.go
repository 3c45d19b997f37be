package kafka

import (
	"log/slog"
	"time"

	"github.com/weir-eql/weir/pipeline"
)

// deadLetterPause is the time between two lines of the log about dead letters of one kind.
const deadLetterPause = time.Minute

// deadLetterLog counts the dead letters that were not logged yet, by kind. There are few kinds: every record may be a
// dead letter, and the log must not grow with them.
type deadLetterLog map[deadLetterKind]*deadLetterCount

type deadLetterKind struct {
	partition int32
	reason    string
}

type deadLetterCount struct {
	logged time.Time // when the last line was written; zero before the first
	count  int       // since then
	topic  string    // of the first of them
	offset int64
}

// note counts a dead letter.
func (l deadLetterLog) note(d *pipeline.DeadLetter) {
	kind := deadLetterKind{d.Partition, d.Reason}
	c := l[kind]
	if c == nil {
		c = &deadLetterCount{}
		l[kind] = c
	}
	if c.count++; c.count == 1 {
		c.topic, c.offset = d.Topic, d.Offset
	}
}

// report writes a line for each kind that has dead letters and had no line within the pause.
func (l deadLetterLog) report(now time.Time, log *slog.Logger) {
	for kind, c := range l {
		if c.count == 0 || !c.logged.IsZero() && now.Sub(c.logged) < deadLetterPause {
			continue
		}
		log.Warn("records went to the dead letters",
			slog.String("reason", kind.reason), slog.String("topic", c.topic), slog.Int("partition", int(kind.partition)),
			slog.Int64("offset", c.offset), slog.Int("count", c.count))
		c.logged, c.count = now, 0
	}
}
