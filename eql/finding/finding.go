// Package finding names what can be said of a rule: each kind of finding has a stable code, a name and a severity.
// It knows nothing of where findings come from. docs/lint.md has a section for each code.
package finding

import "strings"

// Code is the stable name of a kind of finding: E for errors, W for warnings, I for information, then a number. The
// hundreds tell what it is about: 0 the file, 1 syntax, 2 meaning, 3 conditions, 4 sequences, 5 a sample of events,
// 9 silences. A code is never used again for something else.
type Code string

// The codes.
const (
	Unreadable  Code = "E001"
	TOMLSyntax  Code = "E002"
	MissingKey  Code = "E003"
	KeyType     Code = "E004"
	KeyValue    Code = "E005"
	UnknownKey  Code = "W001"
	Disabled    Code = "W002"
	DuplicateID Code = "W003"
	NotDone     Code = "W004"
	NotActed    Code = "I005"

	Text    Code = "E101"
	Syntax  Code = "E102"
	Dialect Code = "E103"
	Shape   Code = "E104"
	Limit   Code = "E105"

	Type      Code = "E201"
	Function  Code = "E202"
	Arguments Code = "E203"
	Constant  Code = "E204"
	Regex     Code = "E205"
	Value     Code = "E206"

	UnknownField   Code = "W301"
	UnknownValue   Code = "W302"
	NumberText     Code = "W303"
	LetterCase     Code = "W304"
	LiteralStar    Code = "W305"
	AlwaysFalse    Code = "W306"
	AlwaysTrue     Code = "W307"
	Duplicate      Code = "I308"
	NeedlePattern  Code = "W309"
	DeadValue      Code = "I310"
	RegexAnchor    Code = "W321"
	RegexGroup     Code = "W322"
	RegexOperator  Code = "W323"
	RegexReference Code = "W324"
	JavaRegex      Code = "W325"

	UnreachableStage Code = "W401"
	LongSpan         Code = "W402"
	KeysDiffer       Code = "W403"
	KeyAbsent        Code = "W404"
	UntilEnds        Code = "W405"

	NoEvent       Code = "W501"
	NoMatch       Code = "W502"
	FieldInNone   Code = "W503"
	KeyInNone     Code = "W504"
	UnusedSilence Code = "W901"
	BadSilence    Code = "W902"
)

// Severity says what a finding means for the rule.
type Severity string

// The severities. Only an error keeps a rule from running.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// Severity returns the severity of the code, which its letter tells.
func (c Code) Severity() Severity {
	switch {
	case strings.HasPrefix(string(c), "E"):
		return Error
	case strings.HasPrefix(string(c), "I"):
		return Info
	default:
		return Warning
	}
}

// Docs is the address of the page that explains the findings.
const Docs = "https://github.com/weir-eql/weir/blob/main/docs/lint.md"

// Doc returns the address of the section on the code, "" for a code that isn't known.
func (c Code) Doc() string {
	if c.Name() == "" {
		return ""
	}
	return Docs + "#" + strings.ToLower(string(c)) + "-" + c.Name()
}

// Name returns the readable name of the code, such as always-false; "" for a code that isn't known.
func (c Code) Name() string {
	for _, k := range Codes() {
		if k.Code == c {
			return k.Name
		}
	}
	return ""
}

// Kind is one kind of finding.
type Kind struct {
	Code Code
	Name string // in lower case with hyphens: it is part of the address of its section
}

// Codes returns all kinds of findings in the order of docs/lint.md.
func Codes() []Kind {
	return []Kind{
		{Unreadable, "unreadable-file"},
		{TOMLSyntax, "toml-syntax"},
		{MissingKey, "missing-key"},
		{KeyType, "key-type"},
		{KeyValue, "key-value"},
		{UnknownKey, "unknown-key"},
		{Disabled, "disabled"},
		{DuplicateID, "duplicate-rule-id"},
		{NotDone, "not-done"},
		{NotActed, "not-acted-on"},

		{Text, "unreadable-text"},
		{Syntax, "syntax"},
		{Dialect, "other-dialect"},
		{Shape, "query-shape"},
		{Limit, "too-large"},

		{Type, "type-mismatch"},
		{Function, "unknown-function"},
		{Arguments, "arguments"},
		{Constant, "not-constant"},
		{Regex, "bad-regex"},
		{Value, "bad-value"},

		{UnknownField, "unknown-field"},
		{UnknownValue, "unknown-value"},
		{NumberText, "number-and-text"},
		{LetterCase, "letter-case"},
		{LiteralStar, "literal-wildcard"},
		{AlwaysFalse, "always-false"},
		{AlwaysTrue, "always-true"},
		{Duplicate, "duplicate"},
		{NeedlePattern, "needle-pattern"},
		{DeadValue, "dead-value"},
		{RegexAnchor, "regex-anchor"},
		{RegexGroup, "regex-group"},
		{RegexOperator, "regex-operator"},
		{RegexReference, "regex-reference"},
		{JavaRegex, "java-regex"},

		{UnreachableStage, "unreachable-stage"},
		{LongSpan, "span-beyond-lookback"},
		{KeysDiffer, "keys-never-equal"},
		{KeyAbsent, "key-never-present"},
		{UntilEnds, "until-ends-stage"},

		{NoEvent, "no-event"},
		{NoMatch, "no-match"},
		{FieldInNone, "field-in-no-event"},
		{KeyInNone, "key-in-no-event"},

		{UnusedSilence, "unused-silence"},
		{BadSilence, "bad-silence"},
	}
}
