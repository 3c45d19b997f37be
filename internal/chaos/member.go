//go:build unix

package chaos

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// member is a process of weir run that is started again and again. Its methods may be called from any goroutine.
type member struct {
	number int
	run    *run
	dir    string // holds settings, state and log
	http   int    // port of its metrics

	mu       sync.Mutex
	cmd      *exec.Cmd     // nil: not running
	ended    chan struct{} // closed when cmd has ended
	expected bool          // its end was asked for
	retired  bool          // it isn't started again
	excused  time.Time     // until then it may end by itself, for a fault that makes it
	starts   int
	env      []string // of the next starts
	mounts   bool     // the next starts have mounts of their own
}

func (r *run) newMember(number, http int) (*member, error) {
	m := &member{number: number, run: r, http: http, dir: filepath.Join(r.dir, fmt.Sprintf("member-%d", number))}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return nil, err
	}
	return m, os.WriteFile(m.settings(), []byte(m.config()), 0o600)
}

func (m *member) settings() string { return filepath.Join(m.dir, "weir.yaml") }
func (m *member) state() string    { return filepath.Join(m.dir, "state") }
func (m *member) log() string      { return filepath.Join(m.dir, "log") }
func (m *member) faultFile() string {
	return filepath.Join(m.dir, "fault")
}

func (m *member) config() string {
	r, s := m.run, m.run.settings
	window := "0"
	if s.dedupe {
		window = "10m"
	}
	return fmt.Sprintf(`brokers: [%s]
group: %s
instance: member-%d
topics:
  input: [%s]
  alerts: %s
  dead_letters: %s
  changelog: %s-changelog
  replication_factor: 1
delivery: %s
rekey: %v
rules:
  paths: [%s]
  reload: %v
state:
  dir: %s
  memtable_mb: 8
  cache_mb: 4
  standby: %d
order:
  lateness: %v
commit:
  interval: %v
dedupe:
  window: %s
fetch:
  batch_records: %d
session_timeout: %v
transaction_timeout: %v
http:
  address: 127.0.0.1:%d
`, r.links[m.number].address(), r.prefix, m.number, strings.Join(s.topics(r.prefix), ", "), r.alertTopic(), r.deadLetterTopic(), r.prefix,
		s.delivery(), s.joins == joinsAnyKey, r.rules, s.reload, m.state(), s.standby, s.lateness, s.commit, window, s.batch, s.session, s.transaction, m.http)
}

// start starts the process if it doesn't run.
func (m *member) start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd != nil || m.retired {
		return
	}
	if err := m.launch(); err != nil {
		m.run.trouble("member %d: start: %v", m.number, err)
	}
}

