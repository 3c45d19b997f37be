package rules

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/event"
)

// document is a rule file of type eql.
type document struct {
	Metadata  metadataTable  `toml:"metadata"`
	Rule      Rule           `toml:"rule"`
	Transform map[string]any `toml:"transform"`
}

// metadataTable adds the key that is a string in some files and a list in others.
type metadataTable struct {
	Metadata
	Integration any `toml:"integration"`
}

// header is what all types of rules have in common, as far as it is needed to name a file that is skipped.
type header struct {
	Rule *struct {
		ID       any `toml:"rule_id"`
		Name     any `toml:"name"`
		Type     any `toml:"type"`
		Language any `toml:"language"`
	} `toml:"rule"`
}

// parser gathers the findings on one file.
type parser struct {
	src    source
	at     layout
	file   *File
	types  func(string) event.Type
	fields eql.FieldTable
	// automata are shared by the files of a load.
	automata *eql.Automata
	// mistyped holds the keys, in lower case, whose values were reported and left out.
	mistyped map[string]struct{}
}

// byteOrderMark is what some editors begin a file with. It says nothing in UTF-8, and is no part of the file's text.
var byteOrderMark = []byte("\ufeff")

func parseFile(path string, src []byte, o LoadOptions) *File {
	src = bytes.TrimPrefix(src, byteOrderMark)
	p := &parser{src: src, file: &File{Path: path}, types: o.Types, fields: o.Fields, automata: o.automata, mistyped: map[string]struct{}{}}
	if o.KeepSource {
		p.file.Source = &Source{src: src, types: o.Types}
	}
	p.parse()
	p.file.Status = cmpStatus(p.file)
	p.file.settle()
	return p.file
}

// cmpStatus is the status that follows from the problems, where none was decided yet.
func cmpStatus(f *File) Status {
	if f.Status != "" {
		return f.Status
	}
	for _, p := range f.Problems {
		if p.Severity == SeverityError {
			f.Rule = nil
			return StatusError
		}
	}
	return StatusOK
}

func (p *parser) parse() {
	p.at = locate(p.src)
	if r := p.decodeSound(); r != nil {
		p.file.RuleID, p.file.Name, p.file.Type = r.ID, r.Name, r.Type
		p.take(r)
		return
	}
	var head header
	if err := toml.Unmarshal(p.src, &head); err != nil {
		p.at = nil // that of a part of the file
		p.decodeError(err)
		return
	}
	if p.file.Source != nil {
		p.file.Source.at = p.at
	}
	if head.Rule == nil {
		p.report(finding.MissingKey, span{}, "the file has no [rule] table", "")
		return
	}
	p.file.RuleID, _ = head.Rule.ID.(string)
	p.file.Name, _ = head.Rule.Name.(string)
	p.file.Type, _ = head.Rule.Type.(string)
	switch {
	case p.file.Type == "":
		p.report(finding.MissingKey, p.key("rule"), "rule.type is missing", `write type = "eql"`)
		return
	case p.file.Type != "eql":
		p.file.Status = StatusSkipped
		return
	}
	if r := p.decode(); r != nil {
		p.take(r)
	}
}

// take checks a rule that could be decoded.
func (p *parser) take(r *Rule) {
	p.file.idAt = p.src.problem(finding.DuplicateID, p.value("rule.rule_id"), "", "")
	p.file.Rule = r
	if p.file.Source != nil {
		p.file.Source.at, p.file.Source.rule = p.at, r
	}
	p.check(r)
}

// decodeSound decodes a file of type eql in which nothing is wrong, as nearly all are: one pass in place of the two that it
// takes to tell faults from what another type of rule has. It is nil for all other files.
func (p *parser) decodeSound() *Rule {
	at := p.value("rule.type")
	if text := string(p.src[at.pos:at.end]); text != `"eql"` && text != `'eql'` {
		return nil
	}
	var doc document
	if err := toml.NewDecoder(bytes.NewReader(p.src)).DisallowUnknownFields().Decode(&doc); err != nil || doc.Rule.Type != "eql" {
		return nil
	}
	integration, ok := stringList(doc.Metadata.Integration)
	if !ok {
		return nil
	}
	return p.rule(&doc, integration)
}

