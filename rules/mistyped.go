package rules

import (
	"bytes"
	"errors"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/weir-eql/weir/eql/finding"
)

// maxMistyped is how many values of a wrong type are reported of one file.
const maxMistyped = 20

// decodeInto decodes a file strictly. Values of a wrong type are reported and left out, where that can be done without
// disturbing what stands around them; the error is what is left.
func (p *parser) decodeInto(doc *document) error {
	src := bytes.Clone(p.src)
	for {
		*doc = document{}
		err := toml.NewDecoder(bytes.NewReader(src)).DisallowUnknownFields().Decode(doc)
		var de *toml.DecodeError
		if !errors.As(err, &de) || len(p.mistyped) >= maxMistyped {
			return err
		}
		path := strings.Join(de.Key(), ".")
		e, ok := p.at[strings.ToLower(path)]
		msg := typeProblem(path, de.Error())
		if !ok || msg == "" || !p.blank(src, e, p.src.offset(de.Position())) {
			return err
		}
		p.report(finding.KeyType, e.value, msg, "")
		p.mistyped[strings.ToLower(path)] = struct{}{}
	}
}

// blank overwrites an entry with spaces, so that all else keeps its place. It reports whether it could: the entry must
// be the one at which at points and begin its line.
func (p *parser) blank(src []byte, e entry, at int) bool {
	start := bytes.LastIndexByte(src[:e.key.pos], '\n') + 1
	if e.value.end <= e.value.pos || at < e.value.pos || at >= e.value.end || len(bytes.TrimSpace(src[start:e.key.pos])) > 0 {
		return false
	}
	for i := e.key.pos; i < e.value.end; i++ {
		if src[i] != '\n' {
			src[i] = ' '
		}
	}
	return true
}

// typeProblem says in the words of TOML what the library says in those of Go: a value has the wrong type. It returns ""
// for all other messages.
func typeProblem(key, msg string) string {
	m := regexp.MustCompile(`cannot decode TOML ([a-z ]+) into (?:struct field \S+ of type )?(\S+)$`).FindStringSubmatch(msg)
	if m == nil || key == "" {
		return ""
	}
	return key + " must be " + wanted(m[2]) + ", found " + found(m[1])
}

// wholeList reports whether the value of the wrong type is a list or a table itself, and not a part of one.
func wholeList(msg string) bool {
	return strings.Contains(msg, "TOML array ") || strings.Contains(msg, "table into ")
}

// wanted names what a Go type is written as.
func wanted(goType string) string {
	switch t := strings.TrimPrefix(goType, "*"); {
	case strings.HasPrefix(t, "int") && !strings.HasPrefix(t, "interface"), strings.HasPrefix(t, "uint"):
		return "a whole number"
	case strings.HasPrefix(t, "float"):
		return "a number"
	case t == "string":
		return "a string"
	case t == "bool":
		return "true or false"
	case t == "[]string":
		return "a list of strings"
	case strings.HasPrefix(t, "[]"):
		return "a list of tables"
	default:
		return "a table"
	}
}

// found names a kind of TOML value.
func found(kind string) string {
	switch kind {
	case "integer":
		return "a whole number"
	case "float":
		return "a number with a fraction"
	case "boolean":
		return "true or false"
	case "array":
		return "a list"
	case "table", "inline table":
		return "a table"
	case "string":
		return "a string"
	default:
		return "a date or time"
	}
}
