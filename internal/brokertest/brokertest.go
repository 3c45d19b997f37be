// Package brokertest names the real Kafka broker that tests run against. It starts none: hack/kafka.sh does, once
// for all packages, and make test runs the tests below it. A test that needs no real broker uses kfake.
package brokertest

import (
	"encoding/hex"
	"hash/fnv"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Variable is the environment variable that holds the broker's address, host:port.
const Variable = "WEIR_TEST_BROKER"

// Address returns the address of the broker, host:port. It skips the test where there is none, and fails it where
// there should be one and nothing listens. The broker is shared: a test creates topics and groups of its own,
// below Prefix. Safe for concurrent use.
func Address(tb testing.TB) string {
	tb.Helper()
	addr := os.Getenv(Variable)
	if addr == "" {
		tb.Skipf("no Kafka broker: %s is not set; make test starts one, and so does: hack/kafka.sh run go test ./...", Variable)
	}
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(tb.Context(), "tcp", addr)
	if err != nil {
		tb.Fatalf("%s=%s: %v", Variable, addr, err)
	}
	if err := conn.Close(); err != nil {
		tb.Fatalf("%s=%s: close: %v", Variable, addr, err)
	}
	return addr
}

// Prefix returns a name for the topics and groups of a test that no other test uses, nor an earlier run of the same
// test on the same broker: at most 60 letters, digits and dashes. Safe for concurrent use.
func Prefix(tb testing.TB) string {
	tb.Helper()
	run := fnv.New32a()
	_, _ = run.Write([]byte(tb.Name() + strconv.Itoa(os.Getpid()) + tb.TempDir()))
	return readable(tb.Name()) + "-" + hex.EncodeToString(run.Sum(nil))
}

// readable makes the name of a test one that Kafka allows for a topic.
func readable(name string) string {
	name = strings.TrimPrefix(name, "Test")
	b := make([]byte, 0, 48)
	for i := 0; i < len(name) && len(b) < 48; i++ {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			b = append(b, c)
		case len(b) > 0 && b[len(b)-1] != '-':
			b = append(b, '-')
		}
	}
	return strings.Trim("t-"+string(b), "-")
}
