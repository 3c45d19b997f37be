package lint

import (
	"regexp"
	"slices"
	"strings"

	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/rules"
)

// marker begins a silence in a comment: weir:ignore W304 reason. White space behind the colon is taken as well.
const marker = "weir:ignore"

// ignore is one silence: a code and the lines on which it holds.
type ignore struct {
	code        finding.Code
	first, last int
	pos, end    int // of the code in the file
	used        bool
}

// silence takes away the findings that the file's comments silence, and reports silences that are wrong or do nothing.
func silence(f *rules.File, sampled bool) {
	var ignores []ignore
	for _, c := range f.Source.Comments() {
		some, bad := parseIgnore(f.Source, c)
		ignores = append(ignores, some...)
		f.Add(bad...)
	}
	if len(ignores) == 0 {
		return
	}
	before := len(f.Problems)
	f.Problems = slices.DeleteFunc(f.Problems, func(p rules.Problem) bool {
		silenced := false
		for i := range ignores {
			ig := &ignores[i]
			if ig.code == p.Code && ig.first <= p.Line && p.Line <= ig.last {
				ig.used, silenced = true, true
			}
		}
		return silenced
	})
	f.Silenced = before - len(f.Problems)
	for _, ig := range ignores {
		if !ig.used && checked(f, ig.code, sampled) {
			f.Add(f.Source.AtBytes(finding.UnusedSilence, ig.pos, ig.end, "this silences nothing: there is no "+string(ig.code)+" here", "take it out"))
		}
	}
}

// checked reports whether findings of a code would have been found: not those of a sample that wasn't given, those of a
// query that doesn't compile, and those that other files cause.
func checked(f *rules.File, code finding.Code, sampled bool) bool {
	switch code[1] {
	case '3', '4':
		return f.Source.Statement() != nil
	case '5':
		return sampled && f.Source.Statement() != nil
	default:
		return code != finding.DuplicateID && f.Status != rules.StatusError
	}
}

func parseIgnore(src *rules.Source, c rules.Comment) (found []ignore, bad []rules.Problem) {
	if !strings.Contains(c.Text, "weir:") {
		return nil, nil
	}
	mark := regexp.MustCompile(`weir:\s*ignore\b`).FindStringIndex(c.Text)
	if mark == nil {
		return nil, nil
	}
	rest := c.Text[mark[1]:]
	m := regexp.MustCompile(`^\s+([A-Za-z0-9]+(?:\s*,\s*[A-Za-z0-9]+)*)`).FindStringSubmatchIndex(rest)
	if m == nil {
		return nil, []rules.Problem{src.AtBytes(finding.BadSilence, c.Pos, c.End, "a code is missing behind "+marker, "such as // "+marker+" W305 the value has a star")}
	}
	base := c.Pos + mark[1] + m[2]
	list := rest[m[2]:m[3]]
	for len(list) > 0 {
		word, more, _ := strings.Cut(list, ",")
		code := finding.Code(strings.TrimSpace(word))
		pos := base + strings.Index(word, string(code))
		end := pos + len(code)
		switch {
		case code.Name() == "":
			bad = append(bad, src.AtBytes(finding.BadSilence, pos, end, "there is no finding "+string(code), "codes are in the square brackets behind messages, such as W305"))
		case code.Severity() == finding.Error:
			bad = append(bad, src.AtBytes(finding.BadSilence, pos, end, string(code)+" is an error: errors can't be silenced", ""))
		case code == finding.UnusedSilence || code == finding.BadSilence:
			bad = append(bad, src.AtBytes(finding.BadSilence, pos, end, string(code)+" is about silences and can't be silenced", ""))
		default:
			found = append(found, ignore{code: code, first: c.First, last: c.Last, pos: pos, end: end})
		}
		base += len(word) + 1
		list = more
	}
	return found, bad
}
