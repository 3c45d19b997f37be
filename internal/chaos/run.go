//go:build unix

package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// mostMembers is the number of members that a run may have at once: three, and two that join and leave.
const mostMembers = 5

// Options say how to run.
type Options struct {
	Weir     string        // the program, built with the tag chaos
	Libs     string        // folder with the jars of Kafka: hack/kafka.sh libs
	Dir      string        // for state and logs; what a failed run leaves stays there
	Duration time.Duration // of the scripts
	Only     []string      // kinds of faults; all where it is empty
	Plant    string        // error that the members have, to see that it is found: alerts, state or checkpoint; empty for none
	Log      func(format string, args ...any)

	proof bool // the run is to fail: it waits for nothing that is lost
}

// Harness is a broker and the links to it, on which one run after another takes place.
type Harness struct {
	o      Options
	broker *broker
	links  []*link
	folder *os.File // locked
	block  *portBlock
	ports  []int // of the members' metrics
	mounts bool
	runs   int
}

// Start starts the broker.
func Start(ctx context.Context, o Options) (*Harness, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	folder, err := lockFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	h := &Harness{o: o, folder: folder, mounts: mountsAllowed()}
	if !h.mounts {
		o.Log("this system lets nobody mount without privileges: no full disks")
	}
	for range mostMembers {
		l, err := newLink(ctx)
		if err != nil {
			return nil, errors.Join(err, h.Close())
		}
		l.run()
		h.links = append(h.links, l)
	}
	for range 5 {
		if err = h.startBroker(ctx); !errors.Is(err, errEnded) {
			break
		}
		o.Log("the broker is started again on other ports: %v", err)
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// lockFolder makes sure that the folder's broker is ours until the file is closed.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another run of the harness is at work in %s: %w", dir, err), f.Close())
	}
	return f, nil
}

// startBroker starts a broker on ports that were free a moment ago. It is errEnded where somebody took one of them in between.
func (h *Harness) startBroker(ctx context.Context) (err error) {
	if h.block != nil {
		h.block.close()
	}
	own := 2 + len(h.links)
	if h.block, err = reservePorts(own + mostMembers); err != nil {
		return err
	}
	ports := h.block.ports(own + mostMembers)
	h.ports = ports[own:]
	if err := os.RemoveAll(filepath.Join(h.o.Dir, "data")); err != nil {
		return err
	}
	if h.broker, err = newBroker(ctx, h.o.Dir, h.o.Libs, ports[:own], h.links); err != nil {
		return err
	}
	if err := h.broker.start(ctx); err != nil {
		h.broker.stop(syscall.SIGKILL)
		return err
	}
	return nil
}

// Close ends the broker and removes its data.
func (h *Harness) Close() error {
	for _, l := range h.links {
		l.close()
	}
	if h.block != nil {
		h.block.close()
	}
	defer h.folder.Close()
	if h.broker == nil {
		return nil
	}
	h.broker.stop(syscall.SIGKILL)
	return os.RemoveAll(filepath.Join(h.o.Dir, "data"))
}

// run is one script against one group.
type run struct {
	o        Options
	ctx      context.Context //nolint:containedctx // of the whole run, for faults that must be ended in order after their lane's context
	settings settings
	script   *script
	dir      string
	prefix   string // of topics and the group
	rules    string // folder
	broker   *broker
	links    []*link
	members  []*member // the regular ones, then the extra ones
	feed     *feed
	reader   *alertReader
	admin    *kadm.Client
	counters counters
	upsets   upsets
	work     sync.WaitGroup // of the members' processes
	began    time.Time
	journal  *os.File

	mu       sync.Mutex
	faults   map[string]int
	troubles []string
}

// Run runs the script and the faults of a seed.
func (h *Harness) Run(ctx context.Context, seed uint64) (*Result, error) {
	return h.run(ctx, seed, h.o)
}

