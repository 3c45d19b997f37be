package oracle_test

import (
	"math/big"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-eql/weir/event"
)

// value is a scalar: nil, bool, string, *big.Rat for a number, moment or address.
type value any

// moment is a time in milliseconds.
type moment int64

// number is a number with its text and whether it is whole by type, which decides how it divides.
type number struct {
	rat   *big.Rat
	whole bool
}

// fieldType is how a field is mapped: the names of Elasticsearch's types, "" for a field that no mapping has.
type fieldType string

// fieldTypes are the fields of the random documents. What isn't ECS is declared.
var fieldTypes = map[string]fieldType{
	"process.name": "keyword", "process.args": "keyword", "file.path": "keyword", "user.name": "keyword",
	"process.command_line": "keyword", "process.pid": "long", "process.exit_code": "long", "event.risk": "double", "x.big": "unsigned",
	"process.trusted": "boolean", "process.start": "date", "source.ip": "ip", "destination.ip": "ip",
	"build.version": "version", "state": "keyword", "x.n": "", "x.score": "", "x.text": "", "x.flag": "", "no.such": "",
	"answers.name": "keyword", "answers.ttl": "long", "a.b.c.d": "keyword",
	"event.category": "keyword", "event.kind": "keyword", "host.id": "keyword", "parent.id": "keyword", "user.id": "keyword",
	"owner.id": "keyword", "process.ppid": "long", "x.k": "",
}

// nullValue is what an explicit null of the field state stands for.
const nullValue = "none"

// declared tells the product the types of the fields above.
type declared struct{}

func (declared) Known(path string) bool { _, ok := fieldTypes[path]; return ok }

func (declared) Nearest(string) string { return "" }

func (declared) Unusable(string) (why, hint string) { return "", "" }

func (declared) Null(path string) (string, bool) { return nullValue, path == "state" }

func (declared) TypeOf(path string) event.Type {
	switch fieldTypes[path] {
	case "keyword":
		return event.Keyword
	case "long":
		return event.Long
	case "unsigned":
		return event.Unsigned
	case "double":
		return event.Double
	case "boolean":
		return event.Boolean
	case "date":
		return event.Date
	case "ip":
		return event.IP
	case "version":
		return event.Version
	default:
		return event.Unknown
	}
}

// raw is a value in a document before its field's type is looked at: nil, bool, string, rawNumber, or []raw.
type raw any

// rawNumber is a number as it is written.
type rawNumber string

// values returns what a field holds: arrays flattened, nulls dropped, each value read as its type has it.
func values(path string, r raw) []value {
	switch r := r.(type) {
	case []raw:
		var out []value
		for _, e := range r {
			out = append(out, values(path, e)...)
		}
		return out
	case nil:
		if path == "state" {
			return []value{nullValue}
		}
		return nil
	default:
		if v := read(fieldTypes[path], r); v != nil {
			return []value{v}
		}
		return nil
	}
}

// decimalText is a number as a numeric field takes it from text.
var decimalText = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// read coerces one value to a type; nil where it can't.
func read(t fieldType, r raw) value {
	text, isText := r.(string)
	digits, isNumber := r.(rawNumber)
	flag, isBool := r.(bool)
	switch t {
	case "keyword", "version":
		switch {
		case isText:
			return text
		case isNumber:
			return string(digits)
		}
		return strconv.FormatBool(flag)
	case "long", "double", "unsigned":
		if isNumber {
			text = string(digits)
		}
		if isBool || !decimalText.MatchString(text) {
			return nil
		}
		rat, _ := new(big.Rat).SetString(text)
		n := new(big.Int).Quo(rat.Num(), rat.Denom()) // truncated towards zero
		switch {
		case t == "long" && n.IsInt64(), t == "unsigned" && n.IsUint64() && rat.IsInt():
			return number{new(big.Rat).SetInt(n), true}
		case t != "double":
			return nil
		}
		return number{rat, false}
	case "boolean":
		switch {
		case isBool:
			return flag
		case isText && text == "true":
			return true
		case isText && (text == "false" || text == ""):
			return false
		}
		return nil
	case "date":
		if isNumber {
			text = string(digits)
		}
		if isBool {
			return nil
		}
		return readMoment(text)
	case "ip":
		if !isText {
			return nil
		}
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil
		}
		return a.Unmap()
	}
	switch {
	case isNumber:
		rat, _ := new(big.Rat).SetString(string(digits))
		if strings.ContainsAny(string(digits), ".eE") {
			return number{rat, false}
		}
		return number{rat, true}
	case isText:
		return text
	}
	return flag
}

func readMoment(text string) value {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return moment(ms)
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return nil
	}
	return moment(at.UnixNano() / 1e6) // all times are after 1970
}

// order compares two values of one kind; ok is false for others.
func order(a, b value) (c int, ok bool) {
	switch a := a.(type) {
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b), true // by bytes, which is by code points
		}
	case number:
		if b, ok := b.(number); ok {
			return a.rat.Cmp(b.rat), true
		}
	case bool:
		if b, ok := b.(bool); ok {
			switch {
			case a == b:
				return 0, true
			case a:
				return 1, true
			}
			return -1, true
		}
	case moment:
		if b, ok := b.(moment); ok {
			return int(a - b), true
		}
	case netip.Addr:
		if b, ok := b.(netip.Addr); ok {
			x, y := a.As16(), b.As16()
			return slices.Compare(x[:], y[:]), true
		}
	}
	return 0, false
}

// versionOrder compares versions as the field type does: numbers part by part, a pre-release before its release, identifiers of
// digits before others, and what is no version after all versions, as text.
func versionOrder(a, b string) int {
	x, xok := parseVersion(a)
	y, yok := parseVersion(b)
	switch {
	case !xok && !yok:
		return strings.Compare(a, b)
	case !xok:
		return 1
	case !yok:
		return -1
	}
	if c := slices.Compare(x.main, y.main); c != 0 {
		return c
	}
	switch {
	case len(x.pre) == 0 && len(y.pre) == 0:
		return 0
	case len(x.pre) == 0:
		return 1
	case len(y.pre) == 0:
		return -1
	}
	return slices.CompareFunc(x.pre, y.pre, func(p, q string) int {
		m, merr := strconv.Atoi(p)
		n, nerr := strconv.Atoi(q)
		switch {
		case merr == nil && nerr == nil:
			return m - n
		case merr == nil:
			return -1
		case nerr == nil:
			return 1
		}
		return strings.Compare(p, q)
	})
}

type version struct {
	main []int
	pre  []string
}

var versionText = regexp.MustCompile(`^(\d+(?:\.\d+)*)(?:-([0-9A-Za-z.-]+))?$`)

func parseVersion(s string) (v version, ok bool) {
	m := versionText.FindStringSubmatch(s)
	if m == nil {
		return v, false
	}
	for part := range strings.SplitSeq(m[1], ".") {
		n, _ := strconv.Atoi(part)
		v.main = append(v.main, n)
	}
	if m[2] != "" {
		v.pre = strings.Split(m[2], ".")
	}
	return v, true
}

// text returns what string() makes of a value.
func text(v value) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case number:
		if v.whole {
			return v.rat.Num().String()
		}
		f, _ := v.rat.Float64()
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	case netip.Addr:
		return v.String()
	}
	panic("no text")
}
