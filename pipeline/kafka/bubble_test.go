package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// These tests run the service and the broker in a bubble of testing/synctest: time is virtual there, and goes on when all
// goroutines wait for it. So minutes of silence cost nothing, and when something happens is exact. The connections are
// pipes in memory. The state is in memory too, since a bubble doesn't see disks.

// bubbleStart is the time in a bubble when a test begins: that of doc.
const bubbleStart = 1_790_000_000_000

// bubble is a cluster of two brokers in virtual time. It is called within synctest.Test.
func bubble(t *testing.T, partitions int32) *cluster {
	t.Helper()
	time.Sleep(time.Until(time.UnixMilli(bubbleStart)))
	network := new(kfake.VirtualNetwork)
	fake, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.Ports(19092, 19093), kfake.ListenFn(network.Listen),
		kfake.BrokerConfigs(map[string]string{"group.min.session.timeout.ms": "500"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	c := &cluster{brokers: fake.ListenAddrs(), dial: network.DialContext, prefix: "t", input: "t-events", fake: fake}
	c.connect(t)
	c.createTopic(t, c.input, partitions)
	return c
}

// runIn starts a service with a store in memory.
func (c *cluster) runIn(t *testing.T, cfg kafka.Config, store *state.Store) *member {
	t.Helper()
	return c.startDeps(t, cfg, "", kafka.Deps{Now: time.Now, Logger: slog.New(slog.DiscardHandler), Store: store})
}

// variant is a way to run the same script.
type variant struct {
	commit   time.Duration
	members  int
	restarts bool // at random, half of them without the local state
	swaps    bool // the rules are loaded again at random
	batch    int
	topics   int  // 2: network events have a topic of their own
	slow     bool // which now and then brings nothing for a while
	backtest bool // what it finds is compared with a backtest
	dawdles  bool // commits take up to some intervals, so that records are read behind them
	aborts   bool // some transactions are refused
	rekeyed  bool // some rules join events of any host, one of them by event.created
	seed     uint64
}

// scriptStep is an event of a script, and how long nothing happens before it.
type scriptStep struct {
	gap           time.Duration
	host, process string
	category      string
}

// script makes up events of some hosts with silences between.
func script(rnd *rand.Rand, n int) (steps []scriptStep) {
	for range n {
		s := scriptStep{gap: time.Duration(rnd.IntN(300)) * time.Millisecond, host: fmt.Sprint("h", rnd.IntN(3)), category: "process"}
		switch rnd.IntN(6) {
		case 0:
			s.gap = time.Duration(2+rnd.IntN(40)) * time.Second
		case 1:
			s.gap = time.Duration(700+rnd.IntN(3000)) * time.Millisecond
		}
		if s.process = []string{"curl", "nc", "login", "logout", "slow", "fast", "curl"}[rnd.IntN(7)]; s.process == "curl" && rnd.IntN(2) == 0 {
			s.category = "network"
		}
		steps = append(steps, s)
	}
	return steps
}

// tell runs a script under a variant, and returns the alerts by id. It ends a minute after those that are wanted are there, none for the
// variant that says what is to be wanted.
func (v variant) tell(t *testing.T, steps []scriptStep, want map[string]string) (got map[string]string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t, 2)
		ruleSet := func() *rules.Set { return testSet(t) }
		if v.rekeyed {
			ruleSet = func() *rules.Set { return compiledRules(t, anyHostRules) }
		}
		c.pipeline = func() *pipeline.Config {
			p := pipelineConfig(t)
			p.Set = ruleSet()
			return p
		}
		l := &lagging{cluster: c, cfg: c.config()}
		if v.rekeyed {
			l.cfg.RekeyTopic = "t-rekey"
		}
		if v.topics == 2 {
			l = lag(t, c)
		}
		rnd := rand.New(rand.NewPCG(v.seed, 7))
		stores := make([]*state.Store, v.members)
		running := make([]*member, v.members)
		start := func(i int) {
			cfg := l.cfg
			cfg.Instance, cfg.CommitInterval, cfg.BatchRecords, cfg.TopicWait = fmt.Sprint("m", i), v.commit, v.batch, time.Hour
			running[i] = c.startDeps(t, cfg, "", kafka.Deps{Now: time.Now, Logger: slog.New(slog.DiscardHandler), Store: stores[i], At: v.dawdle()})
		}
		if v.aborts {
			c.refuseSome(rand.New(rand.NewPCG(v.seed, 9)))
		}
		for i := range running {
			stores[i] = state.OpenMemory()
			start(i)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var swaps sync.WaitGroup
		down := map[int]int{}              // members by the step before which they come back
		stopped := map[int]chan struct{}{} // those that are down, closed when they have stopped: events don't wait for it either
		at := time.Now()
		slowSince := at
		for n, s := range steps {
			if at = at.Add(s.gap); at.Sub(slowSince) > 20*time.Second {
				l.slow.Store(false) // a refill gives records up that don't come for 30 s
			}
			time.Sleep(time.Until(at)) // nothing that happens moves the script
			topic := c.input
			if v.topics == 2 && s.category == "network" {
				topic = slowTopic
			}
			value := doc(s.host, strconv.Itoa(n), s.category, s.process, 7, at.UnixMilli()-bubbleStart)
			if v.rekeyed { // by event.created the order is another one
				created := fmt.Sprintf(`"event":{"created":%d,`, at.UnixMilli()-3_600_000-int64(n*37%150))
				value = strings.Replace(value, `"event":{`, created, 1)
			}
			c.send(t, &kgo.Record{Topic: topic, Key: []byte(s.host), Value: []byte(value)})
			if v.slow && rnd.IntN(4) == 0 {
				l.slow.Store(!l.slow.Load())
				slowSince = at
			}
			i := rnd.IntN(v.members)
			switch back, isDown := down[i]; {
			case isDown && n >= back && isClosed(stopped[i]):
				start(i)
				delete(down, i)
			case isDown:
			case v.restarts && rnd.IntN(5) == 0:
				m, done := running[i], make(chan struct{})
				stopped[i] = done
				go func() { defer close(done); m.stop() }()
				if rnd.IntN(2) == 0 {
					stores[i] = state.OpenMemory()
				}
				down[i] = n + rnd.IntN(4)
			case v.swaps && rnd.IntN(6) == 0:
				m, set := running[i], ruleSet()
				swaps.Go(func() { // events don't wait for it: they would be late
					if err := m.SwapRules(ctx, set); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				})
			}
		}
		for i := range down {
			<-stopped[i]
			start(i)
		}
		l.slow.Store(false)
		c.awaitAll(t, want)
		time.Sleep(time.Minute) // for what nobody wants
		for _, m := range running {
			m.stop()
		}
		cancel() // of members that were stopped before
		swaps.Wait()
		got = c.published(t)
		if !v.backtest {
			return
		}
		found := c.replayed(t, kafka.RangeOptions{Topics: l.cfg.Topics})
		if diff := cmp.Diff(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(found))); diff != "" {
			t.Errorf("backtest (-live +backtest):\n%s", diff)
		}
	})
	return got
}

