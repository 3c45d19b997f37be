package eql

import (
	"strings"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/event"
)

// versionOrder compares versions in the order of Elasticsearch's version field type.
type versionOrder struct {
	op   ast.Op
	text string
}

func (t versionOrder) test(v event.Value) bool {
	return isText(v) && holds(t.op, compareVersions(v.Str(), t.text))
}

// compareVersions orders by the numbers, then a release after its pre-releases, then the build. Text that is
// no version sorts after all versions.
func compareVersions(a, b string) int {
	aOK, bOK := validVersion(a), validVersion(b)
	if !aOK || !bOK {
		if aOK != bOK {
			return b2i(bOK) - b2i(aOK)
		}
		return strings.Compare(a, b)
	}
	aMain, aPre, aBuild := splitVersion(a)
	bMain, bPre, bBuild := splitVersion(b)
	if c := compareDotted(aMain, bMain); c != 0 {
		return c
	}
	if (aPre == "") != (bPre == "") {
		return b2i(aPre == "") - b2i(bPre == "")
	}
	if c := compareDotted(aPre, bPre); c != 0 {
		return c
	}
	return strings.Compare(aBuild, bBuild)
}

// splitVersion splits "1.2.3-rc.1+build" into its three parts.
func splitVersion(s string) (main, pre, build string) {
	s, build, _ = strings.Cut(s, "+")
	main, pre, _ = strings.Cut(s, "-")
	return main, pre, build
}

// validVersion reports whether s is numbers without leading zeros, joined with dots, then perhaps a
// pre-release and a build.
func validVersion(s string) bool {
	main, pre, build := splitVersion(s)
	if strings.Contains(s, "-") && pre == "" && !strings.HasPrefix(s, main+"+") || strings.HasSuffix(s, "+") {
		return false
	}
	for part := range strings.SplitSeq(main, ".") {
		if !isNumber(part) || len(part) > 1 && part[0] == '0' {
			return false
		}
	}
	for _, tail := range [...]string{pre, build} {
		if tail == "" {
			continue
		}
		for part := range strings.SplitSeq(tail, ".") {
			if part == "" || strings.Trim(part, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" {
				return false
			}
		}
	}
	return true
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// compareDotted compares part by part: numbers by value and before text, text byte by byte; of two lists that
// begin alike the shorter comes first.
func compareDotted(a, b string) int {
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		xNum, yNum := isNumber(x), isNumber(y)
		var c int
		switch {
		case xNum && yNum:
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if c = len(x) - len(y); c == 0 {
				c = strings.Compare(x, y)
			}
		case xNum != yNum:
			c = b2i(yNum) - b2i(xNum)
		default:
			c = strings.Compare(x, y)
		}
		if c != 0 {
			return c
		}
	}
	return b2i(a != "") - b2i(b != "")
}
