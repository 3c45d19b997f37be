package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	declared "github.com/weir-eql/weir/internal/fields"
)

// wrong reports a problem with a setting at the place where it was written.
func (l *loader) wrong(path, format string, args ...any) {
	l.report(l.origin(path), path, fmt.Sprintf(format, args...), "")
}

// origin returns where a setting was written, the file where it is a default.
func (l *loader) origin(path string) origin {
	if at, ok := l.c.origins[path]; ok {
		return at
	}
	return origin{where: l.file}
}

// oneOf reports a setting that has none of the values that it may have.
func (l *loader) oneOf(path, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	l.report(l.origin(path), path, fmt.Sprintf("%q is not one of %s", value, strings.Join(allowed, ", ")), suggest(nearest(value, allowed)))
}

func (l *loader) validate() {
	l.validateConnection()
	l.validateTopics()
	l.validateRules()
	l.validateFields()
	l.validateTimes()
	l.validateSizes()
	c := l.c
	if c.State.Dir == "" {
		l.wrong("state.dir", "must name a folder")
	}
	l.oneOf("delivery", c.Delivery, ExactlyOnce, AtLeastOnce)
	l.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	l.oneOf("log.format", c.Log.Format, "text", "json")
	if c.HTTP.Address != "" {
		l.address("http.address", c.HTTP.Address)
	}
	if c.HTTP.Pprof && c.HTTP.Address == "" {
		l.wrong("http.pprof", "needs http.address")
	}
}

// validateFields reads what is declared of fields, as the start will.
func (l *loader) validateFields() {
	var t declared.Table
	for _, p := range l.c.FieldsFiles {
		if err := t.Read(p); err != nil {
			l.wrong("fields_files", "%v", err)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(l.c.Fields)) {
		if err := t.Add(path, l.c.Fields[path]); err != nil {
			l.wrong("fields", "%v", err)
		}
	}
}

func (l *loader) address(path, address string) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		l.wrong(path, "%q is not host:port", address)
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		l.wrong(path, "%q has no port between 0 and 65535", address)
	}
}

func (l *loader) validateConnection() {
	c := l.c
	if len(c.Brokers) == 0 {
		l.wrong("brokers", "is missing: name at least one broker, host:port")
	}
	for _, b := range c.Brokers {
		l.address("brokers", b)
	}
	l.validateTLS()
	l.validateSASL()
}

// useless reports settings that are set and have no effect.
func (l *loader) useless(why string, paths ...string) {
	for _, path := range paths {
		if !l.fields[path].value.IsZero() {
			l.wrong(path, "has no effect %s", why)
		}
	}
}

func (l *loader) validateTLS() {
	t := l.c.TLS
	if !t.Enabled {
		l.useless("without tls.enabled: true", "tls.ca_file", "tls.cert_file", "tls.key_file", "tls.server_name")
		return
	}
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		l.wrong("tls.cert_file", "needs tls.key_file")
	case t.KeyFile != "" && t.CertFile == "":
		l.wrong("tls.key_file", "needs tls.cert_file")
	default:
		if _, path, err := t.build(); err != nil {
			l.wrong(path, "%v", err)
		}
	}
}

func (l *loader) validateSASL() {
	s := l.c.SASL
	if s.Mechanism == "" {
		l.useless("without sasl.mechanism", "sasl.username", "sasl.password", "sasl.password_file")
		return
	}
	l.oneOf("sasl.mechanism", s.Mechanism, "plain", "scram-sha-256", "scram-sha-512")
	if s.Username == "" {
		l.wrong("sasl.username", "is missing")
	}
	switch {
	case s.Password != "" && s.PasswordFile != "":
		l.wrong("sasl.password_file", "and sasl.password exclude each other")
	case s.PasswordFile != "":
		if _, err := s.Secret(); err != nil {
			l.wrong("sasl.password_file", "%v", err)
		}
	case s.Password == "":
		l.wrong("sasl.password", "is missing: set it, WEIR_SASL_PASSWORD or sasl.password_file")
	}
}

