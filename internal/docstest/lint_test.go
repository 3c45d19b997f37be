package docstest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/rules/lint"
)

// section is the section of docs/lint.md on one code.
type section struct {
	name           string
	kind           string // of the examples: eql or toml
	bad, good, how string
	events         []string
}

func lintSections(t *testing.T) map[finding.Code]section {
	t.Helper()
	out := map[finding.Code]section{}
	parts := regexp.MustCompile(`(?m)^### `).Split(read(t, filepath.Join(root, "docs", "lint.md")), -1)
	block := func(text, label string) (kind, body string) {
		m := regexp.MustCompile("(?s)\n" + label + ":\n\n```([a-z]+)\n(.*?)```").FindStringSubmatch(text)
		if m == nil {
			return "", ""
		}
		return m[1], m[2]
	}
	for _, p := range parts[1:] {
		heading, text, _ := strings.Cut(p, "\n")
		code, name, _ := strings.Cut(heading, " ")
		s := section{name: name, how: text}
		s.kind, s.bad = block(text, "Bad")
		_, s.good = block(text, "Good")
		_, events := block(text, "Events")
		if events != "" {
			s.events = strings.Split(strings.TrimSpace(events), "\n")
		}
		out[finding.Code(code)] = s
	}
	return out
}

// TestLintPage holds that docs/lint.md has a section for each code, with the name in its address, whose bad example gives the
// finding and whose good one doesn't.
func TestLintPage(t *testing.T) {
	sections := lintSections(t)
	without := []finding.Code{finding.Unreadable, finding.DuplicateID} // no text of one rule gives these: see below
	for _, k := range finding.Codes() {
		s, ok := sections[k.Code]
		if !ok || s.name != k.Name {
			t.Errorf("docs/lint.md: no section %s %s", k.Code, k.Name)
			continue
		}
		delete(sections, k.Code)
		if want := "/docs/lint.md#" + strings.ToLower(string(k.Code)) + "-" + k.Name; !strings.HasSuffix(k.Code.Doc(), want) {
			t.Errorf("%s: address %s", k.Code, k.Code.Doc())
		}
		if k.Code.Severity() == finding.Warning && !strings.Contains(strings.ToLower(s.how), "silence") && k.Code[1] != '5' {
			t.Errorf("%s: the section doesn't say when to silence it", k.Code)
		}
		if slices.Contains(without, k.Code) {
			continue
		}
		t.Run(string(k.Code), func(t *testing.T) {
			if got := lintExample(t, s, s.bad); !slices.Contains(got, k.Code) {
				t.Errorf("the bad example gives %v\n%s", got, s.bad)
			}
			if got := lintExample(t, s, s.good); len(got) > 0 && k.Code != finding.KeyType {
				t.Errorf("the good example gives %v\n%s", got, s.good)
			}
		})
	}
	for code := range sections {
		t.Errorf("docs/lint.md has a section on %s, which the program doesn't have", code)
	}
}

// lintExample returns the codes of the findings in an example.
func lintExample(t *testing.T, s section, example string) []finding.Code {
	t.Helper()
	if example == "" {
		t.Fatal("no example")
	}
	if s.kind == "eql" {
		example = "query = '''\n" + example + "'''\n"
	}
	var text strings.Builder
	text.WriteString("[rule]\n")
	for _, line := range []string{`rule_id = "r"`, `name = "n"`, `severity = "low"`, `type = "eql"`, `query = 'process where true'`} {
		key, _, _ := strings.Cut(line, " ")
		if !regexp.MustCompile(`(?m)^` + key + ` `).MatchString(example) {
			text.WriteString(line + "\n")
		}
	}
	c, err := rules.LoadFS(fstest.MapFS{"example.toml": {Data: []byte(text.String() + example)}}, "", rules.LoadOptions{KeepSource: true})
	if err != nil {
		t.Fatal(err)
	}
	return checkExample(t, c, s.events)
}

func checkExample(t *testing.T, c *rules.Collection, events []string) []finding.Code {
	t.Helper()
	var sample *lint.Sample
	if events != nil {
		var err error
		if sample, err = lint.NewSample(c, rules.SetOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if err := sample.Add([]byte(e)); err != nil {
				t.Fatal(err)
			}
		}
	}
	lint.Check(c, sample)
	var codes []finding.Code
	for _, f := range c.Files {
		for _, p := range f.Problems {
			codes = append(codes, p.Code)
		}
	}
	return codes
}

// TestLintWithoutExamples gives the findings that need more than one text.
func TestLintWithoutExamples(t *testing.T) {
	rule := "[rule]\nrule_id = \"r\"\nname = \"n\"\nseverity = \"low\"\ntype = \"eql\"\nquery = 'process where true'\n"
	dir := t.TempDir()
	for name, text := range map[string]string{"a.toml": rule, "b.toml": rule, "c.toml": "# " + strings.Repeat("x", rules.DefaultMaxFileBytes)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := rules.Load([]string{dir}, rules.LoadOptions{KeepSource: true})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(checkExample(t, c, nil))
	if want := fmt.Sprint([]finding.Code{finding.DuplicateID, finding.Unreadable}); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