// Prove runs a short script without faults, but with members that lose alerts and double others, and returns an error where
// the run doesn't find both: then it would prove nothing that others pass.
func (h *Harness) Prove(ctx context.Context, seed uint64) error {
	o := h.o
	o.Plant, o.Only, o.Duration, o.proof = plantAlerts, []string{none}, 3*time.Second, true
	for attempt := 1; ; attempt++ {
		res, err := h.run(ctx, seed, o)
		if err != nil {
			return err
		}
		if len(res.Lost) > 0 && len(res.Doubled) > 0 {
			o.Log("alerts that members lose and double on purpose are found: %d lost, %d doubled of %d", len(res.Lost), len(res.Doubled), res.Expected)
			return os.RemoveAll(res.Dir)
		}
		if attempt == 3 {
			return fmt.Errorf("members lose and double alerts on purpose, and the harness doesn't see it:\n%s", res.Line())
		}
	}
}

func (h *Harness) run(ctx context.Context, seed uint64, o Options) (*Result, error) {
	h.runs++
	s := newSettings(seed)
	if o.proof { // what is doubled has no excuse
		s.atLeastOnce = false
	}
	r := &run{
		o: o, ctx: ctx, settings: s, script: s.script(o.Duration), prefix: fmt.Sprintf("chaos-%d-%d", seed, h.runs),
		dir: filepath.Join(h.o.Dir, fmt.Sprintf("seed-%d-%d", seed, h.runs)), broker: h.broker, links: h.links, faults: map[string]int{},
		began: time.Now(),
	}
	r.rules = filepath.Join(r.dir, "rules")
	if err := os.MkdirAll(r.rules, 0o700); err != nil {
		return nil, err
	}
	journal, err := os.Create(filepath.Join(r.dir, "journal"))
	if err != nil {
		return nil, err
	}
	defer journal.Close()
	r.journal = journal
	plan := newPlan(s, h.mounts).only(o.Only, s)
	fmt.Fprintf(journal, "seed %d: %v\n%v\n", seed, s, plan)
	if err := r.prepare(h.ports); err != nil {
		return nil, errors.Join(err, r.close())
	}
	result, err := r.perform(ctx, plan)
	return result, errors.Join(err, r.close())
}

// prepare makes topics, rules, members, feed and reader.
func (r *run) prepare(ports []int) error {
	if err := writeRules(r.rules, detections(r.settings.joins), 0); err != nil {
		return err
	}
	var err error
	if r.feed, err = newFeed(r.broker.bootstrap(), r.settings.topics(r.prefix), r.script); err != nil {
		return err
	}
	if r.reader, err = newAlertReader(r.broker.bootstrap(), r.alertTopic()); err != nil {
		return err
	}
	r.admin = kadm.NewClient(r.feed.cl)
	times := "CreateTime"
	if r.settings.logAppend {
		times = "LogAppendTime"
	}
	partitions := map[string]int32{r.alertTopic(): 2, r.deadLetterTopic(): 1}
	inputs := r.settings.topics(r.prefix)
	for _, topic := range inputs {
		partitions[topic] = r.settings.partitions
	}
	for topic, number := range partitions {
		config := map[string]*string{}
		if slices.Contains(inputs, topic) {
			config["message.timestamp.type"] = &times
		}
		resp, err := r.admin.CreateTopic(r.ctx, number, 1, config, topic)
		if err := errors.Join(err, resp.Err); err != nil {
			return fmt.Errorf("create topic %s: %w", topic, err)
		}
	}
	for i := range mostMembers {
		m, err := r.newMember(i, ports[i])
		if err != nil {
			return err
		}
		r.members = append(r.members, m)
	}
	return nil
}

func (r *run) alertTopic() string { return r.prefix + "-alerts" }

func (r *run) deadLetterTopic() string { return r.prefix + "-dead" }

func (r *run) changelogTopic() string { return r.prefix + "-changelog" }

func (r *run) rekeyTopic() string { return r.prefix + "-rekey" }

// regular are the members that are there all the time, but for faults.
func (r *run) regular() []*member { return r.members[:r.settings.members] }

