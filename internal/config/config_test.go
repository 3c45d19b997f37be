package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/internal/config"
)

// minimal is the least that a configuration must say.
const minimal = "brokers: [localhost:9092]\ntopics:\n  input: [events]\n"

// write makes a configuration file and returns its name.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, text string, environ ...string) (*config.Config, error) {
	t.Helper()
	return config.Load(config.Source{File: write(t, text), Environ: environ})
}

func TestDefaults(t *testing.T) {
	c, err := load(t, minimal)
	if err != nil {
		t.Fatal(err)
	}
	if c.Topics.Changelog != "weir-changelog" || !c.Rules.Shipped || !c.Topics.Create || c.Commit.Interval != 100*time.Millisecond {
		t.Errorf("got %+v", c)
	}
	c, err = load(t, minimal+"group: blue\nrules: {paths: [.]}\n")
	if err != nil {
		t.Fatal(err)
	}
	if c.Topics.Changelog != "blue-changelog" || c.Topics.Rekey != "blue-rekey" || c.Rules.Shipped {
		t.Errorf("changelog = %s, shipped = %v", c.Topics.Changelog, c.Rules.Shipped)
	}
}

// TestEverything sets each setting there is, in each of the three ways, and none is left at its default.
func TestEverything(t *testing.T) {
	dir := t.TempDir()
	cert, key := certificate(t, dir)
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mapping := filepath.Join(dir, "fields.yaml")
	if err := os.WriteFile(mapping, []byte("c.d: {type: keyword, null_value: none}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{
		"fields": "a.b=version", "fields_files": mapping,
		"brokers": "a:1,b:2", "tls.enabled": "true", "tls.ca_file": cert, "tls.cert_file": cert, "tls.key_file": key,
		"tls.server_name": "kafka", "tls.insecure_skip_verify": "true",
		"sasl.mechanism": "scram-sha-512", "sasl.username": "u", "sasl.password": "", "sasl.password_file": password,
		"topics.input": "x,y", "topics.alerts": "al", "topics.dead_letters": "dl", "topics.changelog": "cl", "topics.rekey": "rk", "rekey": "true",
		"topics.create": "false", "topics.replication_factor": "3", "group": "g", "instance": "i", "group_instance": "gi", "leave_group": "true",
		"data_streams": "x=logs-a-b", "rules.paths": dir, "rules.shipped": "true", "rules.reload": "3s", "rules.host_keys": "a.b",
		"state.dir": dir, "state.memtable_mb": "8", "state.cache_mb": "9", "state.standby": "1",
		"order.lateness": "3s", "order.future_tolerance": "1m", "order.topic_wait": "4s", "commit.interval": "1s",
		"session_timeout": "11s", "transaction_timeout": "12s", "stop_timeout": "13s", "delivery": "exactly_once",
		"limits.event_bytes": "10_000", "limits.partials_per_rule": "1", "limits.partials": "2", "limits.buffered": "3", "limits.buffered_bytes": "70_000",
		"dedupe.window": "4s", "dedupe.ids": "8", "limits.hosts": "4", "limits.per_key": "5", "limits.matches_per_event": "6",
		"limits.rule_partials": "1", "limits.rule_cpu": "0.25", "limits.quarantine": "9s", "alerts.max_bytes": "5000", "fetch.max_bytes": "6000", "fetch.max_partition_bytes": "5999",
		"fetch.batch_records": "7", "http.address": "127.0.0.1:1", "http.pprof": "true", "log.level": "debug", "log.format": "json",
	}
	var file strings.Builder
	var environ []string
	var overrides []config.Override
	for _, s := range config.Settings() {
		v, ok := values[s.Path]
		if !ok {
			t.Errorf("%s is not tested", s.Path)
		}
		environ = append(environ, s.Env+"="+v)
		overrides = append(overrides, config.Override{Flag: "--set", Path: s.Path, Value: v})
	}
	file.WriteString("brokers: [a:1, b:2]\ntopics: {input: [x, y], alerts: al, dead_letters: dl, changelog: cl, rekey: rk, create: false, replication_factor: 3}\nrekey: true\n")
	fmt.Fprintf(&file, "tls: {enabled: true, ca_file: %[1]s, cert_file: %[1]s, key_file: %s, server_name: kafka, insecure_skip_verify: true}\n", cert, key)
	fmt.Fprintf(&file, "sasl:\n  mechanism: scram-sha-512\n  username: u\n  password: ''\n  password_file: %s\n", password)
	file.WriteString("group: g\ninstance: i\ngroup_instance: gi\nleave_group: true\ndata_streams:\n  x: logs-a-b\n")
	fmt.Fprintf(&file, "fields: {a.b: version}\nfields_files: [%s]\n", mapping)
	fmt.Fprintf(&file, "rules:\n  paths: %s\n  shipped: true\n  reload: 3s\n  host_keys:\n    - a.b\nstate: {dir: %s, memtable_mb: 8, cache_mb: 9, standby: 1}\n", dir, dir)
	file.WriteString(`order: {lateness: 3s, future_tolerance: 1m, topic_wait: 4s}
commit: {interval: 1s}
session_timeout: 11s
transaction_timeout: 12s
stop_timeout: 13s
delivery: exactly_once
dedupe: {window: 4s, ids: 8}
limits: {event_bytes: 10_000, partials_per_rule: 1, partials: 2, buffered: 3, buffered_bytes: 70_000, hosts: 4, per_key: 5, matches_per_event: 6, rule_partials: 1, rule_cpu: 0.25, quarantine: 9s}
alerts: {max_bytes: 5000}
fetch: {max_bytes: 6000, max_partition_bytes: 5999, batch_records: 7}
http: {address: "127.0.0.1:1", pprof: true}
log: {level: debug, format: json}
`)
	sources := map[string]config.Source{
		"file":        {File: write(t, file.String())},
		"environment": {Environ: environ},
		"flags":       {Overrides: overrides},
	}
	var want string
	for name, src := range sources {
		c, err := config.Load(src)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := json.MarshalIndent(c, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = string(got)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s differs:\n%s", name, diff)
		}
		tlsConfig, err := c.TLS.Config()
		if err != nil || tlsConfig.RootCAs == nil || len(tlsConfig.Certificates) != 1 || tlsConfig.ServerName != "kafka" {
			t.Errorf("%s: TLS = %+v, %v", name, tlsConfig, err)
		}
		if got, err := c.SASL.Secret(); got != "hunter2" || err != nil {
			t.Errorf("%s: password = %q, %v", name, got, err)
		}
	}
}

// TestLayers shows which source wins.
func TestLayers(t *testing.T) {
	src := config.Source{
		File:    write(t, minimal+"group: file\ninstance: file\nlog: {level: warn}\n"),
		Environ: []string{"WEIR_GROUP=env", "WEIR_INSTANCE=env", "WEIR_TOPICS_INPUT=", "WEIR_HTTP_ADDRESS=", "PATH=/bin"},
		Overrides: []config.Override{
			{Flag: "--group", Path: "group", Value: "flag"},
		},
	}
	c, err := config.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{c.Group, c.Instance, c.Log.Level, c.Topics.Input[0], c.HTTP.Address}
	if diff := cmp.Diff([]string{"flag", "env", "warn", "events", ""}, got); diff != "" {
		t.Errorf("group, instance, level, input, address (-want +got):\n%s", diff)
	}
}

// TestProblems has one case for each kind of problem; the file's name is cut from what is compared.
func TestProblems(t *testing.T) {
	tests := []struct {
		name, file string
		environ    []string
		want       []string
	}{
		{"empty", "", nil, []string{
			": brokers: is missing: name at least one broker, host:port",
			": topics.input: is missing: name the topics to read events from",
		}},
		{"syntax", "brokers: [a:1\ntopics: x\n", nil, []string{":2:1: ',' or ']' must be specified"}},
		{"second document", minimal + "---\ngroup: x\n", nil, []string{":5:1: a second document: only one is read"}},
		{"unknown key", minimal + "comit: {interval: 1s}\n", nil, []string{":4:1: unknown key comit (did you mean commit?)"}},
		{"unknown nested key", minimal + "commit: {intervall: 1s}\n", nil, []string{":4:10: unknown key commit.intervall (did you mean commit.interval?)"}},
		{"key of another section", minimal + "lateness: 1s\n", nil, []string{":4:1: unknown key lateness (did you mean order.lateness?)"}},
		{"key like no other", minimal + "xyzzyplugh: 1\n", nil, []string{":4:1: unknown key xyzzyplugh"}},
		{"no section", minimal + "commit: 3\n", nil, []string{":4:9: commit: must hold settings, as key: value"}},
		{"no mapping at all", "- a\n", nil, []string{
			":1:1: must hold settings, as key: value",
			": brokers: is missing: name at least one broker, host:port",
			": topics.input: is missing: name the topics to read events from",
		}},
		{"list for a value", minimal + "group: [a]\n", nil, []string{":4:8: group: must be a single value, not a list"}},
		{"mapping for a value", minimal + "group: {a: b}\n", nil, []string{":4:1: group: must not hold settings of its own"}},
		{"mapping in a list", minimal + "rules: {host_keys: [a, {b: c}]}\n", nil, []string{":4:24: rules.host_keys: must be a list of texts"}},
		{"value for a mapping", minimal + "data_streams: x\n", nil, []string{":4:15: data_streams: must be a mapping, as topic: type-dataset-namespace"}},
		{"list in a mapping", minimal + "data_streams: {events: [x]}\n", nil, []string{":4:24: data_streams: must be a text"}},
		{"bool", minimal + "http: {pprof: maybe}\n", nil, []string{`:4:15: http.pprof: must be true or false, not "maybe"`}},
		{"share", minimal + "limits: {rule_cpu: half}\n", nil, []string{`:4:20: limits.rule_cpu: must be a number, not "half"`}},
		{"budgets", minimal + "limits: {rule_cpu: 1.5, rule_partials: 200000, quarantine: 1ms}\n", nil, []string{
			":4:20: limits.rule_cpu: 1.5 is not between 0 and 1", ":4:40: limits.rule_partials: must not be above limits.partials_per_rule (100000): a rule has no more of them than that",
			":4:60: limits.quarantine: 1ms is shorter than 1s",
		}},
		{"number", minimal + "limits: {hosts: many}\n", nil, []string{`:4:17: limits.hosts: must be a whole number, not "many"`}},
		{"duration", minimal + "commit: {interval: 100}\n", nil, []string{`:4:20: commit.interval: must be a duration such as 100ms, 2s or 5m, not "100"`}},
		{"several in order", minimal + "log: {level: loud}\ncommit: {interval: 2h}\n", []string{"WEIR_LIMITS_HOSTS=x"}, []string{
			`:4:14: log.level: "loud" is not one of debug, info, warn, error`,
			":5:20: commit.interval: 2h0m0s is not between 1ms and 1m0s",
			":5:20: commit.interval: must be shorter than transaction_timeout (10s)",
			`WEIR_LIMITS_HOSTS: limits.hosts: must be a whole number, not "x"`,
		}},
		{"broker", "brokers: [localhost, 'a:99999']\ntopics: {input: [e]}\n", nil, []string{
			`:1:10: brokers: "localhost" is not host:port`,
			`:1:10: brokers: "a:99999" has no port between 0 and 65535`,
		}},
		{"topic names", "brokers: [a:1]\ntopics: {input: ['a b', e], alerts: e}\n", nil, []string{
			`:2:17: topics.input: "a b" can't be the name of a topic`,
			":2:37: topics.alerts: e is topics.input already",
		}},
		{"data streams", minimal + "data_streams: {other: logs}\n", nil, []string{
			":4:15: data_streams: other is not among topics.input",
			`:4:15: data_streams: "logs" is not type-dataset-namespace, such as logs-endpoint.events.process-default`,
		}},
		{"fields", minimal + "fields:\n  a.b: lnog\n  c: long\n", nil, []string{`:5:3: fields: a.b: unknown type "lnog": did you mean long?`}},
		{"fields as one text", minimal + "fields: a.b\n", nil, []string{":4:9: fields: must be a mapping, as path: type"}},
		{"fields in the environment", minimal, []string{"WEIR_FIELDS=a.b"}, []string{`WEIR_FIELDS: fields: "a.b": write path=type, separated by commas`}},
		{"fields files", minimal + "fields_files: [/nonesuch]\n", nil, []string{":4:15: fields_files: fields: open /nonesuch: no such file or directory"}},
		{"replication", minimal + "  replication_factor: 0\n", nil, []string{":4:23: topics.replication_factor: must be -1, the broker's default, or at least 1"}},
		{"no rules", minimal + "rules: {shipped: false}\n", nil, []string{
			": rules.paths: is empty and rules.shipped is false: there is nothing to run",
		}},
		{"absent rules", minimal + "rules: {paths: [/absent]}\n", nil, []string{":4:16: rules.paths: /absent: no such file or directory"}},
		{"delivery", minimal + "delivery: at_most_once\n", nil, []string{":4:11: delivery: \"at_most_once\" is not one of exactly_once, at_least_once (did you mean at_least_once?)"}},
		{"delivery", minimal + "delivery: exactly_onse\n", nil, []string{`:4:11: delivery: "exactly_onse" is not one of exactly_once, at_least_once (did you mean exactly_once?)`}},
		{"sasl", minimal + "sasl: {mechanism: scram-sha-1, password: x, password_file: y}\n", nil, []string{
			`:4:19: sasl.mechanism: "scram-sha-1" is not one of plain, scram-sha-256, scram-sha-512 (did you mean scram-sha-512?)`,
			":4:60: sasl.password_file: and sasl.password exclude each other",
			": sasl.username: is missing",
		}},
		{"sasl without mechanism", minimal + "sasl: {username: u}\n", nil, []string{":4:18: sasl.username: has no effect without sasl.mechanism"}},
		{"sasl without password", minimal + "sasl: {mechanism: plain, username: u}\n", nil, []string{
			": sasl.password: is missing: set it, WEIR_SASL_PASSWORD or sasl.password_file",
		}},
		{"password file", minimal + "sasl: {mechanism: plain, username: u, password_file: /absent}\n", nil, []string{
			":4:54: sasl.password_file: /absent: no such file or directory",
		}},
		{"tls off", minimal + "tls: {ca_file: x}\n", nil, []string{":4:16: tls.ca_file: has no effect without tls.enabled: true"}},
		{"tls half", minimal + "tls: {enabled: true, cert_file: x}\n", nil, []string{":4:33: tls.cert_file: needs tls.key_file"}},
		{"tls absent", minimal + "tls: {enabled: true, ca_file: /absent}\n", nil, []string{":4:31: tls.ca_file: /absent: no such file or directory"}},
		{"sizes", minimal + "alerts: {max_bytes: 10}\nfetch: {max_bytes: 2000}\nlimits: {partials: 5}\n", nil, []string{
			":4:21: alerts.max_bytes: 10 is not between 4096 and 16777216",
			": fetch.max_partition_bytes: must not be above fetch.max_bytes (2000)",
			": limits.partials_per_rule: must not be above limits.partials (5)",
		}},
		{"http", minimal + "http: {address: '', pprof: true}\n", nil, []string{":4:28: http.pprof: needs http.address"}},
		{"names", minimal + "group: ''\nstate: {dir: ''}\n", nil, []string{
			":4:8: group: must not be empty", ":5:14: state.dir: must name a folder",
		}},
		{"twice", minimal + "group: a\ngroup: b\n", nil, []string{`:5:1: mapping key "group" already defined at [4:1]`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, tt.file)
			_, err := config.Load(config.Source{File: path, Environ: tt.environ})
			var problems config.Errors
			if !errors.As(err, &problems) {
				t.Fatalf("error = %v, want problems", err)
			}
			got := strings.Split(strings.ReplaceAll(problems.Error(), path, ""), "\n")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnknownOverride(t *testing.T) {
	_, err := config.Load(config.Source{
		File: write(t, minimal), Overrides: []config.Override{{Flag: "--set log.levels", Path: "log.levels", Value: "info"}},
	})
	if want := "--set log.levels: unknown setting log.levels (did you mean log.level?)"; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

// TestMechanism shows that SASL mechanisms may be written as Kafka writes them.
func TestMechanism(t *testing.T) {
	for text, want := range map[string]string{"SCRAM-SHA-256": "scram-sha-256", "Scram-SHA-512": "scram-sha-512", "PLAIN": "plain"} {
		c, err := load(t, minimal+"sasl: {mechanism: "+text+", username: u, password: p}\n")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if c.SASL.Mechanism != want {
			t.Errorf("%s: mechanism = %s, want %s", text, c.SASL.Mechanism, want)
		}
	}
}

// TestUnknownVariable shows that a variable of no setting is a warning, and that those of Kubernetes are nothing.
func TestUnknownVariable(t *testing.T) {
	c, err := load(t, minimal, "WEIR_LOG_LEVELS=debug", "WEIR_XYZZY=secret", "WEIR_SERVICE_HOST=10.0.0.1", "WEIR_SERVICE_PORT=8686",
		"WEIR_SERVICE_PORT_METRICS=8686", "WEIR_PORT=tcp://10.0.0.1:8686", "WEIR_PORT_8686_TCP=tcp://10.0.0.1:8686",
		"WEIR_PORT_8686_TCP_PROTO=tcp", "WEIR_METRICS_SERVICE_HOST=10.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range c.Warnings {
		got = append(got, w.String())
	}
	want := []string{
		"WEIR_LOG_LEVELS: no setting has this name (did you mean WEIR_LOG_LEVEL?)", "WEIR_XYZZY: no setting has this name",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestAbsentFile(t *testing.T) {
	_, err := config.Load(config.Source{File: filepath.Join(t.TempDir(), "absent.yaml")})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error = %v, want one of an absent file", err)
	}
}

// TestConnection shows that a connection needs no topics.
func TestConnection(t *testing.T) {
	c, err := config.LoadConnection(config.Source{File: write(t, "brokers: [a:1]\n")})
	if err != nil || len(c.Brokers) != 1 {
		t.Errorf("got %v, %v", c, err)
	}
	if _, err := config.LoadConnection(config.Source{}); err == nil {
		t.Error("no error without brokers")
	}
}

// TestSecret prints a configuration in the ways that one does by accident.
func TestSecret(t *testing.T) {
	c, err := load(t, minimal+"sasl: {mechanism: plain, username: u, password: hunter2}\n")
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	printed := string(encoded) + fmt.Sprintf("%v %+v %#v %s", *c, *c, *c, c.SASL.Password) + c.SASL.Password.LogValue().String()
	if strings.Contains(printed, "hunter2") {
		t.Errorf("the password shows in %s", printed)
	}
	if got, err := c.SASL.Secret(); got != "hunter2" || err != nil {
		t.Errorf("Secret() = %q, %v", got, err)
	}
}

// certificate makes a self-signed certificate and its key.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
