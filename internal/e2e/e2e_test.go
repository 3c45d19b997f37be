//go:build unix

// Package e2e_test proves exactly-once delivery with the program as it is shipped: processes of weir run are killed,
// stopped for longer than their session and started again, with their local state and without, and load their rules again,
// while a script of events is sent whose alerts are known. At the end each is on the topic of alerts once, and nothing else.
//
// It runs against a broker in the test's process, and against a real one where WEIR_TEST_BROKER=host:port names it.
// WEIR_E2E_SEEDS=3,7 runs these seeds only.
package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const partitions = 4

func TestExactlyOnce(t *testing.T) {
	binary := buildWeir(t)
	t.Run("kfake", func(t *testing.T) {
		for _, seed := range seeds(t, 4, 1) {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				t.Parallel()
				fake, err := kfake.NewCluster(kfake.NumBrokers(1),
					kfake.BrokerConfigs(map[string]string{"group.min.session.timeout.ms": "1000"}))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(fake.Close)
				run(t, binary, fake.ListenAddrs(), seed, 2*time.Second)
			})
		}
	})
	t.Run("broker", func(t *testing.T) {
		broker := os.Getenv("WEIR_TEST_BROKER")
		if broker == "" {
			t.Skip("WEIR_TEST_BROKER names no broker")
		}
		for _, seed := range seeds(t, 12, 2) {
			t.Run(strconv.FormatUint(100+seed, 10), func(t *testing.T) {
				t.Parallel()
				// 6 s is the least that a broker allows by default.
				run(t, binary, []string{broker}, 100+seed, 6*time.Second)
			})
		}
	})
}

func buildWeir(t *testing.T) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "weir")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/weir")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// seeds returns those that the environment asks for, else the first n, or short of them.
func seeds(t *testing.T, n, short int) []uint64 {
	t.Helper()
	var list []uint64
	if text := os.Getenv("WEIR_E2E_SEEDS"); text != "" {
		for s := range strings.SplitSeq(text, ",") {
			seed, err := strconv.ParseUint(s, 10, 64)
			if err != nil {
				t.Fatalf("WEIR_E2E_SEEDS: %v", err)
			}
			list = append(list, seed)
		}
		return list
	}
	if testing.Short() {
		n = short
	}
	for i := range n {
		list = append(list, uint64(i+1))
	}
	return list
}

// trial is one run of a script against two members.
type trial struct {
	t       *testing.T
	seed    uint64
	rnd     *rand.Rand
	script  script
	session time.Duration
	brokers []string
	prefix  string
	cl      *kgo.Client
	admin   *kadm.Client
	members [2]*process
	rules   string // folder
}

func run(t *testing.T, binary string, brokers []string, seed uint64, session time.Duration) {
	t.Helper()
	r := &trial{
		t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 2)), brokers: brokers, session: session,
		script: newScript(seed, 2*session+10*time.Second),
		prefix: fmt.Sprintf("e2e-%d-%x", seed, time.Now().UnixNano()),
	}
	r.connect()
	r.rules = r.writeRules()
	for i := range r.members {
		r.members[i] = r.newProcess(binary, i)
		r.members[i].start()
	}
	t.Cleanup(func() {
		for _, p := range r.members {
			p.end()
			if t.Failed() {
				t.Logf("seed %d: log of member %d:\n%s", seed, p.number, p.tail())
			}
		}
	})
	r.awaitTopic()
	disturbed := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(disturbed)
		r.disturb(ctx)
	}()
	began := time.Now()
	stall := r.send()
	if stall > lateness-maxDelay {
		t.Errorf("sending stood still for %v: events became late and what is expected doesn't hold", stall)
	}
	<-disturbed
	cancel()
	r.compare()
	t.Logf("seed %d: %d events, %d alerts, %v", seed, len(r.script.events), len(r.script.want), time.Since(began).Round(time.Second))
}