// extra are those that only come and go.
func (r *run) extra() []*member { return r.members[r.settings.members:] }

// perform sends the script while faults happen, waits for what has to come, and compares.
func (r *run) perform(ctx context.Context, plan lanes) (*Result, error) {
	background, cancel := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel()
	helpers.Go(func() { r.reader.run(background) })
	helpers.Go(func() { r.watch(background) })
	for _, m := range r.regular() {
		m.start()
	}
	if err := r.awaitMembers(ctx); err != nil {
		return nil, err
	}
	faults, stop := context.WithCancel(ctx)
	defer stop()
	var disturbed sync.WaitGroup
	for _, row := range plan {
		disturbed.Go(func() { r.disturb(faults, row.faults) })
	}
	err := r.feed.run(ctx)
	r.log("the script is sent")
	stop()
	disturbed.Wait()
	if err != nil {
		return nil, fmt.Errorf("feed: %w", err)
	}
	return r.settle(ctx)
}

// awaitMembers waits until a member is at work, so that faults find them so.
func (r *run) awaitMembers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for !r.ready(ctx, r.members[0]) {
		if !pause(ctx, 50*time.Millisecond) {
			return errors.New("the first member isn't ready within a minute")
		}
	}
	return nil
}

// ready asks a member whether it has joined and restored its state.
func (r *run) ready(ctx context.Context, m *member) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(m.http)+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// watch looks at the members' counters until ctx ends.
func (r *run) watch(ctx context.Context) {
	for began := time.Now(); pause(ctx, 250*time.Millisecond); began = time.Now() {
		if time.Since(began) > time.Second { // the machine stood still, and so may the members have
			r.upsets.stalled(everybody, began)
		}
		r.look(ctx)
	}
}

func (r *run) look(ctx context.Context) {
	var all sync.WaitGroup
	for _, m := range r.members {
		all.Go(func() {
			began := time.Now()
			if err := r.counters.look(ctx, m); errors.Is(err, context.DeadlineExceeded) {
				r.upsets.stalled(m.number, began)
			}
		})
	}
	all.Wait()
}

// patience is how long all that is due may take after the last fault: a minute beyond what the rules wait, and less where what is
// lost won't come.
func (r *run) patience() time.Duration {
	rules := r.settings.lateness + 3*time.Second
	switch {
	case r.o.proof:
		return rules
	case r.o.Plant != "":
		return rules + 2*r.settings.session + 8*time.Second
	default:
		return rules + 2*r.settings.session + time.Minute
	}
}

// plantAlerts is the error of losing one alert in four and doubling another; the program that is built with the tag chaos has it.
const plantAlerts = "alerts"

// settle waits for the expected alerts, ends the members in order, and compares what is on the topic then.
func (r *run) settle(ctx context.Context) (*Result, error) {
	want := expect(detections(r.settings.joins), r.script.events, r.settings.lateness)
	deadline := time.Now().Add(r.patience())
	for r.reader.missing(want) > 0 && time.Now().Before(deadline) {
		if !pause(ctx, 100*time.Millisecond) {
			return nil, ctx.Err()
		}
	}
	if missing := r.reader.missing(want); missing > 0 {
		r.log("%d of %d alerts are missing", missing, len(want))
		r.logTransactions(ctx)
	}
	// What must not come is given the time to do so.
	pause(ctx, time.Second)
	r.look(ctx)
	for _, m := range r.members {
		if !m.retire(syscall.SIGTERM) {
			r.trouble("member %d doesn't end within 30 s of SIGTERM", m.number)
		}
	}
	r.work.Wait()
	got, err := r.reader.all(ctx)
	if err != nil {
		r.trouble("%v", err)
		r.logTransactions(ctx)
		err = nil
	}
	result := r.compare(want, got)
	if result.Verdict != Passed {
		err = r.keepEvents(want)
	}
	return result, errors.Join(err, ctx.Err())
}