// topicName is what Kafka takes for the name of a topic.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func (l *loader) validateTopics() {
	t := l.c.Topics
	if len(t.Input) == 0 {
		l.wrong("topics.input", "is missing: name the topics to read events from")
	}
	used := map[string]string{}
	use := func(path, name string) {
		switch {
		case !topicName.MatchString(name) || name == "." || name == "..":
			l.wrong(path, "%q can't be the name of a topic", name)
		case used[name] != "":
			l.wrong(path, "%s is %s already", name, used[name])
		default:
			used[name] = path
		}
	}
	for _, name := range t.Input {
		use("topics.input", name)
	}
	use("topics.alerts", t.Alerts)
	use("topics.dead_letters", t.DeadLetters)
	use("topics.changelog", t.Changelog)
	use("topics.rekey", t.Rekey)
	if t.ReplicationFactor != -1 && (t.ReplicationFactor < 1 || t.ReplicationFactor > 1000) {
		l.wrong("topics.replication_factor", "must be -1, the broker's default, or at least 1")
	}
	if l.c.Group == "" {
		l.wrong("group", "must not be empty")
	}
	for _, topic := range slices.Sorted(maps.Keys(l.c.DataStreams)) {
		stream := l.c.DataStreams[topic]
		if !slices.Contains(t.Input, topic) {
			l.wrong("data_streams", "%s is not among topics.input", topic)
		}
		if parts := strings.Split(stream, "-"); len(parts) < 3 || slices.Contains(parts, "") {
			l.wrong("data_streams", "%q is not type-dataset-namespace, such as logs-endpoint.events.process-default", stream)
		}
	}
}

func (l *loader) validateRules() {
	r := l.c.Rules
	if len(r.Paths) == 0 && !r.Shipped {
		l.wrong("rules.paths", "is empty and rules.shipped is false: there is nothing to run")
	}
	for _, p := range r.Paths {
		if _, err := os.Stat(p); err != nil {
			l.wrong("rules.paths", "%v", reason(err, p))
		}
	}
}

// reason makes an error of the file system short: the file first, then what is wrong.
func reason(err error, name string) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("%s: %w", name, pe.Err)
	}
	return err
}

func (l *loader) validateTimes() {
	c := l.c
	for _, d := range []struct {
		path     string
		value    time.Duration
		min, max time.Duration
	}{
		{"order.lateness", c.Order.Lateness, time.Millisecond, 24 * time.Hour},
		{"order.future_tolerance", c.Order.FutureTolerance, time.Millisecond, 24 * time.Hour},
		{"order.topic_wait", c.Order.TopicWait, time.Second, 24 * time.Hour},
		{"commit.interval", c.Commit.Interval, time.Millisecond, time.Minute},
		{"session_timeout", c.SessionTimeout, time.Second, 30 * time.Minute},
		{"transaction_timeout", c.TransactionTimeout, time.Second, 15 * time.Minute},
		{"stop_timeout", c.StopTimeout, time.Second, 15 * time.Minute},
	} {
		if d.value < d.min || d.value > d.max {
			l.wrong(d.path, "%s is not between %s and %s", d.value, d.min, d.max)
		}
	}
	if r := c.Rules.Reload; r != 0 && (r < 100*time.Millisecond || r > 24*time.Hour) {
		l.wrong("rules.reload", "%s is not between 100ms and 24h, and not 0, which is never", r)
	}
	if w := c.Dedupe.Window; w != 0 && (w < time.Second || w > 7*24*time.Hour) {
		l.wrong("dedupe.window", "%s is not between 1s and 168h, and not 0, which is never", w)
	}
	if c.Commit.Interval >= c.TransactionTimeout {
		l.wrong("commit.interval", "must be shorter than transaction_timeout (%s)", c.TransactionTimeout)
	}
}

