package parser

import "github.com/agnivade/levenshtein"

// meant returns the hint for a word that is nearly one of those that may stand in its place, "" where it isn't. Short
// words are near to too much.
func (p *parser) meant(words ...string) string {
	if p.tok.kind != word || len(p.tok.value) < 4 {
		return ""
	}
	best, distance := "", 3
	for _, w := range words {
		if d := levenshtein.ComputeDistance(p.tok.value, w); d < distance {
			best, distance = w, d
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + best + "?"
}

// meantWith is the hint for with where what follows is what follows with.
func (p *parser) meantWith() string {
	if !p.peek().isAny("maxspan", "runs") {
		return ""
	}
	return p.meant("with")
}
