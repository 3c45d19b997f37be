// Package config reads the configuration of weir run: defaults, then the file, then the environment, then flags. It
// reports all problems at once, each with the place where it was written. It knows what settings mean on their own
// and together, and nothing of what is made of them.
package config

import (
	"log/slog"
	"strings"
	"time"
)

// DefaultAlertBytes is the default of alerts.max_bytes: what fits a topic with the broker's own limit of 1 MiB.
const DefaultAlertBytes = 900_000

// The values of delivery.
const (
	ExactlyOnce = "exactly_once"
	AtLeastOnce = "at_least_once"
)

// DynamicMember as the value of group_instance says that the member isn't static.
const DynamicMember = "none"

// Config is the whole configuration. The tags are the names in the file, from which those of the environment
// are made: topics.input is WEIR_TOPICS_INPUT.
type Config struct {
	Brokers            []string          `yaml:"brokers" doc:"addresses of Kafka brokers to begin with, host:port"`
	TLS                TLS               `yaml:"tls"`
	SASL               SASL              `yaml:"sasl"`
	Topics             Topics            `yaml:"topics"`
	Group              string            `yaml:"group" doc:"consumer group"`
	Instance           string            `yaml:"instance" doc:"name of this member, unique in the group and the same after a restart; default: made up once and kept in state.dir"`
	GroupInstance      string            `yaml:"group_instance" doc:"group.instance.id: the group keeps the partitions of a member that stops, or is killed, until session_timeout is over, and gives them back when it returns; default: instance; none: membership is dynamic"`
	LeaveGroup         bool              `yaml:"leave_group" doc:"leave the group at a stop, so that other members take over at once: for a stop that is meant for good"`
	DataStreams        map[string]string `yaml:"data_streams" entry:"topic: type-dataset-namespace" doc:"data stream of a topic's events that don't say theirs: topic: type-dataset-namespace"`
	Fields             map[string]string `yaml:"fields" entry:"path: type" doc:"types of fields of your own, as an Elasticsearch mapping has them: path: type"`
	FieldsFiles        []string          `yaml:"fields_files" doc:"files with the types of fields of your own"`
	Rules              Rules             `yaml:"rules"`
	State              State             `yaml:"state"`
	Order              Order             `yaml:"order"`
	Rekey              bool              `yaml:"rekey" doc:"match all sequences and samples by way of topics.rekey, for input that isn't keyed by host.id; default: only those whose join keys don't imply the host"`
	Commit             Commit            `yaml:"commit"`
	SessionTimeout     time.Duration     `yaml:"session_timeout" doc:"after this long without a sign of life a member is replaced"`
	TransactionTimeout time.Duration     `yaml:"transaction_timeout" doc:"after this long the broker aborts an open transaction"`
	StopTimeout        time.Duration     `yaml:"stop_timeout" doc:"after a SIGTERM, how long a broker that doesn't answer may hold the batch at hand up before it is given up, and worked on again after the next start; up to 5 s for the connections come on top, and 5 s more with leave_group"`
	Delivery           string            `yaml:"delivery" doc:"exactly_once, or at_least_once: without transactions, alerts may be on the topic twice after a crash, with the same id; the same for all members of a group"`
	Dedupe             Dedupe            `yaml:"dedupe"`
	Limits             Limits            `yaml:"limits"`
	Alerts             Alerts            `yaml:"alerts"`
	Fetch              Fetch             `yaml:"fetch"`
	HTTP               HTTP              `yaml:"http"`
	Log                Log               `yaml:"log"`

	// origins says where each setting that isn't a default was written, by path.
	origins map[string]origin
	// Warnings are findings that don't keep the service from starting.
	Warnings []Problem `yaml:"-"`
}

// TLS says how connections to the brokers are encrypted.
type TLS struct {
	Enabled            bool   `yaml:"enabled" doc:"encrypt connections to the brokers"`
	CAFile             string `yaml:"ca_file" doc:"PEM file of the authorities that sign the brokers' certificates; default: the system's"`
	CertFile           string `yaml:"cert_file" doc:"PEM file of the client's certificate, for mTLS"`
	KeyFile            string `yaml:"key_file" doc:"PEM file of the client's key, for mTLS"`
	ServerName         string `yaml:"server_name" doc:"name that the brokers' certificates must have; default: the broker's host"`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify" doc:"accept any certificate: for tests only"`
}

