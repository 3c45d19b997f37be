package state_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-eql/weir/state"
	"github.com/weir-eql/weir/state/statetest"
)

// childDir, when it is set, makes the test binary the process that TestKill kills.
const childDir = "WEIR_STATE_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		run := child
		if os.Getenv(childOpens) != "" {
			run = childOpen
		}
		if err := run(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// childOpens, when it is set too, makes it one that opens a store and closes it.
const childOpens = "WEIR_STATE_TEST_OPENS"

func childOpen(dir string) error {
	s, err := state.Open(small(dir))
	switch {
	case errors.Is(err, state.ErrCorrupt):
		fmt.Println("corrupt:", err)
	case err != nil:
		fmt.Println("failed:", err)
	default:
		fmt.Println("opened")
		return s.Close()
	}
	return nil
}

// Batch b of the child sets the keys that stand for b, changes a counter, and deletes what the batch before the
// one before it set: what must be there follows from b.
const childKeys = 400

// child applies batches until it is killed, and prints the number of each when it was applied.
func child(dir string) error {
	s, err := state.Open(small(dir))
	if err != nil {
		return err
	}
	p := s.Partition(0)
	c, _, err := p.Checkpoint()
	if err != nil {
		return err
	}
	var o state.Overlay
	for b := c.Changelog + 1; ; b++ {
		o.Reset()
		batch(&o, b)
		if err := p.Apply(&o, state.Checkpoint{Changelog: b}); err != nil {
			return err
		}
		fmt.Println(b)
	}
}

// childValue makes every fourth value one for the value log.
func childValue(b int64, i int) string {
	n := 40
	if i%4 == 0 {
		n = 1200
	}
	return strings.Repeat(strconv.FormatInt(b, 10), n)
}

func batch(o *state.Overlay, b int64) {
	for i := range childKeys {
		o.Put(fmt.Appendf(nil, "%d/%d", b, i), []byte(childValue(b, i)))
		if b > 2 {
			o.Delete(fmt.Appendf(nil, "%d/%d", b-2, i))
		}
	}
	o.Put([]byte("last"), strconv.AppendInt(nil, b, 10))
}

// Whatever a process had applied when it was killed is there when the store is opened again.
func TestKill(t *testing.T) {
	if _, err := os.Stat(state.BootIDFile); err != nil {
		t.Skipf("a store that was not closed is never trusted here: %v", err)
	}
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(3, 0))
	for round := range 5 {
		acked := runAndKill(t, dir, 3+rnd.IntN(60), time.Duration(rnd.IntN(3000))*time.Microsecond)
		s := open(t, small(dir))
		p := s.Partition(0)
		c, ok, err := p.Checkpoint()
		if err != nil || !ok || c.Changelog < acked || c.Changelog > acked+1000 {
			t.Fatalf("round %d: checkpoint %d, %v, %v; acknowledged %d", round, c.Changelog, ok, err, acked)
		}
		// The batch that was being applied may have begun: applying it again must give its whole.
		var o state.Overlay
		next := c.Changelog + 1
		batch(&o, next)
		if err := p.Apply(&o, state.Checkpoint{Changelog: next}); err != nil {
			t.Fatal(err)
		}
		got := statetest.Dump(t, p)
		if got["last"] != strconv.FormatInt(next, 10) || len(got) != 2*childKeys+1 {
			t.Fatalf("round %d: %d keys, last %q, want %d and %d", round, len(got), got["last"], 2*childKeys+1, next)
		}
		for b := next - 1; b <= next; b++ {
			for i := range childKeys {
				want := childValue(b, i)
				if v := got[fmt.Sprintf("%d/%d", b, i)]; v != want {
					t.Fatalf("round %d: key %d/%d: got %q, want %q", round, b, i, v, want)
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// runAndKill returns the last batch that the child acknowledged.
func runAndKill(t *testing.T, dir string, batches int, after time.Duration) int64 {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acked int64
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if acked, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
			t.Fatal(err)
		}
		if n == batches {
			// Some way into a later batch; its length is no condition of the test.
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	if acked == 0 {
		t.Fatal("the child acknowledged nothing")
	}
	return acked
}

// A process that is killed while it makes a memory table or a file of the value log leaves an empty file behind; what was applied before is there.
func TestUnborn(t *testing.T) {
	for _, name := range []string{"00099.mem", "000099.vlog"} {
		t.Run(name, func(t *testing.T) { unborn(t, name) })
	}
}

func unborn(t *testing.T, name string) {
	t.Helper()
	dir := t.TempDir()
	s := open(t, small(dir))
	var o state.Overlay
	batch(&o, 1)
	if err := s.Partition(0).Apply(&o, state.Checkpoint{Changelog: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s = closing(t, open(t, small(dir)))
	if c, ok, err := s.Partition(0).Checkpoint(); err != nil || !ok || c.Changelog != 1 {
		t.Errorf("got checkpoint %d, %v, %v, want 1", c.Changelog, ok, err)
	}
	if got := statetest.Dump(t, s.Partition(0)); len(got) != childKeys+1 {
		t.Errorf("got %d keys, want %d", len(got), childKeys+1)
	}
}

// A marker that can't be written leaves the one before as it is: what a process that was killed wrote is there once it can be.
func TestMarkerReplacedWhole(t *testing.T) {
	if _, err := os.Stat(state.BootIDFile); err != nil {
		t.Skipf("a store that was not closed is never trusted here: %v", err)
	}
	dir := t.TempDir()
	acked := runAndKill(t, dir, 3, 0)
	inTheWay := filepath.Join(dir, state.MarkerName+".new")
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(small(dir)); err == nil || errors.Is(err, state.ErrCorrupt) {
		t.Fatalf("open: %v, want that the marker can't be written", err)
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	s := closing(t, open(t, small(dir)))
	if c, ok, err := s.Partition(0).Checkpoint(); err != nil || !ok || c.Changelog < acked {
		t.Errorf("got checkpoint %d, %v, %v, want %d", c.Changelog, ok, err, acked)
	}
}
