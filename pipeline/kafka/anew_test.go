package kafka_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/pipeline/rekey"
)

// reported returns how far the targets know that each log of the input was sent, from the re-key topic.
func (c *cluster) reported(t *testing.T) map[uint64]rekey.Sent {
	t.Helper()
	last := map[uint64]rekey.Sent{}
	for _, r := range c.committed(t, c.prefix+"-rekey") {
		rec, err := rekey.Decode(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range rec.Report.Sent {
			last[s.Log] = s
		}
	}
	return last
}

// reportFurther tells all targets that so many records more of the input were worked on than there are: those that a leader lacks.
func (c *cluster) reportFurther(t *testing.T, partitions int32, lost int64) {
	t.Helper()
	var report rekey.Report
	for _, s := range c.reported(t) {
		s.Next += lost
		report.Sent = append(report.Sent, s)
	}
	if len(report.Sent) != int(partitions) {
		t.Fatalf("%d logs were reported, want %d", len(report.Sent), partitions)
	}
	for n := range partitions {
		c.send(t, &kgo.Record{Topic: c.prefix + "-rekey", Partition: n, Value: report.Append(nil)})
	}
}

// electLeaders gives the partitions of the input a new leader.
func (c *cluster) electLeaders(t *testing.T, partitions int32) {
	t.Helper()
	for n := range partitions {
		if err := c.fake.MoveTopicPartition(c.input, n, c.fake.LeaderFor(c.input, n)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAtLeastOnceOffsetsGivenAnew: leaders are elected that lack records that were worked on, and give their offsets to new ones. Rules that join
// events of any host find these, each once, also where a member ends within a commit and its batch is sent again.
func TestAtLeastOnceOffsetsGivenAnew(t *testing.T) {
	const partitions = 3
	for _, point := range []kafka.Point{"none", kafka.PointProduced, kafka.PointCheckpointed} {
		t.Run(fmt.Sprintf("killed=%s", point), func(t *testing.T) {
			t.Parallel()
			c := fakeCluster(t, partitions)
			cfg := c.rekeyed(t)
			cfg.AtLeastOnce = true
			m := c.start(t, cfg, t.TempDir())
			before := c.tellStories(t, 5, partitions, func(int) { c.awaitRead(t, c.input) })
			c.awaitAlerts(t, len(before))
			until(t, "all is reported", func() bool { return len(c.reported(t)) == partitions })
			m.stop()
			c.reportFurther(t, partitions, 1000)
			c.electLeaders(t, partitions)
			want := c.tellMore(t, 5, 5, partitions, func(step int) {
				if point != "none" {
					select {
					case <-c.startDoomed(t, cfg, t.TempDir(), point, 1+step%2):
					case <-time.After(20 * time.Second):
						t.Fatal("the member doesn't pass the point")
					}
				}
				m := c.start(t, cfg, t.TempDir())
				c.awaitRead(t, c.input)
				m.stop()
			})
			c.start(t, cfg, t.TempDir())
			got := map[string]int{}
			until(t, "all alerts", func() bool { got = counted(c.alerts(t)); return len(got) >= len(before)+len(want) })
			for alert, n := range got {
				if n > 1 && point != kafka.PointProduced {
					t.Errorf("%s is on the topic %d times", alert, n)
				}
				got[alert] = 1
			}
			if diff := cmp.Diff(counted(append(before, want...)), got); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
		})
	}
}
