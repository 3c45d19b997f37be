package rules

import (
	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/event"
)

// Source is the text of a rule file with what it takes to place findings in it. It is kept where LoadOptions.KeepSource
// asks for it, and belongs to whoever loaded the file.
type Source struct {
	src   source
	at    layout
	text  *textMap      // of the query, nil where there is none
	query ast.Statement // nil where the query doesn't compile
	rule  *Rule         // nil where the file could not be decoded
	types func(string) event.Type
}

// Statement returns the syntax tree of the file's query, nil where it doesn't compile.
func (s *Source) Statement() ast.Statement { return s.query }

// Rule returns the rule as the file has it, also where it doesn't run; nil where the file could not be decoded.
func (s *Source) Rule() *Rule { return s.rule }

// Types returns what told the types of fields when the file was loaded.
func (s *Source) Types() func(path string) event.Type { return s.types }

// Bytes returns the text of the file. The caller must not change it.
func (s *Source) Bytes() []byte { return s.src }

// InQuery returns the finding on a part of the query.
func (s *Source) InQuery(code finding.Code, at ast.Span, message, hint string) Problem {
	return s.src.problem(code, s.text.span(at.Pos, at.End), message, hint)
}

// AtKey returns the finding on the value of a key (rule.from), or on [rule] where the file doesn't have it.
func (s *Source) AtKey(code finding.Code, key, message, hint string) Problem {
	e, ok := s.at[key]
	switch {
	case !ok:
		return s.src.problem(code, s.at["rule"].key, message, hint)
	case e.value.end > e.value.pos:
		return s.src.problem(code, e.value, message, hint)
	default:
		return s.src.problem(code, e.key, message, hint)
	}
}

// AtBytes returns the finding on a part of the file, by byte offsets.
func (s *Source) AtBytes(code finding.Code, pos, end int, message, hint string) Problem {
	return s.src.problem(code, span{pos, end}, message, hint)
}

// Add adds findings to the file, each once, and keeps them in order of position.
func (f *File) Add(ps ...Problem) {
	f.Problems = append(f.Problems, ps...)
	f.settle()
}

// QueryProblem returns a finding in a query that stands in no file, placed in its lines.
func QueryProblem(text string, e *ast.Error) Problem {
	return source(text).problem(e.Code, span{e.Pos, e.End}, e.Msg, e.Hint)
}
