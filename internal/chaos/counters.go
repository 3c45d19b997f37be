//go:build unix

package chaos

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// counters gathers what the members count. A process that is killed takes its counters with it: the last look at them
// counts, so that the sums are a little low.
type counters struct {
	mu   sync.Mutex
	last map[string]map[string]float64 // by start of a member, by series
}

// look reads a process's metrics. An error says that it doesn't run, or stands still.
func (c *counters) look(ctx context.Context, m *member) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	start := fmt.Sprintf("%d/%d", m.number, m.startCount())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", m.http), http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	series, err := readMetrics(resp.Body)
	if err != nil || fmt.Sprintf("%d/%d", m.number, m.startCount()) != start {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last = map[string]map[string]float64{}
	}
	c.last[start] = series
	return nil
}

func readMetrics(r io.Reader) (map[string]float64, error) {
	series := map[string]float64{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		at := strings.LastIndexByte(lines.Text(), ' ')
		if at < 0 || !strings.HasPrefix(lines.Text(), "weir_") {
			continue
		}
		v, err := strconv.ParseFloat(lines.Text()[at+1:], 64)
		if err != nil {
			return nil, err
		}
		series[lines.Text()[:at]] = v
	}
	return series, lines.Err()
}

// sums adds up the counters of all processes, by name.
func (c *counters) sums() map[string]float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	sums := map[string]float64{}
	for _, series := range c.last {
		for s, v := range series {
			name, _, _ := strings.Cut(s, "{")
			sums[name] += v
		}
	}
	return sums
}

// alarming are the counters of what was dropped, cut short, put off or not understood, those that come later included.
var alarming = regexp.MustCompile(`(late|evict|overflow|truncat|forgotten|discard|dead_letter|fail|_cut|lost|conflict|drop|dedup|` +
	`future|hostless|unknown|uncoerced|timeless|quarantin|sink_errors|folded|stray|expired_early|exceeded)[a-z_]*_total$`)

// unexplained returns the alarming counters that aren't zero, and that neither the script nor a fault explains.
func (c *counters) unexplained(explained map[string]float64) []string {
	sums := c.sums()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		if v := sums[name]; alarming.MatchString(name) && v > explained[name] {
			text := fmt.Sprintf("%s = %v", name, v)
			if e := explained[name]; e > 0 {
				text += fmt.Sprintf(", at most %v are explained", e)
			}
			out = append(out, text)
		}
	}
	return out
}
