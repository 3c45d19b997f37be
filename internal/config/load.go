package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Override is a setting that a flag gives.
type Override struct {
	Flag  string // as the user knows it: --brokers
	Path  string
	Value string // as in the environment
}

// Source says where a configuration comes from.
type Source struct {
	// File is the name of the YAML file; empty for none.
	File string
	// Environ holds NAME=value, as os.Environ returns it.
	Environ   []string
	Overrides []Override
}

// Load reads a configuration and checks it as a whole. The error is an Errors with all that is wrong.
func Load(src Source) (*Config, error) {
	l, err := read(src)
	if err != nil {
		return nil, err
	}
	l.c.derive()
	if !l.broken {
		l.validate()
	}
	return l.result()
}

// LoadConnection reads a configuration and checks only what a connection to the brokers needs.
func LoadConnection(src Source) (*Config, error) {
	l, err := read(src)
	if err != nil {
		return nil, err
	}
	l.c.derive()
	if !l.broken {
		l.validateConnection()
	}
	return l.result()
}

// loader gathers a configuration and its problems.
type loader struct {
	file     string
	c        *Config
	fields   map[string]field
	sections map[string]bool
	problems []Problem
	broken   bool // the file is no YAML: what it should hold is not known
}

func (l *loader) result() (*Config, error) {
	if len(l.problems) > 0 {
		sortProblems(l.problems)
		return nil, Errors(l.problems)
	}
	return l.c, nil
}

func read(src Source) (*loader, error) {
	l := &loader{file: src.File, c: Default(), fields: map[string]field{}, sections: map[string]bool{}}
	for _, f := range fields(l.c) {
		l.fields[f.path] = f
		if section, _, ok := strings.Cut(f.path, "."); ok {
			l.sections[section] = true
		}
	}
	if src.File != "" {
		data, err := os.ReadFile(src.File)
		if err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		l.readFile(data)
	}
	l.readEnviron(src.Environ)
	for _, o := range src.Overrides {
		f, ok := l.fields[o.Path]
		if !ok {
			l.report(origin{where: o.Flag}, "", "unknown setting "+o.Path, suggest(nearest(o.Path, l.paths(""))))
			continue
		}
		l.set(f, origin{where: o.Flag}, f.set(o.Value))
	}
	return l, nil
}

func (l *loader) report(at origin, path, message, hint string) {
	l.problems = append(l.problems, Problem{
		Where: at.where, Path: path, Message: message, Hint: hint, line: at.line, column: at.column,
	})
}

// set notes where a setting came from, or why it could not be set.
func (l *loader) set(f field, at origin, err error) {
	l.c.origins[f.path] = at
	if err != nil {
		l.report(at, f.path, err.Error(), "")
	}
}

// paths returns the names that are known below a prefix: settings, and at the top sections too.
func (l *loader) paths(prefix string) []string {
	var out []string
	for p := range l.fields {
		rest, ok := strings.CutPrefix(p, prefix)
		if ok {
			out = append(out, p)
			if head, _, nested := strings.Cut(rest, "."); nested {
				out = append(out, prefix+head)
			}
		}
	}
	return out
}