func (l *loader) validateSizes() {
	c := l.c
	const most = 1 << 30
	for _, n := range []struct {
		path            string
		value, min, max int
	}{
		{"state.memtable_mb", c.State.MemtableMB, 1, 4096},
		{"state.cache_mb", c.State.CacheMB, 1, 1 << 20},
		{"state.standby", c.State.Standby, 0, 10},
		{"limits.event_bytes", c.Limits.EventBytes, 1024, 15 << 20},
		{"limits.partials_per_rule", c.Limits.PartialsPerRule, 1, most},
		{"limits.partials", c.Limits.Partials, 1, most},
		{"limits.per_key", c.Limits.PerKey, 1, most},
		{"limits.matches_per_event", c.Limits.MatchesPerEvent, 1, most},
		{"limits.buffered", c.Limits.Buffered, 1, most},
		{"limits.buffered_bytes", c.Limits.BufferedBytes, 64 << 10, most},
		{"limits.hosts", c.Limits.Hosts, 1, most},
		{"limits.rule_partials", c.Limits.RulePartials, 0, most},
		{"dedupe.ids", c.Dedupe.IDs, 1, most},
		{"alerts.max_bytes", c.Alerts.MaxBytes, 4096, 16 << 20},
		{"fetch.max_bytes", c.Fetch.MaxBytes, 1 << 10, most},
		{"fetch.max_partition_bytes", c.Fetch.MaxPartitionBytes, 1 << 10, most},
		{"fetch.batch_records", c.Fetch.BatchRecords, 1, most},
	} {
		if n.value < n.min || n.value > n.max {
			l.wrong(n.path, "%d is not between %d and %d", n.value, n.min, n.max)
		}
	}
	if c.Fetch.MaxPartitionBytes > c.Fetch.MaxBytes {
		l.wrong("fetch.max_partition_bytes", "must not be above fetch.max_bytes (%d)", c.Fetch.MaxBytes)
	}
	if c.Limits.RulePartials > c.Limits.PartialsPerRule {
		l.wrong("limits.rule_partials", "must not be above limits.partials_per_rule (%d): a rule has no more of them than that", c.Limits.PartialsPerRule)
	}
	if share := c.Limits.RuleCPU; !(share >= 0 && share <= 1) {
		l.wrong("limits.rule_cpu", "%v is not between 0 and 1", share)
	}
	if hold := c.Limits.Quarantine; hold < time.Second {
		l.wrong("limits.quarantine", "%s is shorter than 1s", hold)
	}
	if c.Limits.PartialsPerRule > c.Limits.Partials {
		l.wrong("limits.partials_per_rule", "must not be above limits.partials (%d)", c.Limits.Partials)
	}
}

// Config returns the settings for a connection, nil where TLS is off.
func (t TLS) Config() (*tls.Config, error) {
	cfg, path, err := t.build()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

// build reads the files; path is the setting that an error concerns.
func (t TLS) build() (cfg *tls.Config, path string, err error) {
	if !t.Enabled {
		return nil, "", nil
	}
	cfg = &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: t.ServerName,
		InsecureSkipVerify: t.InsecureSkipVerify, //nolint:gosec // the operator asked for it by that name
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, "tls.ca_file", reason(err, t.CAFile)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, "tls.ca_file", fmt.Errorf("%s: no certificate in PEM form", t.CAFile)
		}
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, "tls.cert_file", err
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, "", nil
}

// Secret returns the password, read from its file where it is in one.
func (s SASL) Secret() (string, error) {
	if s.PasswordFile == "" {
		return string(s.Password), nil
	}
	data, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return "", reason(err, s.PasswordFile)
	}
	password := strings.TrimRight(string(data), "\r\n")
	if password == "" {
		return "", fmt.Errorf("%s is empty", s.PasswordFile)
	}
	return password, nil
}
