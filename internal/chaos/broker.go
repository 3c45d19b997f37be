//go:build unix

package chaos

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// broker is one node of Apache Kafka that can be killed and started again on its data. Besides the listener of the harness it
// has one for each member, whose advertised address is that of the member's link: all that a member says goes through it.
type broker struct {
	dir        string // holds data, settings and log
	libs       string // folder with Kafka's jars
	id         string // of its cluster
	port       int    // of the harness's listener
	controller int
	members    []int // ports of the members' listeners
	advertised []int // ports of the links
	cmd        *exec.Cmd
	ended      chan struct{}
}

// newBroker formats the data folder. It needs two ports, and one for each link.
func newBroker(ctx context.Context, dir, libs string, ports []int, links []*link) (*broker, error) {
	b := &broker{dir: dir, libs: libs, port: ports[0], controller: ports[1], members: ports[2:]}
	for i, l := range links {
		l.target = b.address(b.members[i])
		b.advertised = append(b.advertised, l.port())
	}
	if err := os.WriteFile(b.settings(), []byte(b.properties()), 0o600); err != nil {
		return nil, err
	}
	raw := make([]byte, 16)
	if _, err := rand.Read(raw); err != nil {
		return nil, err
	}
	b.id = strings.NewReplacer("-", "a", "_", "b").Replace(base64.RawURLEncoding.EncodeToString(raw))
	format := exec.CommandContext(ctx, "java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", libs+"/*",
		"kafka.tools.StorageTool", "format", "-t", b.id, "-c", b.settings())
	if out, err := format.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("format the broker's storage: %w\n%s", err, out)
	}
	return b, nil
}

func (b *broker) settings() string { return filepath.Join(b.dir, "server.properties") }

func (b *broker) log() string { return filepath.Join(b.dir, "broker.log") }

func (b *broker) address(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// bootstrap is the address of the harness's listener.
func (b *broker) bootstrap() string { return b.address(b.port) }

func (b *broker) properties() string {
	protocols := []string{"CONTROLLER:PLAINTEXT", "HARNESS:PLAINTEXT"}
	listeners := []string{"CONTROLLER://" + b.address(b.controller), "HARNESS://" + b.bootstrap()}
	advertised := []string{"HARNESS://" + b.bootstrap()}
	for i, port := range b.members {
		name := "MEMBER" + strconv.Itoa(i)
		protocols = append(protocols, name+":PLAINTEXT")
		listeners = append(listeners, name+"://"+b.address(port))
		advertised = append(advertised, name+"://"+b.address(b.advertised[i]))
	}
	return fmt.Sprintf(`node.id=1
process.roles=controller,broker
controller.quorum.voters=1@127.0.0.1:%d
controller.listener.names=CONTROLLER
inter.broker.listener.name=HARNESS
listener.security.protocol.map=%s
listeners=%s
advertised.listeners=%s
log.dirs=%s
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
group.min.session.timeout.ms=1000
group.initial.rebalance.delay.ms=0
num.network.threads=1
num.io.threads=4
background.threads=2
num.recovery.threads.per.data.dir=2
log.retention.check.interval.ms=10000
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.backoff.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
`, b.controller, strings.Join(protocols, ","), strings.Join(listeners, ","), strings.Join(advertised, ","), filepath.Join(b.dir, "data"))
}

// startAgain starts the broker on the ports that it had. Somebody who looks for free ports may just hold one of them.
func (b *broker) startAgain(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		err := b.start(ctx)
		if attempt == 5 || !errors.Is(err, errEnded) || !pause(ctx, time.Second) {
			return err
		}
	}
}

// start starts the broker and waits until it listens. What it writes goes to its log. It is errEnded where the broker ends.
func (b *broker) start(ctx context.Context) error {
	out, err := os.OpenFile(b.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command("java", "-Xmx512m", "-Xms256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", //nolint:noctx // stop ends it
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS", "-Dorg.slf4j.simpleLogger.log.kafka.coordinator.transaction=info", "-cp", b.libs+"/*", "kafka.Kafka", b.settings())
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = childAttributes()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its end is seen by ended
	}()
	b.cmd, b.ended = cmd, ended
	return b.await(ctx)
}

// await waits until the broker listens for the harness and all members.
func (b *broker) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	for _, port := range append([]int{b.port}, b.members...) {
		for {
			conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", b.address(port))
			if err == nil {
				_ = conn.Close()
				break
			}
			select {
			case <-b.ended:
				return fmt.Errorf("%w; its log is %s", errEnded, b.log())
			case <-ctx.Done():
				return fmt.Errorf("the broker doesn't listen: %w; its log is %s", ctx.Err(), b.log())
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return b.identify(ctx)
}

// identify waits until the broker says that it is ours: another process may listen on a port that it was to have.
func (b *broker) identify(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.bootstrap()), kgo.ClientID("chaos-broker"), kgo.RetryTimeout(2*time.Second))
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		meta, err := kadm.NewClient(cl).BrokerMetadata(ctx)
		select {
		case <-b.ended:
			return fmt.Errorf("%w; its log is %s", errEnded, b.log())
		default:
		}
		switch {
		case err == nil && meta.Cluster == b.id:
			return nil
		case err == nil:
			return fmt.Errorf("%w: another cluster is at %s", errEnded, b.bootstrap())
		case !pause(ctx, 100*time.Millisecond):
			return fmt.Errorf("the broker doesn't answer: %w; its log is %s", err, b.log())
		}
	}
}

// stop ends the broker: with SIGTERM it closes its logs, with SIGKILL it doesn't.
func (b *broker) stop(signal syscall.Signal) {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Signal(signal) // it may have ended
	select {
	case <-b.ended:
	case <-time.After(20 * time.Second):
		_ = b.cmd.Process.Kill()
		<-b.ended
	}
	b.cmd = nil
}

// signal sends the broker a signal.
func (b *broker) signal(signal syscall.Signal) { _ = b.cmd.Process.Signal(signal) }
