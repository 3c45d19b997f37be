//go:build unix

package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestReload changes the rules under a process that runs: by SIGHUP, by the change of the files alone, and with a slip in
// between, which is refused and told.
func TestReload(t *testing.T) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	r := &trial{t: t, session: 6 * time.Second, brokers: fake.ListenAddrs(), prefix: "reload"}
	r.connect()
	r.rules = r.writeRules()
	p := r.newProcess(buildWeir(t), 0)
	address := freeAddress(t)
	p.env = []string{"WEIR_HTTP_ADDRESS=" + address, "WEIR_RULES_RELOAD=100ms", "WEIR_ORDER_LATENESS=200ms"}
	p.start()
	t.Cleanup(func() {
		p.end()
		if t.Failed() {
			t.Log(p.tail())
		}
	})
	ready := func(want string, not ...string) {
		t.Helper()
		r.until(want, 20*time.Second, func() bool { return says(t, "http://"+address+"/readyz", want, not...) })
	}
	metric := func(line string) {
		t.Helper()
		r.until(line, 20*time.Second, func() bool { return says(t, "http://"+address+"/metrics", "\n"+line+"\n") })
	}
	ready("running")
	metric(fmt.Sprint("weir_rules ", len(ruleQueries())))

	r.produce(`"event":{"id":"one","category":"process","type":"start"},"process":{"name":"curl","entity_id":"x"}`)
	r.awaitRead()
	r.writeRule(r.rules, "shell-over-network", `process where wildcrd(process.name, "nc")`)
	p.signal(syscall.SIGHUP)
	ready("1 rule file with errors: " + filepath.Join(r.rules, "shell-over-network.toml"))
	metric("weir_rules_last_reload_successful 0")

	r.writeRule(r.rules, "shell-over-network", `process where process.name == "socat"`)
	r.writeRule(r.rules, "added", `process where process.name == "added"`)
	p.signal(syscall.SIGHUP)
	ready("running", "not reloaded")
	metric(fmt.Sprint("weir_rules ", len(ruleQueries())+1))
	metric("weir_rules_last_reload_successful 1")

	r.produce(`"event":{"id":"two","category":"network"},"destination":{"port":4444},"process":{"entity_id":"x"}`)
	for i, name := range []string{"nc", "socat", "added"} {
		r.produce(fmt.Sprintf(`"event":{"id":"e%d","category":"process","type":"start"},"process":{"name":%q,"args":["-e"],"entity_id":"y"}`, i, name))
	}
	r.awaitRead()
	if err := os.Remove(filepath.Join(r.rules, "added.toml")); err != nil {
		t.Fatal(err)
	}
	metric(fmt.Sprint("weir_rules ", len(ruleQueries()))) // without a signal
	r.produce(`"event":{"id":"e3","category":"process","type":"start"},"process":{"name":"added","entity_id":"y"}`)
	r.awaitRead()
	want := []string{"added e2", "download-then-connect one two", "shell-over-network e1"}
	r.until("all alerts are there", 20*time.Second, func() bool { return len(r.alerts()) >= len(want) })
	p.terminate()
	if diff := cmp.Diff(want, r.alerts()); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// produce sends an event of a host that happens now.
func (r *trial) produce(body string) {
	r.t.Helper()
	value := fmt.Sprintf(`{"@timestamp":%q,"host":{"id":"h"},%s}`, time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"), body)
	if err := r.cl.ProduceSync(r.t.Context(), &kgo.Record{Key: []byte("h"), Value: []byte(value)}).FirstErr(); err != nil {
		r.t.Fatal(err)
	}
}

// awaitRead waits until the group has committed all that was produced.
func (r *trial) awaitRead() {
	r.t.Helper()
	r.until("everything is read", 20*time.Second, func() bool {
		ends, err := r.admin.ListEndOffsets(r.t.Context(), r.prefix)
		if err != nil {
			return false
		}
		committed, err := r.admin.FetchOffsets(r.t.Context(), r.prefix)
		if err != nil {
			return false
		}
		read := true
		ends.Each(func(end kadm.ListedOffset) {
			at, ok := committed.Lookup(end.Topic, end.Partition)
			read = read && (end.Offset == 0 || ok && at.At >= end.Offset)
		})
		return read
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// says reports whether a URL answers 200 with a text, and without others.
func says(t *testing.T, url, want string, not ...string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
		return false
	}
	for _, text := range not {
		if strings.Contains(string(body), text) {
			return false
		}
	}
	return true
}