// SASL says how to authenticate.
type SASL struct {
	Mechanism    string `yaml:"mechanism" doc:"plain, scram-sha-256 or scram-sha-512, in any letter case; empty for none"`
	Username     string `yaml:"username" doc:"user name"`
	Password     Secret `yaml:"password" doc:"password; better in the environment or a file"`
	PasswordFile string `yaml:"password_file" doc:"file that holds the password"`
}

// Topics names the topics.
type Topics struct {
	Input             []string `yaml:"input" doc:"topics to read events from, keyed by host.id, with the same number of partitions"`
	Alerts            string   `yaml:"alerts" doc:"topic of the alerts"`
	DeadLetters       string   `yaml:"dead_letters" doc:"topic of records that could not be decoded"`
	Rekey             string   `yaml:"rekey" doc:"topic on which events go to the partition of their join keys, for rules that join events of several hosts; one for each group; default: GROUP-rekey"`
	Changelog         string   `yaml:"changelog" doc:"topic of the state's changes, one for each group; default: GROUP-changelog"`
	Create            bool     `yaml:"create" doc:"create missing topics, except for the input"`
	ReplicationFactor int      `yaml:"replication_factor" doc:"of created topics; -1 is the broker's default"`
}

// Rules says which rules run.
type Rules struct {
	Paths   []string `yaml:"paths" doc:"rule files and folders of them"`
	Shipped bool     `yaml:"shipped" doc:"run the shipped rules too; default: where rules.paths is empty"`
	// Reload is the time between two looks at the rule files; 0 for none.
	Reload   time.Duration `yaml:"reload" doc:"how often rule files are looked at for changes; 0 for never: then SIGHUP alone loads them again"`
	HostKeys []string      `yaml:"host_keys" doc:"join keys that imply the host; default: host.id, agent.id, process.entity_id and more"`
}

// State says where the local state is and how much memory it takes.
type State struct {
	Dir        string `yaml:"dir" doc:"folder of the local state: a cache, one per member"`
	MemtableMB int    `yaml:"memtable_mb" doc:"size of a memory table in MiB; two are kept"`
	CacheMB    int    `yaml:"cache_mb" doc:"memory for blocks that were read, in MiB"`
	Standby    int    `yaml:"standby" doc:"how many other members keep a copy of each partition's state, so that they take over within seconds; 0 for none"`
}

// Order configures the reorder buffer.
type Order struct {
	Lateness        time.Duration `yaml:"lateness" doc:"how long a sequence waits for earlier events of its host"`
	FutureTolerance time.Duration `yaml:"future_tolerance" doc:"how far an event's time may be ahead of the record's"`
	TopicWait       time.Duration `yaml:"topic_wait" doc:"with several input topics: how long events of one wait for another that has unread records and brings none; one that brings some is waited for as long as it takes"`
}

// Commit configures commits.
type Commit struct {
	Interval time.Duration `yaml:"interval" doc:"time between commits: what alerts wait at most"`
}

// Dedupe configures which alerts are left out because they were published before.
type Dedupe struct {
	Window time.Duration `yaml:"window" doc:"an alert of an id that was published within this time is dropped and counted; by the partition's time; 0 for never"`
	IDs    int           `yaml:"ids" doc:"ids of alerts that a partition remembers for that; the oldest goes first"`
}

