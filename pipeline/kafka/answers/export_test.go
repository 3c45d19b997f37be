package answers

// Spoil has memory overwritten that nothing may look at any more.
func (m *Memory) Spoil() {
	m.spoil = func(buf []byte) {
		for i := range buf {
			buf[i] = 0xEE
		}
	}
}

// Pending returns how many answers have batches that weren't done with.
func (m *Memory) Pending() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.pending)
}
