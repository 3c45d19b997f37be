package pipeline

// The record clock of a partition is the newest broker timestamp on it: a function of the log alone, so that
// a replay has the same clock as the live run had. A producer's own timestamp (CreateTime) moves it far only
// when it is confirmed, so that one machine with a clock in the future can't close the windows of all others.
const (
	// createStep is how far, in milliseconds, an unconfirmed CreateTime may move the clock.
	createStep = 10_000
	// createConfirmations is the number of records in a row that confirm a jump when they come from one host.
	createConfirmations = 16
)

type recordClock struct {
	now     int64 // milliseconds; 0 before the first record
	started bool
	// A jump ahead that waits for confirmation: its smallest time, the first host that showed it, and how often.
	jump      int64
	jumpHost  string
	jumpCount int32
}

// observe moves the clock by the timestamp of one record.
func (c *recordClock) observe(t int64, src ClockSource, host string) {
	switch {
	case !c.started:
		c.started, c.now = true, t
	case src != ClockCreate || t-c.now <= createStep:
		// An ordinary record in between means that time goes on as before: the jump was one machine's.
		c.now = max(c.now, t)
		c.clearJump()
	default:
		c.confirm(t, host)
	}
}

// confirm counts a CreateTime far ahead of the clock; a second host, or enough records of one, make it the time.
func (c *recordClock) confirm(t int64, host string) {
	if c.jumpCount == 0 {
		c.jump, c.jumpHost, c.jumpCount = t, host, 1
		return
	}
	c.jump = min(c.jump, t)
	c.jumpCount++
	if host != c.jumpHost || c.jumpCount >= createConfirmations {
		c.now = c.jump
		c.clearJump()
	}
}

func (c *recordClock) clearJump() { c.jump, c.jumpHost, c.jumpCount = 0, "", 0 }

// advance moves the clock by the wall clock, when the partition is silent and caught up.
func (c *recordClock) advance(t int64) bool {
	if !c.started || t <= c.now {
		return false
	}
	c.now = t
	return true
}
