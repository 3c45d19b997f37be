package kafka_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-eql/weir/state"
)

// mute is a connection to a broker that gets nothing any more once it is told so, as one that hangs.
type mute struct {
	net.Conn
	now *atomic.Bool
}

func (m mute) Write(b []byte) (int, error) {
	if m.now.Load() {
		return len(b), nil
	}
	return m.Conn.Write(b)
}

// TestStopWhileTheBrokerHangs: a stop takes no longer than it may, whatever the broker does and however the member is in the group, and what
// wasn't committed is done after the next start.
func TestStopWhileTheBrokerHangs(t *testing.T) {
	for name, static := range map[string]string{"static": "a", "dynamic": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := bubble(t, 1)
				var hangs atomic.Bool
				cfg := c.config()
				// The commit alone would take up to 4 min, and there are two of them.
				cfg.Instance, cfg.GroupInstance, cfg.TransactionTimeout, cfg.StopTimeout = "a", static, 2*time.Minute, 7*time.Second
				dial := cfg.Dial
				cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := dial(ctx, network, address)
					return mute{conn, &hangs}, err
				}
				store := state.OpenMemory()
				m := c.runIn(t, cfg, store)
				m.awaitReady(t)
				c.produce(t, "h1", story("h1")[0])
				c.awaitRead(t, c.input)
				for _, e := range story("h1")[1:] {
					c.produce(t, "h1", e)
				}
				hangs.Store(true) // before anything of it is committed
				time.Sleep(2 * time.Second)
				began := time.Now()
				m.stop()
				if took := time.Since(began); took > 14*time.Second {
					t.Errorf("the stop took %v", took)
				}
				hangs.Store(false)
				c.runIn(t, cfg, store).awaitReady(t)
				if got, want := len(c.awaitAlerts(t, len(expected("h1")))), len(expected("h1")); got != want {
					t.Errorf("%d alerts, want %d", got, want)
				}
				time.Sleep(2 * time.Minute) // what is left of the first client ends
			})
		})
	}
}

// TestStopWhileTheGroupWaits: a stop takes no longer than it may where the group waits for a member that is gone, so that it answers nobody who
// joins again.
func TestStopWhileTheGroupWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t, 2)
		start := func(name string) *member {
			cfg := c.config()
			cfg.Instance, cfg.GroupInstance, cfg.SessionTimeout, cfg.StopTimeout = name, name, 4*time.Minute, 7*time.Second
			return c.runIn(t, cfg, state.OpenMemory())
		}
		a, b := start("a"), start("b")
		a.awaitReady(t)
		b.awaitReady(t)
		a.stop() // the group keeps its partitions for it
		d := start("d")
		time.Sleep(20 * time.Second) // both join again, and wait for the first
		for name, m := range map[string]*member{"b": b, "d": d} {
			began := time.Now()
			m.stop()
			if took := time.Since(began); took > 14*time.Second {
				t.Errorf("the stop of %s took %v", name, took)
			}
		}
		time.Sleep(5 * time.Minute) // what is left of the clients ends
	})
}