func (m *member) launch() error {
	out, err := os.OpenFile(m.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	m.starts++
	fmt.Fprintf(out, "--- %s start %d\n", time.Now().Format(time.StampMilli), m.starts)
	cmd := exec.Command(m.run.o.Weir, "run", "-c", m.settings()) //nolint:noctx // signals end it
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(append(os.Environ(), "CHAOS_FAULT="+m.faultFile(), "CHAOS_PLANT="+m.run.o.Plant,
		fmt.Sprintf("CHAOS_PROCESS=%d/%d", m.number, m.starts)), m.env...)
	cmd.SysProcAttr = childAttributes()
	if m.mounts {
		ownMounts(cmd.SysProcAttr)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	m.cmd, m.ended, m.expected = cmd, ended, false
	m.run.work.Go(func() {
		_ = cmd.Wait() // what is of interest is in its state
		m.over(cmd)
		close(ended)
	})
	return nil
}

// over notes the end of a process. One that ends by itself is started again, as a supervisor would do.
func (m *member) over(cmd *exec.Cmd) {
	m.mu.Lock()
	m.cmd = nil
	expected, excused := m.expected, time.Now().Before(m.excused)
	m.mu.Unlock()
	m.note("ended: " + cmd.ProcessState.String())
	if expected {
		return
	}
	m.run.upsets.died(m.number, time.Now())
	if excused {
		m.run.count("ended by themselves after their store was damaged or full")
	} else {
		m.run.trouble("member %d has ended by itself: %v; see %s", m.number, cmd.ProcessState, m.log())
	}
	m.run.work.Go(func() {
		time.Sleep(300 * time.Millisecond)
		m.start()
	})
}

// kill ends the process with SIGKILL and waits.
func (m *member) kill() { m.end(syscall.SIGKILL, 10*time.Second) }

// end asks the process to end with a signal, and reports whether it did so in time. After that it is killed.
func (m *member) end(signal syscall.Signal, within time.Duration) bool {
	m.mu.Lock()
	cmd, ended := m.cmd, m.ended
	m.expected = true
	m.mu.Unlock()
	if cmd == nil {
		return true
	}
	m.note(signal.String())
	from := time.Now()
	_ = cmd.Process.Signal(signal) // it may have ended
	select {
	case <-ended:
		if signal == syscall.SIGKILL {
			m.run.upsets.died(m.number, from)
		}
		return true
	case <-time.After(within):
	}
	_ = cmd.Process.Kill()
	<-ended
	m.run.upsets.died(m.number, from)
	return false
}

// signal sends the process a signal if it runs.
func (m *member) signal(signal syscall.Signal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd != nil {
		m.note(signal.String())
		_ = m.cmd.Process.Signal(signal) // it may have ended
	}
}

// killAt has the process send itself a signal at a point of a commit, and reports whether it came there in time.
func (m *member) killAt(f fault, within time.Duration) (reached bool) {
	m.mu.Lock()
	cmd, ended := m.cmd, m.ended
	m.expected = f.signal() == syscall.SIGKILL
	m.mu.Unlock()
	if cmd == nil {
		return false
	}
	m.note(f.String())
	text := fmt.Sprintf("%s %d %d", f.point, f.nth, int(f.signal()))
	if f.alert {
		text += " alert"
	}
	if err := os.WriteFile(m.faultFile()+".new", []byte(text), 0o600); err != nil {
		m.run.trouble("%v", err)
	}
	if err := os.Rename(m.faultFile()+".new", m.faultFile()); err != nil {
		m.run.trouble("%v", err)
	}
	defer os.Remove(m.faultFile())
	defer func(from time.Time) {
		if reached && f.signal() == syscall.SIGKILL {
			m.run.upsets.died(m.number, from)
		}
	}(time.Now())
	deadline := time.After(within)
	for {
		select {
		case <-ended:
			return true
		case <-deadline:
			return false
		case <-time.After(20 * time.Millisecond):
			if _, err := os.Stat(m.faultFile()); err == nil {
				continue
			}
			if f.signal() == syscall.SIGKILL {
				<-ended
			}
			return true
		}
	}
}

// excuse lets the process end by itself for a while.
func (m *member) excuse(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.excused = time.Now().Add(d)
}

// retire ends the process for good.
func (m *member) retire(signal syscall.Signal) bool {
	m.mu.Lock()
	m.retired = true
	m.mu.Unlock()
	m.signal(syscall.SIGCONT)
	return m.end(signal, 30*time.Second)
}

// onDisk makes the next starts work on a disk of this size, empty for the real one.
func (m *member) onDisk(size string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.env, m.mounts = nil, size != ""
	if size != "" {
		m.env = []string{"CHAOS_DISK=" + size}
	}
}

// note writes a line into the process's log, to make sense of it when the run fails.
func (m *member) note(text string) {
	out, err := os.OpenFile(m.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.run.trouble("%v", err)
		return
	}
	defer out.Close()
	fmt.Fprintf(out, "--- %s %s\n", time.Now().Format(time.StampMilli), text)
}

// running reports whether the process has got as far as to catch signals.
func (m *member) running() bool {
	raw, err := os.ReadFile(m.log())
	if err != nil {
		return false
	}
	text := string(raw)
	at := strings.LastIndex(text, fmt.Sprintf(" start %d\n", m.startCount()))
	return at >= 0 && strings.Contains(text[at:], "msg=starting")
}

func (m *member) startCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.starts
}

// clear removes the local state.
func (m *member) clear() {
	if err := os.RemoveAll(m.state()); err != nil {
		m.run.trouble("%v", err)
	}
	m.note("state removed")
}

// damage flips bytes in files of the local state, cuts some short and removes others.
func (m *member) damage(rnd *rand.Rand) {
	var files []string
	err := filepath.WalkDir(m.state(), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "LOCK" {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		m.note(fmt.Sprintf("nothing to damage: %v", err))
		return
	}
	for range 1 + rnd.IntN(3) {
		path := files[rnd.IntN(len(files))]
		what, err := damageFile(path, rnd)
		m.note(fmt.Sprintf("damaged %s: %s %v", filepath.Base(path), what, err))
	}
}

// written is how many bytes of a file are looked at for damage: logs are made long and written from their beginning.
const written = 256 << 10

func damageFile(path string, rnd *rand.Rand) (what string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "gone", nil
	}
	size := min(info.Size(), written)
	switch {
	case size == 0 || rnd.IntN(5) == 0:
		return "removed", os.Remove(path)
	case rnd.IntN(3) == 0:
		at := rnd.Int64N(size)
		return fmt.Sprintf("cut at %d", at), os.Truncate(path, at)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	n := 1 + rnd.IntN(8)
	for range n {
		at := rnd.Int64N(size)
		var b [1]byte
		if _, err := f.ReadAt(b[:], at); err != nil {
			return "", err
		}
		b[0] ^= byte(1 + rnd.IntN(255))
		if _, err := f.WriteAt(b[:], at); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d bytes changed", n), nil
}