// longestTail bounds how long alerts are waited for, in virtual time. With commits of 5 s, each of whose steps takes up to 5 s more and a third of
// which are refused, the last of them come up to some two minutes after the last event: it is sent in one commit, its clock is reported in another, and
// what that decides is published in a third, of another member; each waits for the one before it.
const longestTail = 20 * time.Minute

// awaitAll waits until all alerts that are wanted are published. What is lacking then is for the caller to see.
func (c *cluster) awaitAll(t *testing.T, want map[string]string) {
	t.Helper()
	lacks := func() bool {
		got := c.published(t)
		for id := range want {
			if _, ok := got[id]; !ok {
				return true
			}
		}
		return false
	}
	for end := time.Now().Add(longestTail); len(want) > 0 && time.Now().Before(end) && lacks(); {
		time.Sleep(time.Second)
	}
}

// dawdle returns what makes commits slow, nil for none. It doesn't sleep where state is restored: a lock is held there, and time stands still in
// a bubble while a goroutine waits for a lock, for whoever gives the partition up, so that the sleep would never end.
func (v variant) dawdle() func(kafka.Point) {
	if !v.dawdles {
		return nil
	}
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(v.seed, 8))
	return func(p kafka.Point) {
		if p == kafka.PointRestored {
			return
		}
		mu.Lock()
		d := time.Duration(rnd.Int64N(int64(v.commit)))
		mu.Unlock()
		time.Sleep(d)
	}
}

