// Gen writes the field table of package ecs from files of field definitions:
//
//	go run ./event/ecs/internal/gen -out event/ecs/table.go -streams event/ecs/streamtable.go FOLDER
//
// FOLDER holds ecs_VERSION_types.json (path → type of every ECS field), PACKAGE.STREAM.fields.yml (field files of
// integration packages), dr-non-ecs-schema.json (index pattern → further fields that rules use) and
// fields_used_by_rules.json (path → type where it is known). Last comes integrations.txt, which is part of this program. Only
// names and types are taken. Where sources disagree about a type the first in this order wins, and the others are listed on
// standard error; but outside ECS long beats keyword, since rules compare such fields with numbers, and double beats long.
package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// integrations holds fields that none of the other sources types; its head says in which form.
//
//go:embed integrations.txt
var integrations string

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// table is what is gathered: the Elasticsearch type of each path and the source that gave it.
type table struct {
	types  map[string]string
	source map[string]string
	// single and multi hold what ECS says of how many values a field has: one, or an array.
	single, multi map[string]bool
	notes         io.Writer
}

func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("gen", flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("out", "table.go", "file to write")
	streams := flags.String("streams", "streamtable.go", "file to write the fields of Elastic Defend's data streams to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("want one argument, the folder of the field definitions")
	}
	t := table{
		types: map[string]string{}, source: map[string]string{},
		single: map[string]bool{}, multi: map[string]bool{}, notes: stderr,
	}
	sources, err := t.gather(flags.Arg(0))
	if err != nil {
		return err
	}
	if err := os.WriteFile(*out, t.render(sources), 0o644); err != nil {
		return err
	}
	text, err := renderStreams(flags.Arg(0))
	if err != nil {
		return err
	}
	return os.WriteFile(*streams, text, 0o644)
}

// gather reads all sources, the ones that win first, and returns their names.
func (t table) gather(dir string) ([]string, error) {
	readers := []struct {
		pattern string
		read    func(name string, data []byte) error
	}{
		{"ecs_*_types.json", t.readECS},
		{"endpoint.api.fields.yml", t.readFields},
		{"endpoint.[^a]*.fields.yml", t.readFields},
		{"cloud_defend.*.fields.yml", t.readFields},
		{"dr-non-ecs-schema.json", t.readPatterns},
		{"*.fields.yml", t.readFields}, // alerts and actions: not what event rules read
		{"fields_used_by_rules.json", t.readTypes},
	}
	var done []string
	for _, r := range readers {
		paths, err := filepath.Glob(filepath.Join(dir, r.pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			name := filepath.Base(path)
			if slices.Contains(done, name) {
				continue
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			if err := r.read(name, data); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			done = append(done, name)
		}
	}
	if len(done) == 0 {
		return nil, fmt.Errorf("no field definitions in %s", dir)
	}
	const name = "integrations.txt"
	if err := t.readLines(name, integrations); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return append(done, name), nil
}

// readLines reads lines of a type, a prefix, and the rests of paths.
func (t table) readLines(name, text string) error {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if len(words) < 3 || code(words[0]) == "-" {
			return fmt.Errorf("want a type, a prefix and names: %s", line)
		}
		for _, rest := range words[2:] {
			path, members := strings.CutSuffix(join(words[1], rest), ".*")
			if members {
				t.add(name, path, "flattened")
			} else {
				t.add(name, path, words[0])
			}
		}
	}
	return nil
}

// add notes the type of a path unless an earlier source, or an earlier file of this one, gave it already.
// Aliases and groups are no fields of a document.
func (t table) add(source, path, typ string) {
	path = strings.ReplaceAll(path, "`", "")
	if path == "" || typ == "alias" || typ == "group" || strings.ContainsAny(path, " *\n") {
		return
	}
	if before, ok := t.types[path]; ok && before != "" {
		if typ != "" && code(before) != code(typ) {
			_, _ = fmt.Fprintf(t.notes, "%s: %s in %s, %s in %s\n", path, before, t.source[path], typ, source)
		}
		if !wider(code(before), code(typ)) || strings.HasPrefix(t.source[path], "ecs_") {
			return
		}
	}
	t.types[path], t.source[path] = typ, source
}

// wider reports whether a later source's type beats the one before: long beats keyword, since rules compare such fields
// with numbers, and double beats long, which would cut decimals off.
func wider(before, later string) bool {
	return before == "k" && later == "l" || before == "l" && later == "f"
}

// readECS reads what readTypes does, and for each field whether ECS normalises it to an array.
func (t table) readECS(name string, data []byte) error {
	var fields map[string]struct {
		Array bool `json:"array"`
	}
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	for path, f := range fields {
		if f.Array {
			t.multi[path] = true
		} else {
			t.single[path] = true
		}
	}
	return t.readTypes(name, data)
}

// one reports whether ECS gives a field one value: neither it nor an object around it is an array.
func (t table) one(path string) bool {
	if !t.single[path] {
		return false
	}
	for i, c := range path {
		if c == '.' && t.multi[path[:i]] {
			return false
		}
	}
	return !t.multi[path]
}

// readTypes reads an object of path → {"type": …}.
func (t table) readTypes(name string, data []byte) error {
	var fields map[string]struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(fields)) {
		t.add(name, path, fields[path].Type)
	}
	return nil
}

