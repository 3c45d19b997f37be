package kafka

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Topics of Weir's own that were there before may have other settings than those that Weir makes them with. Some lose
// state, which stops the start; others are only worth a word.

// misfit is a setting of a topic that isn't what it has to be.
type misfit struct {
	setting, value string
	want           string // what to set; empty: nothing in particular
	fatal          bool
	effect         string
}

// changelogMisfits judges the settings of an existing changelog.
func changelogMisfits(of, want map[string]string) (found []misfit) {
	policies := strings.Split(of["cleanup.policy"], ",")
	if !slices.Contains(policies, "compact") || slices.Contains(policies, "delete") {
		found = append(found, misfit{"cleanup.policy", of["cleanup.policy"], "compact", true, "live state would be deleted by its age"})
	}
	if less(of, want, "delete.retention.ms") {
		found = append(found, misfit{
			"delete.retention.ms", of["delete.retention.ms"], want["delete.retention.ms"], true,
			"a local store that was away for longer would bring back what was deleted meanwhile",
		})
	}
	if less(of, want, "min.compaction.lag.ms") { // wanted for delivery at least once
		found = append(found, misfit{
			"min.compaction.lag.ms", of["min.compaction.lag.ms"], want["min.compaction.lag.ms"], false,
			"what a replaced member overwrites late may be compacted before it is repaired",
		})
	}
	const far = 10
	if more(of, want, "segment.bytes", far) && more(of, want, "segment.ms", far) {
		found = append(found, misfit{
			"segment.bytes", of["segment.bytes"], want["segment.bytes"], false,
			"segments are compacted when they are closed, so that restores read far more than there is",
		})
	}
	return found
}

// rekeyMisfits judges the settings of an existing topic of re-keyed events.
func rekeyMisfits(of, want map[string]string) (found []misfit) {
	if slices.Contains(strings.Split(of["cleanup.policy"], ","), "compact") {
		found = append(found, misfit{"cleanup.policy", of["cleanup.policy"], "delete", true, "events of one key would be compacted away"})
	}
	if of["retention.ms"] != "-1" && less(of, want, "retention.ms") {
		found = append(found, misfit{
			"retention.ms", of["retention.ms"], want["retention.ms"], false, "events may be gone before they are matched, where a member is down for longer",
		})
	}
	return found
}

// number reads a setting, false where it isn't there or no number.
func number(of map[string]string, setting string) (int64, bool) {
	n, err := strconv.ParseInt(of[setting], 10, 64)
	return n, err == nil
}

// less reports whether a number is known to be below the one that is wanted.
func less(of, want map[string]string, setting string) bool {
	is, known := number(of, setting)
	wanted, has := number(want, setting)
	return known && has && is < wanted
}

// more reports whether a number is known to be above so many times the one that is wanted.
func more(of, want map[string]string, setting string, times int64) bool {
	is, known := number(of, setting)
	wanted, has := number(want, setting)
	return known && has && is > times*wanted
}

// misfits judges the settings of an existing topic.
func (t ownedTopic) misfits(c *Config, of map[string]string) (found []misfit) {
	switch t.name {
	case c.ChangelogTopic:
		found = changelogMisfits(of, t.settings)
	case c.RekeyTopic:
		found = rekeyMisfits(of, t.settings)
	}
	if less(of, t.settings, "max.message.bytes") {
		found = append(found, misfit{
			"max.message.bytes", of["max.message.bytes"], t.settings["max.message.bytes"], false, "larger records are refused, and output is held back then",
		})
	}
	return found
}

// alter is what an operator types to set it right.
func (m misfit) alter(c *Config, topic string) string {
	return fmt.Sprintf("kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config %s=%s",
		strings.Join(c.Brokers, ","), topic, m.setting, m.want)
}

// checkSettings looks at the settings of the topics that Weir owns. What loses state is an error; the rest is logged, and so is
// that the settings can't be read, which needs a right of its own; what said has of it only where that has changed.
func checkSettings(ctx context.Context, admin *kadm.Client, c *Config, partitions int32, log *slog.Logger, said *remarks) error {
	defer said.end()
	owned := c.ownedTopics(partitions)
	names := make([]string, len(owned))
	for i, t := range owned {
		names[i] = t.name
	}
	configs, err := admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		if ctx.Err() == nil && said.begin("") {
			log.Warn("the settings of Weir's own topics can't be read", slog.Any("error", err))
		}
		return nil
	}
	for _, t := range owned {
		found, err := configs.On(t.name, nil)
		if err = cmp.Or(err, found.Err); err != nil {
			if said.begin(t.name) {
				log.Warn("the settings of a topic can't be read: is DescribeConfigs allowed?", slog.String("topic", t.name), slog.Any("error", err))
			}
			continue
		}
		of := map[string]string{}
		for _, setting := range found.Configs {
			of[setting.Key] = setting.MaybeValue()
		}
		for _, m := range t.misfits(c, of) {
			if m.fatal {
				return fmt.Errorf("%w: %s has %s=%s: %s; %s", ErrTopics, t.name, m.setting, m.value, m.effect, m.alter(c, t.name))
			}
			if !said.begin(t.name + " " + m.setting + "=" + m.value) {
				continue
			}
			log.Warn("a topic has a setting that doesn't fit", slog.String("topic", t.name), slog.String("setting", m.setting),
				slog.String("value", m.value), slog.String("effect", m.effect), slog.String("remedy", m.alter(c, t.name)))
		}
	}
	return nil
}

// remarks are what the log was told of the settings of topics: they are looked at with each connection, and a word is enough.
type remarks struct{ before, now map[string]bool }

// begin reports whether something that is found hasn't been found the last time.
func (r *remarks) begin(what string) bool {
	if r.now == nil {
		r.now = map[string]bool{}
	}
	r.now[what] = true
	return !r.before[what]
}

// end ends a look at all settings: what is right again is worth a word when it is wrong again.
func (r *remarks) end() { r.before, r.now = r.now, nil }