// serviceLink is what Kubernetes names the variables that it sets for services called weir or weir-something: their host,
// their ports, and the same again as Docker's links had them.
var serviceLink = regexp.MustCompile(`^WEIR_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

func (l *loader) readEnviron(environ []string) {
	byName := map[string]field{}
	var names []string
	for _, f := range l.fields {
		byName[f.env()] = f
		names = append(names, f.env())
	}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		f, ok := byName[name]
		switch {
		case ok && value == "" && f.value.Kind() != reflect.String:
			continue // only a text can be empty: any other is not set
		case ok:
			l.set(f, origin{where: name}, f.set(value))
			continue
		}
		// A warning, no error: the variable may be someone else's.
		if !serviceLink.MatchString(name) {
			l.c.Warnings = append(l.c.Warnings, Problem{
				Where: name, Message: "no setting has this name", Hint: suggest(nearest(name, names)),
			})
		}
	}
}

// positioned are the errors of the YAML parser that know where they happened.
type positioned interface {
	GetToken() *token.Token
	GetMessage() string
}

func (l *loader) readFile(data []byte) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		l.broken = true
		var at positioned
		if errors.As(err, &at) && at.GetToken() != nil {
			l.report(l.where(at.GetToken()), "", at.GetMessage(), "")
			return
		}
		l.report(origin{where: l.file}, "", err.Error(), "")
		return
	}
	documents := 0
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if documents++; documents > 1 {
			l.report(l.where(first(doc.Body)), "", "a second document: only one is read", "")
			return
		}
		l.section("", doc.Body)
	}
}

func (l *loader) where(t *token.Token) origin {
	if t == nil || t.Position == nil {
		return origin{where: l.file}
	}
	line, column := t.Position.Line, t.Position.Column
	return origin{where: fmt.Sprintf("%s:%d:%d", l.file, line, column), line: line, column: column}
}

// first returns the token with which a node begins: that of a mapping in lines of its own is a colon behind its first key.
func first(node ast.Node) *token.Token {
	if values, ok := entries(node); ok && len(values) > 0 && node.GetToken().Value != "{" {
		return values[0].Key.GetToken()
	}
	return node.GetToken()
}

// entries returns the keys and values of a mapping; ok is false for any other node.
func entries(node ast.Node) (values []*ast.MappingValueNode, ok bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	default:
		return nil, false
	}
}

// section reads the settings of a mapping; prefix is its path with a dot behind.
func (l *loader) section(prefix string, node ast.Node) {
	values, ok := entries(node)
	if !ok {
		if node.Type() != ast.NullType && node.Type() != ast.CommentType {
			l.report(l.where(first(node)), strings.TrimSuffix(prefix, "."), "must hold settings, as key: value", "")
		}
		return
	}
	seen := map[string]bool{}
	for _, e := range values {
		key := e.Key.GetToken()
		path := prefix + key.Value
		switch {
		case seen[path]:
			l.report(l.where(key), path, "occurs twice", "")
		case prefix == "" && l.sections[path]:
			l.section(path+".", e.Value)
		default:
			l.setting(path, prefix, key, e.Value)
		}
		seen[path] = true
	}
}

func (l *loader) setting(path, prefix string, key *token.Token, value ast.Node) {
	f, ok := l.fields[path]
	if !ok {
		near := nearest(path, l.paths(prefix))
		if near == "" { // perhaps a setting of another section
			near = l.elsewhere(key.Value)
		}
		l.report(l.where(key), "", "unknown key "+path, suggest(near))
		return
	}
	at := l.where(first(value))
	switch n := value.(type) {
	case *ast.NullNode:
		return // as if it weren't there
	case *ast.SequenceNode:
		if !f.isList() {
			l.set(f, at, errors.New("must be a single value, not a list"))
			return
		}
		items, bad := scalars(n.Values)
		if bad != nil {
			l.set(f, l.where(first(bad)), errors.New("must be a list of texts"))
			return
		}
		l.set(f, at, f.setList(items))
	case *ast.MappingNode, *ast.MappingValueNode:
		if !f.isMap() {
			l.set(f, l.where(key), errors.New("must not hold settings of its own"))
			return
		}
		l.mapping(f, at, value)
	default:
		text, ok := scalar(value)
		switch {
		case !ok:
			l.set(f, at, errors.New("must be a plain value"))
		case f.isMap():
			l.set(f, at, errors.New("must be a mapping, as "+f.entry))
		case f.isList():
			l.set(f, at, f.setList([]string{text}))
		default:
			l.set(f, at, f.setScalar(text))
		}
	}
}

// elsewhere returns the path of a setting whose last part is name, where there is exactly one.
func (l *loader) elsewhere(name string) string {
	found := ""
	for p := range l.fields {
		if p[strings.LastIndexByte(p, '.')+1:] == name {
			if found != "" {
				return ""
			}
			found = p
		}
	}
	return found
}

func (l *loader) mapping(f field, at origin, node ast.Node) {
	values, _ := entries(node)
	m := make(map[string]string, len(values))
	for _, e := range values {
		text, ok := scalar(e.Value)
		if !ok {
			l.set(f, l.where(first(e.Value)), errors.New("must be a text"))
			return
		}
		m[e.Key.GetToken().Value] = text
	}
	l.set(f, at, f.setMap(m))
}

// scalars returns the texts of a list; bad is the first node that is no scalar.
func scalars(nodes []ast.Node) (items []string, bad ast.Node) {
	items = make([]string, 0, len(nodes))
	for _, n := range nodes {
		text, ok := scalar(n)
		if !ok {
			return nil, n
		}
		items = append(items, text)
	}
	return items, nil
}

// scalar returns the text of a scalar as it was written, without quotes.
func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return node.GetToken().Value, true
	default:
		return "", false
	}
}
