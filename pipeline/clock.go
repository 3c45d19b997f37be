package pipeline

import "strings"

// The record clock of a partition is the newest broker timestamp on it: a function of the log alone, so that
// a replay has the same clock as the live run had. A timestamp that a producer or the event itself set moves it far
// only when it is confirmed, so that one machine with a clock in the future can't close the windows of all others.
const (
	// createStep is how far, in milliseconds, an unconfirmed time may move the clock.
	createStep = 10_000
	// createConfirmations is the number of records in a row that confirm a jump when they come from one host. So many
	// records it also takes until the first time of a partition is settled: until then the clock may be set back.
	createConfirmations = 16
	// latestTime is the end of the year 9999, the latest time that a record is believed to have.
	latestTime = 253_402_300_799_999
)

type recordClock struct {
	now     int64 // milliseconds; 0 before the first record
	log     int64 // what the log alone has made of it: less than now after the wall clock has moved that; not stored
	started bool
	young   int32 // records seen, up to createConfirmations
	// A jump ahead that waits for confirmation: its smallest time, the first host that showed it, and how often.
	jump      int64
	jumpHost  string
	jumpCount int32
	// wall is what the wall clock was when now was last moved, 0 where nobody said so. It decides nothing by itself: the
	// time since then is what the wall clock may move now by, when the partition is silent, also after a restart.
	wall int64
}

// storedAlike reports whether two clocks are the same in the store.
func (c *recordClock) storedAlike(d recordClock) bool {
	d.log, d.wall = c.log, c.wall
	return *c == d
}

// observe moves the clock by the timestamp of one record, between 0 and latestTime. host may alias the record; "" is no host to confirm with.
func (c *recordClock) observe(t int64, src ClockSource, host string) {
	if c.young < createConfirmations {
		c.young++
	}
	switch {
	case !c.started:
		c.started, c.now, c.log = true, t, t
	case src == ClockLogAppend:
		c.follow(t)
	case t < c.now-createStep && c.young < createConfirmations:
		c.now, c.log = t, t // what came first was in the future
		c.clearJump()
	case t-c.now <= createStep:
		// An ordinary record in between means that time goes on as before: the jump was one machine's.
		c.follow(t)
	default:
		c.confirm(t, host)
	}
}

// confirm counts a time far ahead of the clock; a second host, or enough records of one, make it the time.
func (c *recordClock) confirm(t int64, host string) {
	if c.jumpCount == 0 {
		c.jump, c.jumpHost, c.jumpCount = t, strings.Clone(host), 1
		return
	}
	c.jump = min(c.jump, t)
	c.jumpCount++
	if host != c.jumpHost && host != "" || c.jumpCount >= createConfirmations {
		c.follow(c.jump)
	}
}

// follow takes in a time that is believed.
func (c *recordClock) follow(t int64) {
	c.now, c.log = max(c.now, t), max(c.log, t)
	c.clearJump()
}

func (c *recordClock) clearJump() { c.jump, c.jumpHost, c.jumpCount = 0, "", 0 }

// advance moves the clock by the wall clock, when the partition is silent and caught up.
func (c *recordClock) advance(t int64) bool {
	if !c.started || t <= c.now {
		return false
	}
	c.now = min(t, latestTime)
	if c.jumpCount > 0 && c.jump <= c.now+createStep { // it has come to pass: what is far ahead now is another jump
		c.clearJump()
	}
	return true
}