// refuseSome has the broker refuse the offsets of a third of all transactions.
func (c *cluster) refuseSome(rnd *rand.Rand) {
	c.fake.ControlKey(int16(kmsg.TxnOffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		req, ok := r.(*kmsg.TxnOffsetCommitRequest)
		if !ok || rnd.IntN(3) > 0 {
			return nil, nil, false
		}
		return unknownMember(req), nil, true
	})
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// TestSameIDsInVirtualTime is the metamorphic test of time: a script with silences gives the same alerts, to the byte,
// whatever the commit interval, the size of polls, the number of members, restarts and reloads, slow commits behind which records are read, and
// transactions that are aborted; and what a backtest finds of the same events.
func TestSameIDsInVirtualTime(t *testing.T) {
	seeds := uint64(2)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		steps := script(rand.New(rand.NewPCG(seed, 1)), 40)
		want := variant{commit: 100 * time.Millisecond, members: 1, batch: 1000, backtest: true}.tell(t, steps, nil)
		if len(want) < 8 {
			t.Fatalf("seed %d: %d alerts: the script proves too little", seed, len(want))
		}
		const usual = 100 * time.Millisecond
		for name, v := range map[string]variant{
			"short commits":  {commit: 10 * time.Millisecond, members: 1, batch: 1000},
			"long commits":   {commit: 7 * time.Second, members: 1, batch: 1000},
			"single records": {commit: usual, members: 1, batch: 1},
			"two members":    {commit: usual, members: 2, batch: 1000},
			"restarts":       {commit: usual, members: 1, batch: 1000, restarts: true},
			"reloaded rules": {commit: usual, members: 1, batch: 1000, swaps: true},
			"two topics":     {commit: usual, members: 1, batch: 1000, topics: 2, backtest: true},
			"a slow topic":   {commit: usual, members: 1, batch: 1000, topics: 2, slow: true, backtest: true},
			"a slow topic and restarts": {
				commit: 300 * time.Millisecond, members: 1, batch: 2, topics: 2, slow: true, restarts: true, swaps: true,
			},
			"slow commits":             {commit: usual, members: 1, batch: 3, dawdles: true},
			"slow commits and aborts":  {commit: usual, members: 1, batch: 1000, dawdles: true, aborts: true},
			"slow commits, two topics": {commit: usual, members: 1, batch: 5, dawdles: true, aborts: true, topics: 2, slow: true},
			"all at once":              {commit: 300 * time.Millisecond, members: 2, batch: 3, restarts: true, swaps: true, dawdles: true, aborts: true},
		} {
			v.seed = seed
			got := v.tell(t, steps, want)
			if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
				t.Errorf("seed %d, %s: ids (-want +got):\n%s", seed, name, diff)
			}
		}
	}
}

// anyHostRules join events of any host, by @timestamp and by event.created.
var anyHostRules = map[string]string{
	"hop":   `sequence by process.pid with maxspan=20s [process where process.name == "login"] [any where process.name == "curl"]`,
	"first": `sequence by process.pid with maxspan=20s [process where process.name == "login"] [any where process.name == "curl"]`,
	"quits": `sequence by process.pid with maxspan=3s [process where process.name == "slow"] ![process where process.name == "curl"]`,
}