// decode reads the whole file strictly and warns about keys that mean nothing.
func (p *parser) decode() *Rule {
	var doc document
	if err := p.decodeInto(&doc); err != nil {
		var unknown *toml.StrictMissingError
		if !errors.As(err, &unknown) {
			p.decodeError(err)
			return nil
		}
		for i := range unknown.Errors {
			p.unknownKey(&unknown.Errors[i])
		}
	}
	integration, ok := stringList(doc.Metadata.Integration)
	if !ok {
		p.report(finding.KeyType, p.value("metadata.integration"), "metadata.integration is neither a string nor a list of strings", "")
	}
	return p.rule(&doc, integration)
}

// rule returns the rule of a document.
func (p *parser) rule(doc *document, integration []string) *Rule {
	r := &doc.Rule
	r.Path = p.file.Path
	r.Metadata = doc.Metadata.Metadata
	r.Transform = doc.Transform
	r.Metadata.Integration = integration
	return r
}

func stringList(v any) ([]string, bool) {
	switch v := v.(type) {
	case nil:
		return nil, true
	case string:
		return []string{v}, true
	case []any:
		list := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, false
			}
			list = append(list, s)
		}
		return list, true
	default:
		return nil, false
	}
}

func (p *parser) decodeError(err error) {
	var de *toml.DecodeError
	if !errors.As(err, &de) {
		p.report(finding.TOMLSyntax, span{}, err.Error(), "")
		return
	}
	pos := p.src.offset(de.Position())
	msg := strings.TrimPrefix(de.Error(), "toml: ")
	code := finding.TOMLSyntax
	if key := strings.Join(de.Key(), "."); key != "" {
		code = finding.KeyType
		subject := key
		if e, ok := p.at[strings.ToLower(key)]; ok && e.value.end == e.value.pos && pos > e.value.end && !wholeList(msg) {
			subject = "an element of " + key
		}
		msg = cmp.Or(typeProblem(subject, msg), key+": "+msg)
	}
	p.report(code, span{pos, pos}, msg, "")
}

func (p *parser) unknownKey(e *toml.DecodeError) {
	pos := p.src.offset(e.Position())
	key := strings.Join(e.Key(), ".")
	last := e.Key()[len(e.Key())-1]
	hint := ""
	if len(e.Key()) == 2 && e.Key()[0] == "rule" {
		if near := nearest(last, tomlKeys(reflect.TypeFor[Rule]())); near != "" {
			hint = "did you mean " + near + "?"
		}
	}
	p.report(finding.UnknownKey, span{pos, pos + len(last)}, "unknown key "+key, hint)
}

func tomlKeys(t reflect.Type) []string {
	var keys []string
	for field := range t.Fields() {
		if tag := field.Tag.Get("toml"); tag != "" && tag != "-" {
			keys = append(keys, tag)
		}
	}
	return keys
}

