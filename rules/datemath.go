package rules

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Kibana's defaults for a rule that doesn't say otherwise, in milliseconds.
const (
	defaultLookback = 6 * 60 * 1000
	defaultInterval = 5 * 60 * 1000
)

// parseLookback returns the milliseconds of a `from`: now-9m, now-1d-30m. Rounding (now-1d/d) looks back by up to one
// unit more, which is added.
func parseLookback(from string) (int64, error) {
	rest, ok := strings.CutPrefix(from, "now")
	if !ok {
		return 0, fmt.Errorf("%q is not of the form now-9m", from)
	}
	rest, rounding, rounded := strings.Cut(rest, "/")
	var total int64
	for rest != "" {
		part, ok := strings.CutPrefix(rest, "-")
		if !ok {
			return 0, fmt.Errorf("%q is not of the form now-9m", from)
		}
		end := strings.IndexByte(part, '-')
		if end < 0 {
			end = len(part)
		}
		ms, err := parseSpan(part[:end])
		if err != nil {
			return 0, err
		}
		total += ms
		rest = part[end:]
	}
	if rounded {
		ms, err := parseSpan("1" + rounding)
		if err != nil {
			return 0, err
		}
		total += ms
	}
	if total <= 0 {
		return 0, fmt.Errorf("%q looks back by nothing", from)
	}
	return total, nil
}

// parseSpan returns the milliseconds of a number with a unit of Elasticsearch's date math: 30s, 5m, 12h, 1d, 2w, 1M, 1y.
// Months and years count as the longest that there are.
func parseSpan(text string) (int64, error) {
	digits := strings.TrimRight(text, "smhHdwMy")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a number with a unit such as 5m", text)
	}
	const hour, day = 3_600_000, 86_400_000
	units := map[string]int64{
		"s": 1000, "m": 60_000, "h": hour, "H": hour, "d": day, "w": 7 * day, "M": 31 * day, "y": 366 * day,
	}
	unit, ok := units[text[len(digits):]]
	if !ok {
		return 0, fmt.Errorf("%q has no unit out of s, m, h, d, w, M, y", text)
	}
	if n > math.MaxInt64/unit/4 {
		return 0, fmt.Errorf("%q is too long", text)
	}
	return n * unit, nil
}