// Limits bound what a partition keeps.
type Limits struct {
	EventBytes      int `yaml:"event_bytes" doc:"larger records go to the dead letters"`
	PartialsPerRule int `yaml:"partials_per_rule" doc:"unfinished sequences of one rule; the oldest goes first"`
	Partials        int `yaml:"partials" doc:"unfinished sequences of all rules"`
	PerKey          int `yaml:"per_key" doc:"unfinished sequences of one rule under one join key; at more, all of them go"`
	MatchesPerEvent int `yaml:"matches_per_event" doc:"alerts of one rule that one event completes under different join keys; the rest is cut and counted"`
	Buffered        int `yaml:"buffered" doc:"events in the reorder buffer; of those that can only go on with a sequence four times as many more wait as notes of some 40 bytes"`
	BufferedBytes   int `yaml:"buffered_bytes" doc:"documents of those events that a partition keeps in memory; the documents of further ones are written to the state, which costs time"`
	Hosts           int `yaml:"hosts" doc:"hosts remembered without anything pending"`

	RulePartials int           `yaml:"rule_partials" doc:"unfinished sequences of one rule above which it is put in quarantine on that partition; 0 for never"`
	RuleCPU      float64       `yaml:"rule_cpu" doc:"share of the processing time, 0.5 for half, above which a rule is put in quarantine; 0 for never"`
	Quarantine   time.Duration `yaml:"quarantine" doc:"how long a rule stays in quarantine before it is tried again, also over a restart and on another member that takes over"`
}

// Alerts configures the alert documents.
type Alerts struct {
	MaxBytes int `yaml:"max_bytes" doc:"size of an alert above which its largest events become references"`
}

// Fetch bounds the memory of reading.
type Fetch struct {
	MaxBytes          int `yaml:"max_bytes" doc:"bytes per broker and fetch"`
	MaxPartitionBytes int `yaml:"max_partition_bytes" doc:"bytes per partition and fetch; at most fetch.max_bytes"`
	BatchRecords      int `yaml:"batch_records" doc:"most records that are worked on at once"`
}

// HTTP configures the server of metrics and health.
type HTTP struct {
	Address string `yaml:"address" doc:"address of /metrics, /healthz, /readyz and /restore; empty for none"`
	Pprof   bool   `yaml:"pprof" doc:"serve /debug/pprof/ too"`
}

// Log configures logging.
type Log struct {
	Level  string `yaml:"level" doc:"debug, info, warn or error"`
	Format string `yaml:"format" doc:"text or json"`
}

// Secret is a text that is never printed or logged.
type Secret string

// redacted stands for a secret.
const redacted = "[redacted]"

// String returns a placeholder.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString returns a placeholder.
func (s Secret) GoString() string { return s.String() }

// LogValue returns a placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns a placeholder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Default returns the configuration in which nothing is set.
func Default() *Config {
	return &Config{
		Topics: Topics{Alerts: "weir-alerts", DeadLetters: "weir-dead-letters", Create: true, ReplicationFactor: -1},
		Group:  "weir",
		Rules:  Rules{Reload: 5 * time.Second},
		State:  State{Dir: "weir-state", MemtableMB: 16, CacheMB: 16},
		Order:  Order{Lateness: 2 * time.Second, FutureTolerance: 5 * time.Minute, TopicWait: time.Minute},
		Commit: Commit{Interval: 100 * time.Millisecond},

		SessionTimeout: 10 * time.Second, TransactionTimeout: 10 * time.Second, StopTimeout: 15 * time.Second, Delivery: ExactlyOnce,

		Dedupe: Dedupe{Window: 10 * time.Minute, IDs: 100_000},
		Limits: Limits{
			EventBytes: 983_040, PartialsPerRule: 100_000, Partials: 1_000_000, PerKey: 1000, MatchesPerEvent: 100,
			Buffered: 100_000, BufferedBytes: 64 << 20, Hosts: 100_000, Quarantine: 10 * time.Minute,
		},
		Alerts:  Alerts{MaxBytes: DefaultAlertBytes},
		Fetch:   Fetch{MaxBytes: 32 << 20, MaxPartitionBytes: 1 << 20, BatchRecords: 20_000},
		HTTP:    HTTP{Address: ":8686"},
		Log:     Log{Level: "info", Format: "text"},
		origins: map[string]origin{},
	}
}

// derive fills in what depends on other settings.
func (c *Config) derive() {
	c.SASL.Mechanism = strings.ToLower(c.SASL.Mechanism) // Kafka's own name is SCRAM-SHA-256
	if c.Topics.Changelog == "" {
		c.Topics.Changelog = c.Group + "-changelog"
	}
	if c.Topics.Rekey == "" {
		c.Topics.Rekey = c.Group + "-rekey"
	}
	if _, set := c.origins["rules.shipped"]; !set && len(c.Rules.Paths) == 0 {
		c.Rules.Shipped = true
	}
}
