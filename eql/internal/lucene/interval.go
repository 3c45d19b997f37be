package lucene

import (
	"fmt"
	"strconv"
	"strings"
)

// interval returns the term for the decimal numbers from low to high.
func (b *builder) interval(low, high, width int) int {
	if width > 0 {
		return b.digits(fmt.Sprintf("%0*d", width, low), fmt.Sprintf("%0*d", width, high))
	}
	var terms []int
	for first := 0; ; { // first is the least number of its length
		last := max(first, 1)*10 - 1
		if from, to := max(low, first), min(high, last); from <= to {
			terms = append(terms, b.digits(strconv.Itoa(from), strconv.Itoa(to)))
		}
		if last >= high {
			break
		}
		first = last + 1
	}
	zeros := b.repeat(b.oneOf(runeSet{{'0', '0'}}), 0, -1)
	return b.concat(zeros, b.union(terms...))
}

// digits returns the term for the numbers from low to high, which have one length.
func (b *builder) digits(low, high string) int {
	if low == "" {
		return empty
	}
	digit := func(lo, hi byte) int { return b.oneOf(runeSet{{rune(lo), rune(hi)}}) }
	if low[0] == high[0] {
		return b.concat(digit(low[0], low[0]), b.digits(low[1:], high[1:]))
	}
	rest := len(low) - 1
	nines, zeros := strings.Repeat("9", rest), strings.Repeat("0", rest)
	terms := []int{
		b.concat(digit(low[0], low[0]), b.digits(low[1:], nines)),
		b.concat(digit(high[0], high[0]), b.digits(zeros, high[1:])),
	}
	if low[0]+1 < high[0] {
		terms = append(terms, b.concat(digit(low[0]+1, high[0]-1), b.repeat(digit('0', '9'), rest, rest)))
	}
	return b.union(terms...)
}
