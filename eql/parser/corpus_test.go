package parser_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pelletier/go-toml/v2"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/parser"
)

// shared is the folder of test data beside the repository; it isn't part of it.
const shared = "../../../shared"

// needShared skips the test where the test data isn't there, and returns the path of part of it.
func needShared(t *testing.T, part string) string {
	t.Helper()
	path := filepath.Join(shared, part)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the test data %s isn't beside the repository", part)
	}
	return path
}

// checkRoundTrip checks that the printed form of a query gives the same tree and the same text again.
func checkRoundTrip(t *testing.T, name string, s ast.Statement) {
	t.Helper()
	printed := ast.Print(s)
	again, err := parser.Parse(printed)
	if err != nil {
		t.Errorf("%s: printed form doesn't parse: %v\n%s", name, err, printed)
		return
	}
	if diff := cmp.Diff(s, again, cmpopts.IgnoreTypes(ast.Span{}, ast.Escapes{})); diff != "" {
		t.Errorf("%s: tree of the printed form differs (-first +again):\n%s\n%s", name, diff, printed)
	}
	if got := ast.Print(again); got != printed {
		t.Errorf("%s: printing isn't a fixpoint:\n%s\n%s", name, printed, got)
	}
}

// ruleQueries returns the queries of the EQL rules below dir by file.
func ruleQueries(tb testing.TB, dir string) map[string]string {
	tb.Helper()
	queries := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".toml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var file struct {
			Rule struct{ Type, Query string }
		}
		if err := toml.Unmarshal(text, &file); err != nil {
			return err
		}
		if file.Rule.Type == "eql" {
			queries[filepath.Base(path)] = file.Rule.Query
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	return queries
}

func TestRules(t *testing.T) {
	queries := ruleQueries(t, needShared(t, "rules"))
	if len(queries) < 700 {
		t.Errorf("found %d rules, want some 720", len(queries))
	}
	for name, query := range queries {
		s, err := parser.Parse(query)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkRoundTrip(t, name, s)
	}
}

func TestGeneratedQueries(t *testing.T) {
	for _, name := range []string{"visible_stateless.jsonl.gz", "visible_sequence.jsonl.gz"} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(needShared(t, filepath.Join("suites", "random", name)))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			z, err := gzip.NewReader(f)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			lines := bufio.NewScanner(z)
			lines.Buffer(nil, 1<<24)
			for ; lines.Scan(); n++ {
				var c struct{ Query string }
				if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
					t.Fatal(err)
				}
				s, err := parser.Parse(c.Query)
				if err != nil {
					t.Errorf("line %d: %v\n%s", n+1, err, c.Query)
					continue
				}
				checkRoundTrip(t, c.Query, s)
			}
			if err := lines.Err(); err != nil || n < 1000 {
				t.Errorf("read %d lines, error %v", n, err)
			}
		})
	}
}

// suite returns the queries of one of the suites by name.
func suite(t *testing.T, file string) []struct{ Name, Query string } {
	t.Helper()
	text, err := os.ReadFile(needShared(t, filepath.Join("suites", file)))
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Queries []struct{ Name, Query string }
	}
	if err := toml.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s.Queries
}

func TestElasticsearchSuites(t *testing.T) {
	// Syntax of early 2021 that Elasticsearch rejects by now, with what is said of it.
	old := map[string]string{
		"cidrMatchAdditional2":       ": compares with constants only",
		"numberStringEquality":       ": compares with constants only",
		"moduloEqualsField":          ": compares with constants only",
		"concatWithCondition1":       "!: isn't an operator of EQL",
		"matchWithCharacterClasses1": "raw strings are in three double quotes",
		"matchWithCharacterClasses2": "raw strings are in three double quotes",
		"matchLiteAdditional":        "raw strings are in three double quotes",
	}
	for _, file := range []string{"test_missing_events.toml", "test_extra.toml", "additional_test_queries.toml"} {
		for _, q := range suite(t, filepath.Join("elasticsearch", file)) {
			s, err := parser.Parse(q.Query)
			if want, ok := old[q.Name]; ok {
				if err == nil || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("%s: got error %v, want %q", q.Name, err, want)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v\n%s", q.Name, err, q.Query)
				continue
			}
			checkRoundTrip(t, q.Name, s)
		}
	}
}

// endgame are the messages about what Python EQL's suite has and Elasticsearch doesn't.
var endgame = []string{
	"= isn't a comparison",
	"Elasticsearch has no pipe",
	"join isn't part of EQL",
	"fork is Endgame's",
	"of is Endgame's",
	"strings are in double quotes",
	"raw strings are in three double quotes",
	"array subscripts aren't supported",
	"a join key must be a field",
	"maxspan has no unit",
	"compares with constants only",
}

func TestPythonSuite(t *testing.T) {
	parsed := 0
	for _, q := range suite(t, "python-eql/test_queries.toml") {
		s, err := parser.Parse(q.Query)
		if err == nil {
			parsed++
			checkRoundTrip(t, q.Query, s)
			continue
		}
		for _, p := range problems(t, q.Query, err) {
			if !slices.ContainsFunc(endgame, func(known string) bool { return strings.Contains(p.Msg, known) }) {
				t.Errorf("%s at %q in\n%s", p.Msg, p.At, q.Query)
			}
		}
	}
	if parsed < 102 {
		t.Errorf("%d queries parse, want 102", parsed)
	}
}