func (r *trial) connect() {
	r.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.brokers...), kgo.DefaultProduceTopic(r.prefix), kgo.ProducerLinger(0),
		kgo.MetadataMinAge(200*time.Millisecond))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(cl.Close)
	r.cl, r.admin = cl, kadm.NewClient(cl)
	logAppend := "LogAppendTime"
	if _, err := r.admin.CreateTopic(r.t.Context(), partitions, 1,
		map[string]*string{"message.timestamp.type": &logAppend}, r.prefix); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_, err := r.admin.DeleteTopics(ctx, r.prefix, r.alertTopic(), r.prefix+"-dead", r.prefix+"-changelog", r.prefix+"-rekey")
		if err != nil {
			r.t.Logf("topics not deleted: %v", err)
		}
	})
}

func (r *trial) alertTopic() string { return r.prefix + "-alerts" }

func (r *trial) writeRules() (dir string) {
	r.t.Helper()
	dir = r.t.TempDir()
	for id, query := range ruleQueries() {
		r.writeRule(dir, id, query)
	}
	return dir
}

// writeRule writes a rule file, which is there as a whole or not at all.
func (r *trial) writeRule(dir, id, query string) {
	text := fmt.Sprintf("[metadata]\nmaturity = \"production\"\n\n[rule]\nauthor = [\"Weir\"]\ndescription = \"A rule of the tests.\"\n"+
		"index = [\"logs-endpoint.events.*\"]\nlanguage = \"eql\"\nlicense = \"Apache-2.0\"\nname = %q\nrisk_score = 47\nrule_id = %q\n"+
		"severity = \"medium\"\ntype = \"eql\"\nquery = '''\n%s\n'''\n", id, id, query)
	name := filepath.Join(dir, id+".toml")
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		r.t.Error(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		r.t.Error(err)
	}
}

// reload writes the rules anew, each with the same meaning, and one that reads another field each time and matches nothing;
// members load them while they work.
func (r *trial) reload(turn uint64) {
	for id, query := range ruleQueries() {
		r.writeRule(r.rules, id, fmt.Sprintf("%s // %d", query, turn))
	}
	r.writeRule(r.rules, "nothing", fmt.Sprintf(`sequence by process.entity_id with maxspan=20s
  [any where labels.turn%d == "x"]
  [network where destination.port == 4444]`, turn))
	for _, p := range r.members {
		if p.cmd != nil && p.running() { // before it catches signals SIGHUP would end it
			p.signal(syscall.SIGHUP)
		}
	}
}

// until polls a condition until it holds.
func (r *trial) until(what string, within time.Duration, holds func() bool) {
	r.t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			r.t.Errorf("seed %d: %s: not within %v", r.seed, what, within)
			return
		case <-tick.C:
		}
	}
}

// awaitTopic waits until a member has made the topics, so that the first events find them at work.
func (r *trial) awaitTopic() {
	r.t.Helper()
	r.until("topics are created", 30*time.Second, func() bool {
		list, err := r.admin.ListTopics(r.t.Context(), r.prefix+"-changelog")
		return err == nil && list[r.prefix+"-changelog"].Err == nil
	})
}

// send sends the script at its pace, and returns by how much it fell behind at worst.
func (r *trial) send() (stall time.Duration) {
	r.t.Helper()
	began := time.Now()
	for _, e := range r.script.events {
		<-time.After(time.Until(began.Add(e.sent)))
		body := fmt.Sprintf(`{"@timestamp":%q,%s}`, began.Add(e.at).UTC().Format("2006-01-02T15:04:05.000000Z"), e.body)
		rec := &kgo.Record{Key: []byte(e.host), Value: []byte(body)}
		if err := r.cl.ProduceSync(r.t.Context(), rec).FirstErr(); err != nil {
			r.t.Fatal(err)
		}
		stall = max(stall, time.Since(began.Add(e.sent)))
	}
	return stall
}