// TestRekeyedInVirtualTime: rules that join events of any host, in the order of @timestamp and of another field, give the same alerts, to the byte,
// however members get on, and as a backtest.
func TestRekeyedInVirtualTime(t *testing.T) {
	usual, seeds := 100*time.Millisecond, uint64(2)
	if racing {
		usual, seeds = 500*time.Millisecond, 1
	}
	for seed := range seeds {
		steps := script(rand.New(rand.NewPCG(seed, 3)), 60)
		want := variant{commit: usual, members: 1, batch: 1000, backtest: true, rekeyed: true}.tell(t, steps, nil)
		byRule := map[string]int{}
		for _, body := range want {
			for id := range anyHostRules {
				if strings.Contains(body, fmt.Sprintf(`"id":%q`, id)) {
					byRule[id]++
				}
			}
		}
		if len(byRule) < len(anyHostRules) {
			t.Errorf("seed %d: alerts by rule %v: the script proves too little", seed, byRule)
		}
		for name, v := range map[string]variant{
			"long commits":            {commit: 7 * time.Second, members: 1, batch: 1000},
			"single records":          {commit: usual, members: 1, batch: 1},
			"two members":             {commit: usual, members: 2, batch: 1000},
			"restarts":                {commit: usual, members: 1, batch: 1000, restarts: true},
			"slow commits and aborts": {commit: usual, members: 2, batch: 3, dawdles: true, aborts: true},
			"all at once":             {commit: 300 * time.Millisecond, members: 2, batch: 3, restarts: true, swaps: true, dawdles: true, aborts: true},
		} {
			v.seed, v.rekeyed = seed, true
			got := v.tell(t, steps, want)
			if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
				t.Errorf("seed %d, %s: ids (-want +got):\n%s", seed, name, diff)
			}
		}
	}
}

// TestSilenceInVirtualTime: on a partition that falls silent an absence is decided when the wall clock says so: not
// earlier, and hardly later. So it is, but for up to five seconds, where the service was down in between: it isn't waited for anew.
func TestSilenceInVirtualTime(t *testing.T) {
	for _, down := range []time.Duration{0, time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			c := bubble(t, 1)
			cfg, store := c.config(), state.OpenMemory()
			m := c.runIn(t, cfg, store)
			time.Sleep(time.Second)
			for i := range 3 { // gaps that no second host confirms
				time.Sleep(time.Minute)
				c.produce(t, "h", doc("h", strconv.Itoa(i), "process", "slow", 1, time.Now().UnixMilli()-bubbleStart))
			}
			last := time.Now()
			time.Sleep(500 * time.Millisecond)
			if down > 0 {
				m.stop()
				time.Sleep(down)
				m = c.runIn(t, cfg, state.OpenMemory())
			}
			due := last.Add(3*time.Second + 200*time.Millisecond)
			begun := time.Now().Add(cfg.IdleAfter)
			var less time.Duration
			if down > 0 {
				less = 5 * time.Second // so much at the most isn't counted: another member's clock might be behind
			}
			time.Sleep(time.Minute)
			m.stop()
			var at time.Time
			for _, r := range c.committed(t, c.prefix+"-alerts") {
				if eventIDs(t, timeless(t, r.Value)) == "2," {
					at = r.Timestamp
				}
			}
			latest := due
			if begun.After(due) {
				latest = begun
			}
			if latest = latest.Add(less + 300*time.Millisecond); at.Before(due) || at.After(latest) {
				t.Errorf("down for %s: decided at %s, want %s to %s", down, at.UTC(), due.UTC(), latest.UTC())
			}
		})
	}
}

// TestTopicWaitInVirtualTime: a topic that brings nothing is waited for exactly as long as the settings say, here the
// default of a minute.
func TestTopicWaitInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lag(t, bubble(t, 1))
		c.slow.Store(true)
		c.pairs(t, 0, 30, "")
		c.reg = prometheus.NewRegistry()
		m := c.startDeps(t, c.cfg, "", kafka.Deps{
			Now: time.Now, Logger: slog.New(slog.DiscardHandler), Store: state.OpenMemory(), Metrics: kafka.NewMetrics(c.reg),
		})
		time.Sleep(59 * time.Second)
		if at := c.offset(t, c.input); at > 0 {
			t.Errorf("after 59 s %d records have gone on", at)
		}
		time.Sleep(3 * time.Second)
		if at := c.offset(t, c.input); at < 30 {
			t.Errorf("after 62 s only %d records have gone on", at)
		}
		if got := c.metric(t, "weir_topic_wait_exceeded_total"); got != 1 {
			t.Errorf("counted %v times, want once", got)
		}
		c.slow.Store(false)
		time.Sleep(2 * time.Second)
		if at := c.offset(t, slowTopic); at < 30 {
			t.Errorf("only %d records of the slow topic came in the end", at)
		}
		m.stop()
	})
}
