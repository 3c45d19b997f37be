//go:build unix

package chaos

import (
	"io"
	"net"
	"testing"
	"time"
)

// echo answers with what it is sent.
func echo(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, l *link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ask sends a byte and waits for it.
func ask(c net.Conn, wait time.Duration) error {
	if _, err := c.Write([]byte{1}); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func TestLink(t *testing.T) {
	l, err := newLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.target = echo(t)
	l.run()
	t.Cleanup(l.close)
	const long = 20 * time.Second

	c := dial(t, l)
	if err := ask(c, long); err != nil {
		t.Fatalf("up: %v", err)
	}
	l.set(linkUp, 30*time.Millisecond)
	began := time.Now()
	if err := ask(c, long); err != nil || time.Since(began) < 60*time.Millisecond {
		t.Errorf("slow: %v after %v, want 60 ms at least", err, time.Since(began))
	}
	l.set(linkStuck, 0)
	if err := ask(c, 50*time.Millisecond); err == nil {
		t.Error("stuck: there was an answer")
	}
	l.set(linkUp, 0)
	for range 2 { // the first answer is that to what was sent before
		if err := ask(c, long); err != nil {
			t.Errorf("after being stuck: %v", err)
		}
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Errorf("after being stuck: %v", err)
	}
	l.set(linkCut, 0)
	if err := ask(c, long); err == nil {
		t.Error("cut: there was an answer")
	}
	if err := ask(dial(t, l), long); err == nil {
		t.Error("cut: there was an answer on a new connection")
	}
	l.set(linkUp, 0)
	if err := ask(dial(t, l), long); err != nil {
		t.Errorf("after the cut: %v", err)
	}
}
