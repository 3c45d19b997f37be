// Package ast holds the syntax tree of EQL as Elasticsearch defines it. Nodes are plain data with positions;
// the tree knows nothing of field types, functions' signatures or events. It is immutable once parsed.
package ast

import (
	"time"
)

// Span is a part of the source: byte offsets, End exclusive.
type Span struct{ Pos, End int }

// Source returns the span itself; embedding Span makes a node of a struct that adds the marker method.
func (s Span) Source() Span { return s }

// Node is any node of the tree.
type Node interface{ Source() Span }

// Statement is a whole query: *EventQuery, *Sequence or *Sample, each with the pipes behind it.
type Statement interface {
	Node
	statement()
}

// EventQuery is `category where condition`.
type EventQuery struct {
	Span
	Filter Filter
	Pipes  []Pipe
}

// Filter is `category where condition`, the inside of a stage or the whole of an event query.
type Filter struct {
	Span
	Category Category
	Where    Expr
}

// Category is the event category of a filter. Any means that the query says `any`.
type Category struct {
	Span
	Any  bool
	Name string
}

// Sequence is `sequence [by …] [with maxspan=…] [stage]… [until [stage]]`.
type Sequence struct {
	Span
	By      []Key
	MaxSpan *MaxSpan // nil: none
	Stages  []Stage  // as written: runs are not expanded here
	Until   *Stage
	Pipes   []Pipe
}

// Sample is `sample by … [stage] [stage] …`.
type Sample struct {
	Span
	By     []Key
	Stages []Stage
	Pipes  []Pipe
}

// Stage is `[ filter ]` or `![ filter ]` with its own keys and runs, all of which its span covers.
type Stage struct {
	Span
	Missing bool
	Filter  Filter
	By      []Key
	Runs    int // 1 where the query has none
}

// Key is a join key. Optional keys (?name) join null with null.
type Key struct {
	Span
	Path     string
	Optional bool
}

// MaxSpan is the value of `with maxspan=`. Text keeps the unit as written.
type MaxSpan struct {
	Span
	Duration time.Duration
	Text     string // "3s"
}

// Pipe is `| name n`. Elasticsearch has head and tail.
type Pipe struct {
	Span
	Name  string
	Count int64
}

// Expr is an expression: *Binary, *Unary, *Match, *Call, *Field, *String, *Number, *Bool or *Null.
type Expr interface {
	Node
	expr()
}

// Op is an operator.
type Op string

// The operators. A tilde marks the form that ignores the case of ASCII letters; Seq (`:`) always does.
const (
	Or        Op = "or"
	And       Op = "and"
	Not       Op = "not"
	Eq        Op = "=="
	Ne        Op = "!="
	Lt        Op = "<"
	Le        Op = "<="
	Gt        Op = ">"
	Ge        Op = ">="
	Add       Op = "+"
	Sub       Op = "-"
	Mul       Op = "*"
	Div       Op = "/"
	Mod       Op = "%"
	Seq       Op = ":"
	In        Op = "in"
	InFold    Op = "in~"
	Like      Op = "like"
	LikeFold  Op = "like~"
	Regex     Op = "regex"
	RegexFold Op = "regex~"
)

// Binary is `left op right` for or, and, comparisons and arithmetic.
type Binary struct {
	Span
	Op          Op
	OpSpan      Span
	Left, Right Expr
}

// Unary is `not x` or `-x`; Op is Not or Sub. A unary plus leaves no node.
type Unary struct {
	Span
	Op Op
	X  Expr
}

// Match is `x op (a, b, …)` for `:`, in, in~, like, like~, regex, regex~; a single right side without
// parentheses is a list of one. `x not in (…)` parses as Unary{Not, Match}, printed back in that form or as `not`.
type Match struct {
	Span
	Op     Op
	OpSpan Span
	X      Expr
	List   []Expr
}

// Call is `name(args)` or `name~(args)`.
type Call struct {
	Span
	Name     string // as written, without the tilde
	NameSpan Span
	Fold     bool // name~
	Args     []Expr
}

// Field is a field's dotted path without backquotes. Optional marks `?field`.
type Field struct {
	Span
	Path     string
	Optional bool
}

// String is a text literal, unescaped. Raw marks the triple-quoted form.
type String struct {
	Span
	Value   string
	Raw     bool
	Escapes Escapes
}

// Escapes are the escapes of a literal in order.
type Escapes []Escape

// Escape is one escape in a literal: where its character stands in the value, and what wrote it.
type Escape struct {
	Offset, Size int // of the character in Value, in bytes
	Length       int // of the escape in the source
}

// Part returns the part of the source that wrote the bytes of Value from one offset to another; the closing quote where
// they are the end of Value.
func (s *String) Part(from, to int) Span {
	if from >= len(s.Value) {
		from, to = len(s.Value), len(s.Value)+1
	}
	return Span{Pos: s.source(from), End: s.source(max(to, from+1))}
}

// source returns where the byte of Value at an offset was written; an offset within an escape's character counts as its end.
func (s *String) source(offset int) int {
	at := s.Pos + 1 + offset
	if s.Raw {
		at += 2
	}
	for _, e := range s.Escapes {
		switch {
		case offset >= e.Offset+e.Size:
			at += e.Length - e.Size
		case offset > e.Offset:
			at += e.Length - (offset - e.Offset)
		}
	}
	return at
}

// Number is a number literal. Whole numbers that fit have IsInt and Int; Float is set for all.
type Number struct {
	Span
	Text  string
	IsInt bool
	Int   int64
	Float float64
}

// Bool is true or false.
type Bool struct {
	Span
	Value bool
}

// Null is the literal null.
type Null struct{ Span }

func (*EventQuery) statement() {}
func (*Sequence) statement()   {}
func (*Sample) statement()     {}

func (*Binary) expr() {}
func (*Unary) expr()  {}
func (*Match) expr()  {}
func (*Call) expr()   {}
func (*Field) expr()  {}
func (*String) expr() {}
func (*Number) expr() {}
func (*Bool) expr()   {}
func (*Null) expr()   {}
