//go:build unix

package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/internal/brokertest"
)

// The settings that matter for how long a takeover takes.
const (
	takeoverSession     = 10 * time.Second // the default
	takeoverTransaction = 10 * time.Second // the default
	probeEvery          = 50 * time.Millisecond
)

// TestTakeover measures restores and takeovers with many live partials, with processes of weir run that are killed with SIGKILL:
//
//   - restore: a member without local state starts, from the start of its process until it is ready;
//   - survivor: one of two members is killed, the other has standby copies, from the kill to the next alert of an event that was sent
//     after it, of the first and of the last of the partitions that the killed member had;
//   - restart: a member is killed and started again at once, with its local state and under its name: the same.
//
// After each kill one of the partials of each partition is completed, and its alert has to come, once. It runs against a real broker,
// where it is asked for: make takeover PARTIALS=1000000 KILLS=20 MODES=restore,survivor,restart BYTES=2000.
func TestTakeover(t *testing.T) {
	partials := fromEnv(t, "WEIR_TAKEOVER_PARTIALS", 0)
	if partials == 0 {
		t.Skip("WEIR_TAKEOVER_PARTIALS is not set: make takeover")
	}
	kills := fromEnv(t, "WEIR_TAKEOVER_KILLS", 3)
	modes := os.Getenv("WEIR_TAKEOVER_MODES")
	f := newFailover(t, partials, fromEnv(t, "WEIR_TAKEOVER_BYTES", 2000))
	a, b := f.newMember(0), f.newMember(1)
	f.fill(a)
	if modes == "" || strings.Contains(modes, "restore") {
		f.measureRestore(a)
	}
	b.start()
	if modes == "" || strings.Contains(modes, "survivor") {
		f.measure("survivor", kills, a, b, takeoverSession, func(gone *failoverMember, detected func() bool) {
			f.await("the survivor has taken over", 5*time.Minute, detected)
			gone.start()
		})
	}
	if modes == "" || strings.Contains(modes, "restart") {
		f.measure("restart", kills, a, b, 0, func(gone *failoverMember, _ func() bool) { gone.start() })
	}
	f.expectAll()
}

