package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kfake"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"weir": main})
}

// TestScripts runs the command line as a user does. A script whose name begins with kafka has a broker in $BROKER.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setupBroker,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"await": await,
			"zst":   zst,
		},
		RequireUniqueNames: true,
	})
}

func setupBroker(env *testscript.Env) error {
	env.Setenv("NO_COLOR", "1")
	if !strings.HasPrefix(filepath.Base(env.WorkDir), "script-kafka") {
		return nil
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "events"),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	if err != nil {
		return err
	}
	env.Defer(cluster.Close)
	env.Setenv("BROKER", cluster.ListenAddrs()[0])
	return nil
}

// await waits until a URL answers 200 with a text that all patterns match: await URL [PATTERN…].
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: await URL [PATTERN…]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		err := get(ctx, args[0], args[1:])
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("await %s: %v", args[0], err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// zst compresses a file: zst FROM TO.
func zst(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: zst FROM TO")
	}
	w, err := zstd.NewWriter(nil)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), w.EncodeAll([]byte(ts.ReadFile(args[0])), nil), 0o600))
}

func get(ctx context.Context, url string, patterns []string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	for _, p := range patterns {
		re, err := regexp.Compile(p)
		if err != nil {
			return err
		}
		if !re.Match(body) {
			return fmt.Errorf("nothing matches %s", p)
		}
	}
	return nil
}