// nearest returns the key that is at most two edits away from name, or "".
func nearest(name string, keys []string) string {
	best, bestDistance := "", 3
	for _, k := range keys {
		if d := editDistance(name, k); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// editDistance is Levenshtein's distance in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// check looks at what the format alone doesn't say, then compiles the query.
func (p *parser) check(r *Rule) {
	p.required("rule_id", r.ID)
	p.required("name", r.Name)
	p.required("severity", r.Severity)
	if r.Severity != "" && !slices.Contains([]string{"low", "medium", "high", "critical"}, r.Severity) {
		p.report(finding.KeyValue, p.value("rule.severity"), fmt.Sprintf("severity %q is none of low, medium, high, critical", r.Severity), "")
	}
	if r.RiskScore < 0 || r.RiskScore > 100 {
		p.report(finding.KeyValue, p.value("rule.risk_score"), fmt.Sprintf("risk_score %d is not within 0 to 100", r.RiskScore), "")
	}
	if r.Language != "" && r.Language != "eql" {
		p.report(finding.KeyValue, p.value("rule.language"), fmt.Sprintf("language %q of a rule of type eql", r.Language), `write language = "eql"`)
	}
	var err error
	if r.From != "" {
		if r.lookback, err = parseLookback(r.From); err != nil {
			p.report(finding.KeyValue, p.value("rule.from"), "from: "+err.Error(), "")
		}
	}
	if r.Interval != "" {
		if r.interval, err = parseSpan(r.Interval); err != nil {
			p.report(finding.KeyValue, p.value("rule.interval"), "interval: "+err.Error(), "")
		}
	}
	if r.Enabled != nil && !*r.Enabled {
		p.report(finding.Disabled, p.key("rule.enabled"), "the rule is disabled (enabled = false)", "")
		p.file.Status = StatusSkipped
	}
	if p.required("query", r.Query) {
		p.compile(r)
	}
	if p.file.Status == StatusSkipped {
		p.skipUnlessFaulty()
	}
}

// skipUnlessFaulty makes a skipped file an error where it has errors beside.
func (p *parser) skipUnlessFaulty() {
	p.file.Status = ""
	if cmpStatus(p.file) == StatusOK {
		p.file.Status = StatusSkipped
	}
	p.file.Rule = nil
}

func (p *parser) required(key, value string) bool {
	if strings.TrimSpace(value) != "" {
		return true
	}
	if _, reported := p.mistyped["rule."+key]; reported {
		return false
	}
	at := p.key("rule")
	if e, ok := p.at["rule."+key]; ok {
		at = e.key
	}
	p.report(finding.MissingKey, at, "rule."+key+" is missing", "")
	return false
}

func (p *parser) compile(r *Rule) {
	text := p.queryText()
	if p.file.Source != nil {
		p.file.Source.text = text
	}
	r.Line = p.src.problem(finding.Syntax, text.span(0, 0), "", "").Line
	env := eql.NewEnv(event.NewSchema(p.types), eql.EnvOptions{NoSharing: true}) // it is thrown away
	q, err := env.Compile(r.Query, eql.QueryOptions{CategoryField: r.EventCategoryOverride, Fields: p.fields, Automata: p.automata})
	if err != nil {
		p.queryErrors(text, err)
		return
	}
	for _, w := range q.Warnings {
		p.queryProblem(text, w)
	}
	for _, c := range UnknownCategories(q.Statement(), r.EventCategoryOverride) {
		p.queryProblem(text, CategoryWarning(c))
	}
	if p.file.Source != nil {
		p.file.Source.query = q.Statement()
	}
	r.parsed, r.parsedText, r.automata = q.Statement(), r.Query, p.automata
	r.normalised = q.String()
	r.piped = len(q.Pipes) > 0
	if err := checkQuery(q); err != nil {
		p.report(finding.Limit, p.key("rule.query"), err.Error(), "")
	}
}

func (p *parser) queryErrors(text *textMap, err error) {
	var list ast.Errors
	if !errors.As(err, &list) {
		p.report(finding.Syntax, p.key("rule.query"), "query: "+err.Error(), "")
		return
	}
	for _, e := range list {
		p.queryProblem(text, e)
	}
}

func (p *parser) queryProblem(text *textMap, e *ast.Error) {
	p.report(e.Code, text.span(e.Pos, e.End), e.Msg, e.Hint)
}

// queryText maps the query to the file. Where the query doesn't stand as a plain string, its key is all that can be shown.
func (p *parser) queryText() *textMap {
	value := p.value("rule.query")
	if value.end > value.pos && (p.src[value.pos] == '"' || p.src[value.pos] == '\'') {
		return mapString(p.src[value.pos:value.end], value.pos)
	}
	return &textMap{offsets: []int{p.key("rule.query").pos}}
}

func (p *parser) key(path string) span   { return p.at[path].key }
func (p *parser) value(path string) span { return p.at[path].value }

func (p *parser) report(code finding.Code, at span, message, hint string) {
	p.file.Problems = append(p.file.Problems, p.src.problem(code, at, message, hint))
}
