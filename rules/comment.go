package rules

import (
	"bytes"
	"math"

	"github.com/pelletier/go-toml/v2/unstable"

	eqlparser "github.com/weir-eql/weir/eql/parser"
)

// Comment is a comment of a rule file: of the TOML, or of the query in it.
type Comment struct {
	// Text is the comment with its marks, Pos and End where it stands, in bytes.
	Text     string
	Pos, End int
	// First and Last are the lines that it stands at: its own where something is before it, otherwise those of what
	// follows. A comment above a key covers its whole value, one above [rule] the whole file. First is 0 where nothing
	// follows.
	First, Last int
}

// Comments returns the comments of a file that is sound TOML: those of the TOML in their order, then those of the query.
func (s *Source) Comments() []Comment {
	var list []Comment
	var waiting []int // comments on lines of their own, before the next expression
	var p unstable.Parser
	p.KeepComments = true
	p.Reset(s.src)
	add := func(n *unstable.Node) {
		pos := int(n.Raw.Offset)
		list = append(list, Comment{Text: string(n.Data), Pos: pos, End: pos + int(n.Raw.Length)})
	}
	for p.NextExpression() {
		node := p.Expression()
		if node.Kind == unstable.Comment {
			add(node)
			waiting = append(waiting, len(list)-1)
			continue
		}
		first, last := s.lines(node)
		for _, i := range waiting {
			list[i].First, list[i].Last = first, last
		}
		waiting = waiting[:0]
		if node.Kind == unstable.KeyValue && node.Value().Kind == unstable.Array {
			for it := node.Value().Children(); it.Next(); {
				if it.Node().Kind == unstable.Comment {
					add(it.Node())
					at := &list[len(list)-1]
					at.First = s.line(at.Pos)
					at.Last = at.First
				}
			}
		}
		if next := node.Next(); next != nil && next.Valid() && next.Kind == unstable.Comment {
			add(next)
			at := &list[len(list)-1]
			at.First, at.Last = first, s.line(at.Pos)
			if node.Kind != unstable.KeyValue {
				at.Last = max(at.Last, last)
			}
		}
	}
	return append(list, s.queryComments()...)
}

// lines returns the lines of an expression: all for [rule].
func (s *Source) lines(node *unstable.Node) (first, last int) {
	_, at := keyPath(node.Key())
	first = s.line(at.pos)
	switch node.Kind {
	case unstable.KeyValue:
		raw := node.Value().Raw
		if raw.Length == 0 {
			return first, first
		}
		return first, s.line(int(raw.Offset + raw.Length))
	default:
		if path, _ := keyPath(node.Key()); path == "rule" {
			return 1, math.MaxInt
		}
		return first, first
	}
}

func (s *Source) line(pos int) int {
	return bytes.Count(s.src[:min(pos, len(s.src))], []byte("\n")) + 1
}

// queryComments returns the comments in the query.
func (s *Source) queryComments() []Comment {
	if s.text == nil || s.text.text == nil {
		return nil
	}
	var list []Comment
	comments := eqlparser.Comments(string(s.text.text))
	for i, c := range comments {
		at := s.text.span(c.Pos, c.End)
		out := Comment{Text: string(s.text.text[c.Pos:c.End]), Pos: at.pos, End: at.end, First: s.line(at.pos), Last: s.line(at.pos)}
		start := bytes.LastIndexByte(s.text.text[:c.Pos], '\n') + 1
		if len(bytes.TrimSpace(s.text.text[start:c.Pos])) == 0 { // alone on its line: it is about what comes next
			next := c.End
			for _, later := range comments[i+1:] {
				if len(bytes.TrimSpace(s.text.text[next:later.Pos])) > 0 {
					break
				}
				next = later.End
			}
			rest := s.text.text[next:]
			next += len(rest) - len(bytes.TrimLeft(rest, " \t\r\n"))
			out.First, out.Last = 0, 0
			if next < len(s.text.text) {
				out.First = s.line(s.text.offset(next))
				out.Last = out.First
			}
		}
		list = append(list, out)
	}
	return list
}