// disturb kills or stops members at random moments, and brings them back.
func (r *trial) disturb(ctx context.Context) {
	left := r.script.length
	pause := func(d time.Duration) bool {
		left -= d
		select {
		case <-time.After(d):
			return true
		case <-ctx.Done():
			return false
		}
	}
	for turn := uint64(0); left > 2*time.Second; turn++ {
		if !pause(time.Second + time.Duration(r.rnd.Int64N(int64(5*time.Second)))) {
			return
		}
		if r.rnd.IntN(2) == 0 {
			r.reload(turn)
			pause(time.Duration(r.rnd.Int64N(int64(300 * time.Millisecond))))
		}
		empty := (r.seed+turn)%2 == 0
		victims := r.members[:]
		if r.rnd.IntN(4) > 0 {
			one := r.rnd.IntN(2)
			victims = r.members[one : one+1]
		}
		away := time.Duration(r.rnd.Int64N(int64(1500 * time.Millisecond)))
		if r.rnd.IntN(3) == 0 { // it comes back as one that the group has given up
			for _, p := range victims {
				p.signal(syscall.SIGSTOP)
			}
			pause(r.session + time.Second + away)
			for _, p := range victims {
				p.signal(syscall.SIGCONT)
			}
			continue
		}
		if r.rnd.IntN(3) == 0 { // long enough for the other to take over
			away += r.session
		}
		for _, p := range victims {
			p.signal(syscall.SIGKILL)
			p.wait()
		}
		pause(away)
		for _, p := range victims {
			if empty {
				p.clearState()
			}
			p.start()
		}
	}
}

// compare waits for the alerts and compares them. The members have stopped when the topic is read for the last time.
func (r *trial) compare() {
	r.t.Helper()
	r.until("all alerts are there", r.session*4+45*time.Second, func() bool { return len(r.alerts()) >= len(r.script.want) })
	for _, p := range r.members {
		r.until("a member that was started last is there", 20*time.Second, p.running)
		p.terminate()
	}
	if diff := cmp.Diff(r.script.want, r.alerts()); diff != "" {
		r.t.Errorf("seed %d: alerts (-want +got):\n%s", r.seed, diff)
	}
}

// alerts reads all committed alerts: rule id and the ids of the events, sorted.
func (r *trial) alerts() []string {
	r.t.Helper()
	ends, err := r.admin.ListCommittedOffsets(r.t.Context(), r.alertTopic())
	if err != nil {
		r.t.Fatal(err)
	}
	starts, left := map[int32]kgo.Offset{}, map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset > 0 {
			starts[end.Partition], left[end.Partition] = kgo.NewOffset().At(0), end.Offset
		}
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.alertTopic(): starts}))
	if err != nil {
		r.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	var got []string
	for len(left) > 0 {
		for _, rec := range cl.PollFetches(ctx).Records() {
			if rec.Offset < left[rec.Partition] && !rec.Attrs.IsControl() {
				got = append(got, r.line(rec))
			}
			if rec.Offset+1 >= left[rec.Partition] {
				delete(left, rec.Partition)
			}
		}
		if ctx.Err() != nil {
			r.t.Fatalf("alerts are not read to the end: %v left", slices.Sorted(maps.Keys(left)))
		}
	}
	slices.Sort(got)
	return got
}

func (r *trial) line(rec *kgo.Record) string {
	r.t.Helper()
	var doc struct {
		Rule struct {
			ID string `json:"id"`
		} `json:"rule"`
		Weir struct {
			Events []struct {
				ID      string `json:"id"`
				Missing bool   `json:"missing"`
			} `json:"events"`
		} `json:"weir"`
	}
	if err := json.Unmarshal(rec.Value, &doc); err != nil {
		r.t.Fatal(err)
	}
	line := []string{doc.Rule.ID}
	for _, e := range doc.Weir.Events {
		if e.Missing {
			e.ID = "-"
		}
		line = append(line, e.ID)
	}
	return strings.Join(line, " ")
}
