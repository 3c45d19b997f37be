package kafka_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-eql/weir/internal/brokertest"
	"github.com/weir-eql/weir/state"
)

// TestTwins: of two processes under one name the one that joined last works, also where that takes it a while, and the other says that it stands back; when
// it is gone the other goes on. No alert is lost or doubled. WEIR_TWINS is how often it is tried.
func TestTwins(t *testing.T) {
	rounds := 1
	if n, err := strconv.Atoi(os.Getenv("WEIR_TWINS")); err == nil {
		rounds = n
	}
	for name, run := range map[string]func(t *testing.T){
		"fake": func(t *testing.T) { t.Helper(); twins(t, fakeCluster(t, 2), 1500*time.Millisecond, func() {}) },
		"slow to join": func(t *testing.T) {
			t.Helper()
			c := fakeCluster(t, 2)
			twins(t, c, 1500*time.Millisecond, func() { c.refuseJoins(900 * time.Millisecond) })
		},
		"real": func(t *testing.T) {
			t.Helper()
			twins(t, newCluster(t, []string{brokertest.Address(t)}, brokertest.Prefix(t), 2), 6*time.Second, func() {})
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range rounds {
				t.Run(strconv.Itoa(i), run)
			}
		})
	}
}

// refuseJoins has members try again to join for a while.
func (c *cluster) refuseJoins(during time.Duration) {
	until := time.Now().Add(during)
	c.fake.ControlKey(int16(kmsg.JoinGroup), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		resp, ok := kreq.ResponseKind().(*kmsg.JoinGroupResponse)
		if !ok || time.Now().After(until) {
			return nil, nil, false
		}
		c.fake.KeepControl()
		resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code
		return resp, nil, true
	})
}

func twins(t *testing.T, c *cluster, session time.Duration, joining func()) {
	t.Helper()
	cfg := c.config()
	cfg.GroupInstance, cfg.SessionTimeout = "one", session
	log := &logLines{t: t}
	first := c.startDeps(t, cfg, t.TempDir(), log.deps(time.Now))
	first.awaitReady(t)
	var hosts []string
	tell := func(steps ...int) {
		for _, i := range steps {
			h := fmt.Sprint("h", i)
			hosts = append(hosts, h)
			c.produce(t, h, story(h)...)
		}
	}
	tell(1, 2)
	stop := make(chan struct{})
	fed := make(chan struct{})
	go func() { // while the name is taken over
		defer close(fed)
		for i := 3; i < 40; i++ {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				tell(i)
			}
		}
	}()
	joining()
	second := c.startDeps(t, cfg, t.TempDir(), log.deps(time.Now))
	stands := func(m *member) bool {
		_, status := m.Ready()
		return strings.Contains(status, "runs under the instance name one")
	}
	until(t, "one stands back", func() bool { return stands(first) || stands(second) })
	if stands(second) {
		t.Error("the one that joined last lost the name")
	}
	second.awaitReady(t)
	close(stop)
	<-fed
	c.awaitRead(t, c.input)
	if stands(second) || !stands(first) {
		t.Error("the name changed hands again")
	}
	second.stop()
	first.awaitReady(t)
	tell(50)
	if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestFencedWhileSharedOut: a member that stood still and was fenced doesn't wait for a group that waits for it: nobody has taken its place there.
func TestFencedWhileSharedOut(t *testing.T) {
	c := fakeCluster(t, 2)
	cfg := c.config()
	cfg.GroupInstance, cfg.SessionTimeout = "one", 20*time.Second
	log := &logLines{t: t}
	first := c.startDeps(t, cfg, t.TempDir(), log.deps(time.Now))
	first.awaitReady(t)
	var mu sync.Mutex
	joining, fenced := false, false
	c.fake.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		joining = true
		return nil, nil, false
	})
	c.fake.ControlKey(int16(kmsg.Heartbeat), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		return kreq.ResponseKind(), nil, joining && !fenced // it doesn't get to know yet
	})
	c.fake.ControlKey(int16(kmsg.EndTxn), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		resp, ok := kreq.ResponseKind().(*kmsg.EndTxnResponse)
		if !ok || !joining || fenced {
			return nil, nil, false
		}
		fenced = true
		resp.ErrorCode = kerr.ProducerFenced.Code
		return resp, nil, true
	})
	other := cfg
	other.GroupInstance, other.Instance = "two", "b"
	second := c.startDeps(t, other, t.TempDir(), log.deps(time.Now))
	stop := make(chan struct{})
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				c.produce(t, "h", story("h")...)
			}
		}
	}()
	until(t, "it is fenced", func() bool { return len(log.find("fenced: another process")) > 0 })
	began := time.Now()
	second.awaitReady(t)
	first.awaitReady(t)
	if took := time.Since(began); took > cfg.SessionTimeout/2 {
		t.Errorf("the group took %v to go on", took)
	}
	close(stop)
	<-fed
	if lines := log.find("this one does nothing"); len(lines) > 0 {
		t.Errorf("a member took itself for another process: %v", lines)
	}
}

// TestFencedWithoutAnswer: a member that was fenced and may not ask the group who else is in it works again before long.
func TestFencedWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t, 2)
		cfg := c.config()
		cfg.GroupInstance, cfg.SessionTimeout = "one", 20*time.Second
		log := &logLines{t: t}
		deps := log.deps(time.Now)
		deps.Store = state.OpenMemory()
		m := c.startDeps(t, cfg, "", deps)
		m.awaitReady(t)
		c.fake.Fault(
			kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeGroups}, Group: cfg.Group, Err: kerr.GroupAuthorizationFailed, Count: -1},
			kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.ProducerFenced},
		)
		c.produce(t, "h", story("h")...)
		time.Sleep(2 * time.Minute)
		if len(log.find("fenced: another process")) != 1 || len(log.find("is not known", "GROUP_AUTHORIZATION_FAILED")) == 0 {
			t.Error("it wasn't fenced, or the group answered")
		}
		if diff := cmp.Diff(expected("h"), c.alerts(t)); diff != "" {
			t.Errorf("alerts (-want +got):\n%s", diff)
		}
	})
}
