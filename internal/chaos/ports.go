//go:build unix

package chaos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports that are chosen and given to other processes lie below the range of outgoing connections, in blocks.
const (
	firstPort  = 20_000
	lastPort   = 32_000
	blockPorts = 32
)

// portBlock is a row of ports that nobody listens on. Whoever chooses ports the same way leaves them alone until it is closed,
// also while the process that they are for is down: the first port of a block is listened on for its owner.
type portBlock struct {
	guard net.Listener
	first int
}

// reservePorts returns a block that has room for n ports.
func reservePorts(n int) (*portBlock, error) {
	if n >= blockPorts {
		return nil, fmt.Errorf("%d ports are more than a block has", n)
	}
	blocks := (lastPort - firstPort) / blockPorts
	for _, block := range rand.Perm(blocks) {
		b := &portBlock{first: firstPort + block*blockPorts}
		var err error
		if b.guard, err = listen(b.first); err != nil {
			continue
		}
		if b.free(n) {
			return b, nil
		}
		b.close()
	}
	return nil, fmt.Errorf("no %d free ports in a row", n)
}

// ports returns the first n ports of the block.
func (b *portBlock) ports(n int) []int {
	var out []int
	for i := range n {
		out = append(out, b.first+1+i)
	}
	return out
}

func (b *portBlock) free(n int) bool {
	for _, p := range b.ports(n) {
		l, err := listen(p)
		if err != nil {
			return false
		}
		if err := l.Close(); err != nil {
			return false
		}
	}
	return true
}

func (b *portBlock) close() { _ = b.guard.Close() }

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)) //nolint:noctx // it ends at once
}

// errEnded says that the broker ended while it was started, as where another process listens on one of its ports.
var errEnded = errors.New("the broker has ended")
