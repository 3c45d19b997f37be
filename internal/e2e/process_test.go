//go:build unix

package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// started begins the log of each start.
const started = "--- started"

// process is a member of the group that is started again and again. It belongs to one goroutine at a time.
type process struct {
	t      *testing.T
	number int
	binary string
	config string
	state  string
	log    string
	env    []string      // beside the test's
	cmd    *exec.Cmd     // nil: not running
	ended  chan struct{} // closed when cmd has ended
}

func (r *trial) newProcess(binary string, number int) *process {
	r.t.Helper()
	dir := r.t.TempDir()
	p := &process{
		t: r.t, number: number, binary: binary, config: filepath.Join(dir, "weir.yaml"),
		state: filepath.Join(dir, "state"), log: filepath.Join(dir, "log"),
	}
	text := fmt.Sprintf(`brokers: [%s]
group: %s
instance: member-%d
topics:
  input: [%s]
  alerts: %s
  dead_letters: %s-dead
  changelog: %s-changelog
  replication_factor: 1
rules:
  paths: [%s]
state:
  dir: %s
  memtable_mb: 8
  cache_mb: 4
order:
  lateness: %v
commit:
  interval: 50ms
dedupe:
  window: 0 # it must not hide an alert that is published twice
session_timeout: %v
transaction_timeout: %v
http:
  address: ""
`, r.brokers[0], r.prefix, number, r.prefix, r.alertTopic(), r.prefix, r.prefix, r.rules, p.state, lateness, r.session, r.session)
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return p
}

func (p *process) start() {
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Error(err)
		return
	}
	defer out.Close()
	fmt.Fprintf(out, "%s %s\n", started, time.Now().Format(time.StampMilli))
	p.cmd = exec.Command(p.binary, "run", "-c", p.config)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append(os.Environ(), p.env...)
	if err := p.cmd.Start(); err != nil {
		p.t.Error(err)
		p.cmd = nil
		return
	}
	cmd, ended := p.cmd, make(chan struct{})
	p.ended = ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // who waits looks at the process's state
	}()
}

// signal sends a signal to the process, which has to be there: members never end by themselves.
func (p *process) signal(s syscall.Signal) {
	if p.cmd == nil {
		return
	}
	p.note(s.String())
	select {
	case <-p.ended:
		p.t.Errorf("member %d has ended by itself: %v", p.number, p.cmd.ProcessState)
	default:
		_ = p.cmd.Process.Signal(s) // it may end at this very moment
	}
}

// note writes a line into the process's log, to make sense of it when the test fails.
func (p *process) note(text string) {
	out, err := os.OpenFile(p.log, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Error(err)
		return
	}
	defer out.Close()
	fmt.Fprintf(out, "--- %s %s\n", time.Now().Format(time.StampMilli), text)
}

func (p *process) wait() {
	if p.cmd != nil {
		<-p.ended
		p.cmd = nil
	}
}

// running reports whether the process has got as far as to catch signals.
func (p *process) running() bool {
	raw, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Error(err)
	}
	return bytes.Contains(raw[max(0, bytes.LastIndex(raw, []byte(started))):], []byte("msg=starting"))
}

// terminate asks the process to end and expects it to do so in time and without an error.
func (p *process) terminate() {
	if p.cmd == nil {
		return
	}
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		p.t.Errorf("member %d doesn't end", p.number)
		p.signal(syscall.SIGKILL)
		<-p.ended
	}
	if !p.cmd.ProcessState.Success() {
		p.t.Errorf("member %d: %v", p.number, p.cmd.ProcessState)
	}
	p.cmd = nil
}

// end kills what still runs.
func (p *process) end() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill() // it may have ended
		p.wait()
	}
}

func (p *process) clearState() {
	if err := os.RemoveAll(p.state); err != nil {
		p.t.Error(err)
	}
	p.note("state removed")
}

// tail returns the last lines of the log.
func (p *process) tail() string {
	raw, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(bytes.TrimSpace(raw)), "\n")
	return strings.Join(lines[max(0, len(lines)-120):], "\n")
}
