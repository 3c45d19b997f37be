//go:build unix

package chaos

import (
	"context"
	"net"
	"sync"
	"time"
)

// link is the network between one member and the broker: a TCP proxy that can be cut, stuck or slow. The broker advertises
// its address to the member, so that every connection goes through it.
type link struct {
	listener net.Listener
	target   string // address of the broker's listener for this member

	mu    sync.Mutex
	mode  linkMode
	delay time.Duration // of each read, one way
	open  map[net.Conn]struct{}
	freed chan struct{} // closed when the link is no longer stuck
	work  sync.WaitGroup
}

// linkMode is how a link treats connections.
type linkMode int

const (
	linkUp    linkMode = iota
	linkCut            // connections are closed, and new ones at once
	linkStuck          // connections stay and nothing passes, as when packets are dropped
)

func newLink(ctx context.Context) (*link, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &link{listener: l, open: map[net.Conn]struct{}{}}, nil
}

func (l *link) port() int {
	addr, _ := l.listener.Addr().(*net.TCPAddr)
	return addr.Port
}

func (l *link) address() string { return l.listener.Addr().String() }

// run accepts connections until close.
func (l *link) run() {
	l.work.Go(func() {
		for {
			conn, err := l.listener.Accept()
			if err != nil {
				return
			}
			l.work.Go(func() { l.serve(conn) })
		}
	})
}

func (l *link) close() {
	_ = l.listener.Close()
	l.set(linkCut, 0)
	l.work.Wait()
}

// set changes how the link works from now on.
func (l *link) set(mode linkMode, delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.freed != nil {
		close(l.freed)
		l.freed = nil
	}
	l.mode, l.delay = mode, delay
	switch mode {
	case linkCut:
		for c := range l.open {
			_ = c.Close()
		}
	case linkStuck:
		l.freed = make(chan struct{})
	case linkUp:
	}
}

// state returns how to treat what has come.
func (l *link) state() (delay time.Duration, stuck <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.delay, l.freed
}

// hold keeps a connection where set can close it, and reports whether it may live.
func (l *link) hold(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mode == linkCut {
		return false
	}
	l.open[c] = struct{}{}
	return true
}

func (l *link) drop(c net.Conn) {
	_ = c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

func (l *link) serve(client net.Conn) {
	defer l.drop(client)
	if !l.hold(client) {
		return
	}
	server, err := net.DialTimeout("tcp", l.target, 5*time.Second) //nolint:noctx // it has a timeout
	if err != nil {
		return
	}
	defer l.drop(server)
	if !l.hold(server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.copy(server, client) })
	both.Go(func() { l.copy(client, server) })
	both.Wait()
}

// copy passes bytes on in one direction. When one side ends, so does the other.
func (l *link) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			delay, stuck := l.state()
			if stuck != nil {
				<-stuck
			}
			if delay > 0 {
				time.Sleep(delay)
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