// logTransactions writes into the journal what the broker knows of the run's transactions: one that doesn't end holds up
// all who read committed.
func (r *run) logTransactions(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	transactions, err := r.admin.DescribeTransactions(ctx)
	if err != nil {
		r.log("transactions: %v", err)
	}
	for _, t := range transactions.Sorted() {
		if strings.HasPrefix(t.TxnID, r.prefix+"-") {
			r.log("transaction %s: %s, producer %d epoch %d, begun %v, %v %v", t.TxnID, t.State, t.ProducerID, t.ProducerEpoch,
				time.UnixMilli(t.StartTimestamp).Format(time.StampMilli), t.Topics, t.Err)
		}
	}
	topics := kadm.TopicsSet{}
	for n := range r.settings.partitions {
		topics.Add(r.changelogTopic(), n)
	}
	topics.Add(r.alertTopic(), 0, 1)
	producers, err := r.admin.DescribeProducers(ctx, topics)
	if err != nil {
		r.log("producers: %v", err)
	}
	for _, p := range producers.SortedProducers() {
		r.log("%s/%d: producer %d epoch %d, last at %v, open from %d", p.Topic, p.Partition, p.ProducerID, p.ProducerEpoch,
			time.UnixMilli(p.LastTimestamp).Format(time.StampMilli), p.CurrentTxnStartOffset)
	}
}

// keepEvents writes what was sent, and what was expected of it, beside the logs.
func (r *run) keepEvents(want []wanted) error {
	var sent, expected strings.Builder
	for _, e := range r.script.events {
		if !e.stamp.IsZero() {
			fmt.Fprintf(&sent, "%d/%d/%d %s %s\n", e.topic, e.partition, e.offset, e.acked.UTC().Format(time.RFC3339Nano), e.document())
		}
	}
	for _, w := range want {
		fmt.Fprintf(&expected, "%s %s\n", w.due.UTC().Format(time.RFC3339Nano), w.line)
	}
	return errors.Join(os.WriteFile(filepath.Join(r.dir, "sent"), []byte(sent.String()), 0o600),
		os.WriteFile(filepath.Join(r.dir, "expected"), []byte(expected.String()), 0o600))
}

// awaitBroker waits until the broker answers, for as long as its logs are recovered.
func (r *run) awaitBroker() error {
	ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
	defer cancel()
	for {
		attempt, end := context.WithTimeout(ctx, 2*time.Second)
		_, err := r.admin.ListEndOffsets(attempt, r.prefix)
		end()
		if err == nil || !pause(ctx, 100*time.Millisecond) {
			return err
		}
	}
}

// close ends what is left and removes the topics, so that later runs are not slowed down.
func (r *run) close() error {
	for _, m := range r.members {
		m.retire(syscall.SIGKILL)
	}
	r.work.Wait()
	if r.admin != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		topics := append(r.settings.topics(r.prefix), r.alertTopic(), r.deadLetterTopic(), r.changelogTopic(), r.rekeyTopic())
		_, err := r.admin.DeleteTopics(ctx, topics...)
		if err != nil {
			r.log("topics not deleted: %v", err)
		}
	}
	for _, cl := range []*kgo.Client{r.feedClient(), r.readerClient()} {
		if cl != nil {
			cl.Close()
		}
	}
	return nil
}

func (r *run) feedClient() *kgo.Client {
	if r.feed == nil {
		return nil
	}
	return r.feed.cl
}

func (r *run) readerClient() *kgo.Client {
	if r.reader == nil {
		return nil
	}
	return r.reader.cl
}

// log writes a line into the run's journal.
func (r *run) log(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.journal, "%s %6.2f %s\n", time.Now().Format(time.StampMilli), time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

// trouble notes what must not happen whatever the faults are.
func (r *run) trouble(format string, args ...any) {
	r.log("TROUBLE: "+format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.troubles = append(r.troubles, fmt.Sprintf(format, args...))
}

func (r *run) count(kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[kind]++
}