// readPatterns reads an object of index pattern → fields, nested or dotted.
func (t table) readPatterns(name string, data []byte) error {
	var patterns map[string]any
	if err := json.Unmarshal(data, &patterns); err != nil {
		return err
	}
	for _, pattern := range slices.Sorted(maps.Keys(patterns)) {
		t.addTree(name, "", patterns[pattern])
	}
	return nil
}

func (t table) addTree(source, path string, tree any) {
	switch v := tree.(type) {
	case string:
		t.add(source, path, v)
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			t.addTree(source, join(path, key), v[key])
		}
	}
}

// field is an entry of an integration's field file.
type field struct {
	Name        string  `yaml:"name"`
	Type        string  `yaml:"type"`
	Fields      []field `yaml:"fields"`
	MultiFields []field `yaml:"multi_fields"`
}

func (t table) readFields(name string, data []byte) error {
	var fields []field
	if err := yaml.Unmarshal(data, &fields); err != nil {
		return err
	}
	t.addFields(name, "", fields)
	return nil
}

func (t table) addFields(source, parent string, fields []field) {
	for _, f := range fields {
		path := join(parent, f.Name)
		if f.Type != "" {
			t.add(source, path, f.Type)
		}
		t.addFields(source, path, f.Fields)
		t.addFields(source, path, f.MultiFields)
	}
}

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

// code is the letter that a type has in the table; package ecs reads it.
func code(typ string) string {
	switch typ {
	case "keyword", "constant_keyword", "wildcard", "text", "match_only_text":
		return "k"
	case "flattened":
		return "K"
	case "byte", "short", "integer", "long":
		return "l"
	case "unsigned_long":
		return "u"
	case "double", "float", "half_float", "scaled_float":
		return "f"
	case "boolean":
		return "b"
	case "date", "date_nanos":
		return "d"
	case "ip":
		return "i"
	case "version":
		return "v"
	default: // objects, points, histograms, and names whose type no source tells
		return "-"
	}
}

func (t table) render(sources []string) []byte {
	// ECS says of these objects that their members are keywords; winlog's event data is mapped that way too.
	for _, path := range []string{"labels", "container.labels", "winlog.event_data"} {
		t.types[path] = "flattened"
	}
	var b strings.Builder
	b.WriteString("// Code generated by event/ecs/internal/gen; DO NOT EDIT.\n\n")
	b.WriteString("// The names and types of fields, taken from (the first that has a field's type wins, but outside ECS long beats keyword, and double long):\n")
	for _, s := range sources {
		fmt.Fprintf(&b, "//   - %s\n", s)
	}
	b.WriteString("\npackage ecs\n\n")
	b.WriteString("// table has a line for each field, sorted by path: the path, = where ECS gives it one value and a\n// blank elsewhere, and the letter of its type.\nconst table = `\n")
	for _, path := range slices.Sorted(maps.Keys(t.types)) {
		mark := " "
		if t.one(path) {
			mark = "="
		}
		fmt.Fprintf(&b, "%s%s%s\n", path, mark, code(t.types[path]))
	}
	b.WriteString("`\n")
	return []byte(b.String())
}
