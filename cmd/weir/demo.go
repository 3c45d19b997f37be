package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/weir-eql/weir/internal/config"
	"github.com/weir-eql/weir/internal/demo"
	"github.com/weir-eql/weir/internal/telemetry"
)

// demoFlags are the flags of weir demo.
type demoFlags struct {
	length      time.Duration
	rate        float64
	seed        uint64
	hosts       int
	attackEvery time.Duration
	kafka       string
	topic       string
	onlyProduce bool
	given       []string // the flags as they were given, but for --seed
}

// command returns the command line that does the same again.
func (f demoFlags) command() string {
	return strings.Join(append([]string{"weir demo --seed " + strconv.FormatUint(f.seed, 10)}, f.given...), " ")
}

func newDemoCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch alerts on made-up hosts, without any configuration",
		Long: `Watch Weir at work: a few made-up hosts with containers do ordinary work, and every few seconds somebody attacks one of them.
Their events go to a Kafka broker inside this process, the engine of weir run finds the attacks with the shipped rules, and
its alerts are printed as they appear. Nothing is left behind.

With --kafka the events go to a real broker instead, and --only-produce leaves the rules to a weir run elsewhere.`,
		Example: `  weir demo
  weir demo --for 30s --rate 500
  weir demo --kafka localhost:9092
  weir demo --kafka localhost:9092 --only-produce --topic events`,
		Args: noArgs,
	}
	var f demoFlags
	cmd.Flags().DurationVar(&f.length, "for", 0, "stop after this long (default: until Ctrl-C)")
	cmd.Flags().Float64Var(&f.rate, "rate", 50, "ordinary events per second over all hosts")
	cmd.Flags().Uint64Var(&f.seed, "seed", 0, "the same seed gives the same attacks (default: random)")
	cmd.Flags().IntVar(&f.hosts, "hosts", 3, "number of hosts")
	cmd.Flags().DurationVar(&f.attackEvery, "attack-every", 0, "time between two attacks (default 8s)")
	cmd.Flags().StringVar(&f.kafka, "kafka", "", "a real broker, host:port, instead of the one in the process")
	cmd.Flags().StringVar(&f.topic, "topic", "weir-demo-events", "topic of the events")
	cmd.Flags().BoolVar(&f.onlyProduce, "only-produce", false, "produce events and run no rules; needs --kafka")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case f.onlyProduce && f.kafka == "":
			return errors.New("--only-produce needs --kafka HOST:PORT")
		case f.rate <= 0 || f.hosts <= 0 || f.length < 0 || f.attackEvery < 0:
			return errors.New("--rate, --hosts, --for and --attack-every must be positive")
		}
		for _, name := range []string{"for", "rate", "hosts", "attack-every", "kafka", "topic"} {
			if flag := cmd.Flags().Lookup(name); flag.Changed {
				f.given = append(f.given, "--"+name+" "+flag.Value.String())
			}
		}
		if !cmd.Flags().Changed("seed") {
			f.seed = rand.Uint64()
		}
		ctx := cmd.Context()
		if f.length > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, f.length)
			defer cancel()
		}
		return a.demo(ctx, f)
	}
	return cmd
}

// demoLateness is shorter than in production: made-up hosts deliver in order, and nobody likes to wait in a demo.
const demoLateness = 500 * time.Millisecond

// demo runs broker, producer and engine until ctx ends, then sums up.
func (a *app) demo(ctx context.Context, f demoFlags) error {
	brokers := []string{f.kafka}
	if f.kafka == "" {
		cluster, err := startBroker(f.topic)
		if err != nil {
			return err
		}
		defer cluster.Close()
		brokers = cluster.ListenAddrs()
	}
	dir, err := os.MkdirTemp("", "weir-demo-")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	feed, err := newDemoFeed(ctx, brokers, f)
	if err != nil {
		return err
	}
	defer feed.close()
	if f.onlyProduce {
		err := feed.run(ctx, a.now)
		_, _ = fmt.Fprintf(a.stderr, "%d events produced to %s\n", feed.produced.Load(), f.topic)
		return err
	}
	c := demoConfig(brokers, f.topic, dir)
	_, set, err := configuredRules(c)
	if err != nil {
		return err
	}
	view := newDemoView(a, len(set.Rules()), f)
	log := newLogger(a.stderr, "text", slog.LevelError)
	e, err := a.newEngine(c, set, telemetry.NewRegistry(), log, view.alert)
	if err != nil {
		return err
	}
	view.opening()
	began := a.now()
	err = a.runDemo(ctx, e, feed)
	view.summary(feed, a.now().Sub(began))
	return errors.Join(err, e.store.Close())
}

// demoConfig is the configuration of the engine behind the demo.
func demoConfig(brokers []string, topic, dir string) *config.Config {
	c := config.Default()
	c.Brokers = brokers
	c.Topics.Input = []string{topic}
	c.Topics.Alerts, c.Topics.DeadLetters, c.Topics.Changelog = "weir-demo-alerts", "weir-demo-dead-letters", "weir-demo-changelog"
	c.Topics.Rekey = "weir-demo-rekey"
	c.Group, c.Instance = "weir-demo", "demo"
	c.Rules.Shipped = true
	c.State.Dir = dir
	c.Order.Lateness = demoLateness
	c.HTTP.Address = ""
	return c
}

// runDemo lets the events flow once the engine is ready for them.
func (a *app) runDemo(ctx context.Context, e *engine, feed *demoFeed) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.run(ctx, config.HTTP{}) })
	g.Go(func() error {
		if err := waitReady(ctx, e); err != nil {
			return nil //nolint:nilerr // it ended before it began
		}
		return feed.run(ctx, a.now)
	})
	return g.Wait()
}

// waitReady waits until the engine has its partitions.
func waitReady(ctx context.Context, e *engine) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if ready, _ := e.service.Ready(); ready {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// newGenerator makes the hosts; their events begin now.
func newGenerator(f demoFlags, start time.Time) *demo.Generator {
	return demo.New(demo.Options{Seed: f.seed, Hosts: f.hosts, Start: start, Rate: f.rate, AttackEvery: f.attackEvery})
}