func fromEnv(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// failover is a broker's topics, two members, and many partials.
type failover struct {
	*trial
	partials, bytes int
	binary          string
	next            int // the partial that is completed next
	log             *alertLog
	members         []*failoverMember
}

type failoverMember struct {
	*process
	http string
}

func newFailover(t *testing.T, partials, size int) *failover {
	t.Helper()
	f := &failover{
		trial: &trial{
			t: t, session: takeoverSession, brokers: []string{brokertest.Address(t)}, prefix: brokertest.Prefix(t),
		},
		partials: partials, bytes: size, binary: buildWeir(t),
	}
	f.connect()
	cl, err := kgo.NewClient(kgo.SeedBrokers(f.brokers...), kgo.DefaultProduceTopic(f.prefix), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	f.cl, f.admin = cl, kadm.NewClient(cl)
	f.rules = t.TempDir()
	f.writeRule(f.rules, "probe", `process where process.name == "probe"`)
	f.writeRule(f.rules, "pair", `sequence by host.id, process.pid with maxspan=12h [process where process.name == "first"] [process where process.name == "second"]`)
	f.log = newAlertLog(t, f.trial)
	t.Cleanup(func() {
		for _, m := range f.members {
			m.end()
			if t.Failed() {
				t.Logf("log of member %d:\n%s", m.number, m.tail())
			}
		}
	})
	return f
}

func (f *failover) newMember(number int) *failoverMember {
	f.t.Helper()
	var free net.ListenConfig
	l, err := free.Listen(f.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		f.t.Fatal(err)
	}
	dir := f.t.TempDir()
	p := &process{
		t: f.t, number: number, binary: f.binary, config: filepath.Join(dir, "weir.yaml"), state: filepath.Join(dir, "state"), log: filepath.Join(dir, "log"),
	}
	most := 2*f.partials + 1_000_000
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
  standby: 1
limits: {partials: %d, partials_per_rule: %d, buffered: %d}
session_timeout: %v
transaction_timeout: %v
http:
  address: %q
  pprof: true
`, f.brokers[0], f.prefix, number, f.prefix, f.alertTopic(), f.prefix, f.prefix, f.rules, p.state, most, most, most,
		takeoverSession, takeoverTransaction, address)
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	m := &failoverMember{process: p, http: address}
	f.members = append(f.members, m)
	return m
}

// await polls a condition until it holds.
func (f *failover) await(what string, within time.Duration, holds func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(within); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("%s: not within %v", what, within)
		}
		for _, m := range f.members {
			if m.cmd == nil {
				continue
			}
			select {
			case <-m.ended:
				f.t.Fatalf("member %d has ended: %v", m.number, m.cmd.ProcessState)
			default:
			}
		}
	}
}

// get asks a member for a document, empty where it doesn't answer.
func (m *failoverMember) get(path string) (body string, ok bool) {
	ctx, cancel := context.WithTimeout(m.t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.http+path, http.NoBody)
	if err != nil {
		m.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", false
	}
	defer resp.Body.Close()
	var b strings.Builder
	buf := make([]byte, 32<<10)
	for {
		n, err := resp.Body.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			break
		}
	}
	return b.String(), resp.StatusCode == http.StatusOK
}

// metrics returns the values of a metric by labels, none where the member doesn't answer.
func (m *failoverMember) metrics(name string) map[string]float64 {
	text, _ := m.get("/metrics")
	values := map[string]float64{}
	for line := range strings.SplitSeq(text, "\n") {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		at := strings.LastIndexByte(rest, ' ')
		v, err := strconv.ParseFloat(rest[at+1:], 64)
		if err != nil {
			m.t.Fatal(err)
		}
		values[rest[:at]] = v
	}
	return values
}

// metric is the sum of a metric's values, -1 where there is none.
func (m *failoverMember) metric(name string) float64 {
	values := m.metrics(name)
	if len(values) == 0 {
		return -1
	}
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum
}

// partitions returns those that the member works on.
func (m *failoverMember) partitions() (numbers []int) {
	values := m.metrics("weir_hosts")
	for p := range partitions {
		if _, ok := values[fmt.Sprintf(`{partition="%d"}`, p)]; ok {
			numbers = append(numbers, p)
		}
	}
	return numbers
}

func (m *failoverMember) ready() bool {
	_, ok := m.get("/readyz")
	return ok && m.metric("weir_assigned_partitions") > 0
}

// host is the host of a partial; its partition is i%partitions.
func host(i int) string { return fmt.Sprint("host-", i%(1000*partitions)) }

// event makes an event of a size.
func (f *failover) event(id, host, name string, pid int) []byte {
	doc := fmt.Appendf(nil, `{"@timestamp":%q,"event":{"id":%q,"category":["process"],"type":["start"]},"host":{"id":%q},"process":{"name":%q,"pid":%d}`,
		time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), id, host, name, pid)
	for i := 0; len(doc) < f.bytes-80; i++ {
		doc = fmt.Appendf(doc, `,"field%d":{"name":"value %d of %s","number":%d,"text":"some words"}`, i, pid*31+i, id, pid^i*7919)
	}
	return append(doc, '}')
}

func (f *failover) send(partition int, doc []byte) {
	f.cl.Produce(f.t.Context(), &kgo.Record{Partition: int32(partition), Value: doc}, func(_ *kgo.Record, err error) {
		if err != nil && f.t.Context().Err() == nil {
			f.t.Error(err)
		}
	})
}

// fill begins the partials, and waits until they are committed.
func (f *failover) fill(m *failoverMember) {
	f.t.Helper()
	m.start()
	f.await("ready", time.Minute, m.ready)
	began := time.Now()
	for i := range f.partials {
		f.send(i%partitions, f.event("first-"+strconv.Itoa(i), host(i), "first", i))
	}
	if err := f.cl.Flush(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	for p := range partitions { // moves what waits
		f.send(p, f.event("filled-"+strconv.Itoa(p), host(p), "probe", 0))
	}
	f.await("partials have begun", 10*time.Minute, func() bool { return m.metric("weir_rule_partials") >= float64(f.partials) })
	f.t.Logf("MEASURED %d partials, documents of %d bytes: sent and begun in %v", f.partials, f.bytes, time.Since(began).Round(time.Millisecond))
}

// measureRestore kills a member, takes its local state away, and starts it.
func (f *failover) measureRestore(m *failoverMember) {
	f.t.Helper()
	m.signal(syscall.SIGKILL)
	m.wait()
	m.clearState()
	began := time.Now()
	m.start()
	f.await("ready without local state", 10*time.Minute, m.ready)
	took := time.Since(began)
	read := m.metric("weir_restored_records_total")
	f.t.Logf("MEASURED restore: ready %v after the start of the process, %.0f records of the changelog, %.0f/s; resident %.0f MB",
		took.Round(time.Millisecond), read, read/took.Seconds(), m.metric("process_resident_memory_bytes")/1e6)
}

// measure kills members by turns, and says how long it took until alerts came again. after is called when one was killed, and brings it back.
func (f *failover) measure(mode string, kills int, a, b *failoverMember, timeout time.Duration, after func(gone *failoverMember, detected func() bool)) {
	f.t.Helper()
	var first, all, beyond []time.Duration
	for i := range kills {
		f.await("both work, and have copies of each other's partitions", 10*time.Minute, func() bool {
			for _, m := range []*failoverMember{a, b} {
				if m.metric("weir_assigned_partitions") != partitions/2 || m.metric("weir_standby_partitions") != partitions/2 ||
					m.metric("weir_standby_lag_records") != 0 || m.metric("weir_restore_remaining_records") > 0 || !m.ready() {
					return false
				}
			}
			return true
		})
		gone, stays := a, b
		if i%2 == 1 {
			gone, stays = b, a
		}
		w := f.watch(gone)
		gone.signal(syscall.SIGKILL)
		w.killed = time.Now()
		gone.wait()
		after(gone, func() bool { return stays.metric("weir_assigned_partitions") == partitions })
		f.await("alerts of all partitions", 5*time.Minute, w.over)
		w.stop()
		firstTook, allTook := w.took()
		first, all, beyond = append(first, firstTook), append(all, allTook), append(beyond, allTook-timeout)
		f.t.Logf("%s, kill %d of %d: next alert after %v, of all its %d partitions after %v", mode, i+1, kills,
			firstTook.Round(time.Millisecond), len(w.partitions), allTook.Round(time.Millisecond))
	}
	f.t.Logf("MEASURED %s, %d partials, %d kills: session_timeout %v, transaction_timeout %v", mode, f.partials, kills, takeoverSession, takeoverTransaction)
	f.t.Logf("MEASURED %s, from the kill to the next alert of a partition of the killed member: %s", mode, spread(first))
	f.t.Logf("MEASURED %s, from the kill until all its partitions have given alerts:           %s", mode, spread(all))
	if timeout > 0 {
		f.t.Logf("MEASURED %s, of that beyond session_timeout:                                     %s", mode, spread(beyond))
	}
}

// expectAll waits for the alerts of all partials that were completed: each once.
func (f *failover) expectAll() {
	f.t.Helper()
	f.await("alerts of completed partials", time.Minute, func() bool { return f.log.pairs() >= f.next })
	time.Sleep(2 * time.Second) // others would come now
	if got := f.log.pairs(); got != f.next {
		f.t.Errorf("%d alerts of sequences, want %d", got, f.next)
	}
	if doubled := f.log.doubled(); len(doubled) > 0 {
		f.t.Errorf("alerts are doubled: %v", doubled)
	}
}
