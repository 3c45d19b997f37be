package kafka_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/rules"
)

// userRules join events of any host: a sequence, one that ends in an absence, a sample, and two by event.created, which is an hour
// behind and by which a story takes 75 times as long.
var userRules = map[string]string{
	"hop":   `sequence by user.name with maxspan=1m [process where process.name == "login"] [process where process.name == "sudo"]`,
	"stays": `sequence by user.name with maxspan=1s [process where process.name == "sudo"] ![process where process.name == "logout"]`,
	"pair":  `sample by user.name [process where process.name == "scan"] [process where process.name == "sudo"]`,
	"first": `sequence by user.name with maxspan=1m [process where process.name == "login"] [process where process.name == "scan"]`,
	"quits": `sequence by user.name with maxspan=1s [process where process.name == "login"] ![process where process.name == "scan"]`,
}

// ordered are the fields that order the events of some rules.
var ordered = map[string]string{"first": "event.created", "quits": "event.created"}

// compiledRules compiles rules by their ids.
func compiledRules(t *testing.T, queries map[string]string) *rules.Set {
	t.Helper()
	dir := t.TempDir()
	for name, query := range queries {
		writeRuleBy(t, dir, name, query, ordered[name])
	}
	c, err := rules.Load([]string{dir}, rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.NewSet(c.Rules, rules.SetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// userDoc makes an event of a user on a host.
func userDoc(host, user, id, process string, at int64) string {
	ts := time.UnixMilli(1_790_000_000_000 + at).UTC().Format("2006-01-02T15:04:05.000Z")
	created := int64(1_790_000_000_000) + 75*at - 3_600_000
	return fmt.Sprintf(`{"@timestamp":%q,"event":{"created":%d,"id":%q,"category":["process"],"type":["start"]},"host":{"id":%q},"user":{"name":%q},"process":{"name":%q}}`,
		ts, created, id, host, user, process)
}

// userStory is what one user does on hosts of different partitions. It ends in one alert of each of the rules, which is published
// under the host of the event that completes it. It begins at from, in milliseconds.
func userStory(i, partitions int, from int64) (records []*kgo.Record, want []string) {
	user := "user" + strconv.Itoa(i)
	host := func(k int) string { return fmt.Sprintf("host%d-%d", i, k) }
	add := func(k int, process string, at int64) {
		records = append(records, &kgo.Record{
			Partition: int32((i + k) % partitions),
			Value:     []byte(userDoc(host(k), user, fmt.Sprintf("%s-%d", user, len(records)), process, from+at)),
		})
	}
	add(0, "login", 0)
	add(1, "scan", 20)
	add(2, "sudo", 40)
	return records, []string{"first " + host(1), "hop " + host(2), "pair " + host(2), "quits " + host(0), "stays " + host(2)}
}

// rekeyed is a cluster with the rules that join events of any host.
func (c *cluster) rekeyed(t *testing.T) kafka.Config {
	t.Helper()
	set := compiledRules(t, userRules)
	c.pipeline = func() *pipeline.Config {
		p := pipelineConfig(t)
		p.Set = set
		return p
	}
	cfg := c.config()
	cfg.RekeyTopic = c.prefix + "-rekey"
	return cfg
}

// tellStories produces the stories of users step by step, and does between between the steps.
func (c *cluster) tellStories(t *testing.T, users, partitions int, between func(step int)) (want []string) {
	t.Helper()
	return c.tellMore(t, 0, users, partitions, between)
}

// tellMore is tellStories for the users from first on, whose stories begin minutes after those of the users before.
func (c *cluster) tellMore(t *testing.T, first, users, partitions int, between func(step int)) (want []string) {
	t.Helper()
	var stories [][]*kgo.Record
	for i := first; i < first+users; i++ {
		records, alerts := userStory(i, partitions, int64(first)*120_000)
		stories = append(stories, records)
		want = append(want, alerts...)
	}
	for step := range stories[0] {
		var batch []*kgo.Record
		for _, s := range stories {
			s[step].Topic = c.input
			batch = append(batch, s[step])
		}
		c.send(t, batch...)
		between(step)
	}
	slices.Sort(want)
	return want
}

// TestRekeyedAcrossMembers: users act on hosts of different partitions, in the hands of several members, one of which never has a record on
// one of its partitions.
func TestRekeyedAcrossMembers(t *testing.T) {
	c := fakeCluster(t, 5)
	cfg := c.rekeyed(t)
	for _, name := range []string{"a", "b", "c"} {
		cfg.Instance = name
		c.start(t, cfg, t.TempDir()).awaitReady(t)
	}
	want := c.tellStories(t, 12, 4, func(int) {}) // the last partition stays empty
	if diff := cmp.Diff(want, c.awaitAlerts(t, len(want))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestRekeyedRestarts stops all members between the steps, with their local state and without, and lets another number of them go on.
func TestRekeyedRestarts(t *testing.T) {
	for _, keep := range []bool{true, false} {
		t.Run(fmt.Sprintf("keep=%v", keep), func(t *testing.T) {
			c := fakeCluster(t, 4)
			cfg := c.rekeyed(t)
			dirs := map[string]string{"a": t.TempDir(), "b": t.TempDir()}
			want := c.tellStories(t, 8, 4, func(step int) {
				var running []*member
				for name := range dirs {
					if step == 1 && name == "b" {
						continue
					}
					if !keep {
						dirs[name] = t.TempDir()
					}
					one := cfg
					one.Instance = name
					m := c.start(t, one, dirs[name])
					m.awaitReady(t)
					running = append(running, m)
				}
				c.awaitRead(t, c.input)
				for _, m := range running {
					m.stop()
				}
			})
			cfg.Instance = "a"
			c.start(t, cfg, dirs["a"])
			if diff := cmp.Diff(want, c.awaitAlerts(t, len(want))); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRekeyAll: with rekey, sequences of hosts whose events are spread over all partitions are put together.
func TestRekeyAll(t *testing.T) {
	c := fakeCluster(t, 3)
	c.pipeline = func() *pipeline.Config {
		p := pipelineConfig(t)
		p.Rekey.All = true
		return p
	}
	cfg := c.config()
	cfg.RekeyTopic = c.prefix + "-rekey"
	for _, name := range []string{"a", "b"} {
		cfg.Instance = name
		c.start(t, cfg, t.TempDir()).awaitReady(t)
	}
	hosts := hostNames(6)
	for step := range story("") {
		var batch []*kgo.Record
		for i, h := range hosts {
			batch = append(batch, &kgo.Record{Topic: c.input, Partition: int32((i + step) % 3), Value: []byte(story(h)[step])})
		}
		c.send(t, batch...)
	}
	if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestHostOnPartitionsOfTwoMembers: each member sees a host on one partition only, and still it is reported.
func TestHostOnPartitionsOfTwoMembers(t *testing.T) {
	c := fakeCluster(t, 2)
	cfg := c.rekeyed(t)
	regs := map[string]*prometheus.Registry{}
	for _, name := range []string{"a", "b"} {
		regs[name] = prometheus.NewRegistry()
		one := cfg
		one.Instance = name
		m := c.startDeps(t, one, t.TempDir(), kafka.Deps{
			Metrics: kafka.NewMetrics(regs[name]), Now: time.Now, Logger: slog.New(slog.NewTextHandler(testLog{t}, nil)),
		})
		m.awaitReady(t)
	}
	for i := range int32(2) {
		c.send(t, &kgo.Record{Topic: c.input, Partition: i, Value: []byte(doc("stray", strconv.Itoa(int(i)), "process", "x", 1, 0))})
	}
	conflicts := func() (n float64) {
		for _, reg := range regs {
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if f.GetName() == "weir_host_conflicts_total" {
					n += f.GetMetric()[0].GetCounter().GetValue()
				}
			}
		}
		return n
	}
	until(t, "the conflict is counted", func() bool { return conflicts() == 1 })
}

// TestRekeyTopicIsChecked: another number of partitions stops the start with the remedy.
func TestRekeyTopicIsChecked(t *testing.T) {
	c := fakeCluster(t, 3)
	cfg := c.rekeyed(t)
	c.createTopic(t, cfg.RekeyTopic, 2)
	err := runBriefly(t, cfg)
	want := "rekey " + cfg.RekeyTopic + " has 2 partitions but the input has 3"
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "delete "+cfg.RekeyTopic) {
		t.Errorf("error %v, want %q", err, want)
	}
}
