package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-json"

	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/rules/lint"
)

// noteWarnings says in one line where weir rules lint has warnings of the chosen rules. They are loaded and checked for it, which takes as long
// as loading them did: it is for where time is no matter, or where nothing was found and the warnings may say why.
func (a *app) noteWarnings(f ruleFlags) error {
	f.keepSource = true
	c, err := f.load()
	if err != nil {
		return err
	}
	lint.Check(c, nil)
	files := 0
	for _, file := range c.Files {
		if slices.ContainsFunc(file.Problems, func(p rules.Problem) bool { return p.Severity == rules.SeverityWarning }) {
			files++
		}
	}
	if files > 0 {
		_, err = fmt.Fprintf(a.stderr, "%s in %s: %s\n", count(tallyFiles(c.Files).warnings, "warning"), count(files, "rule file"),
			strings.Join(append([]string{"weir rules lint"}, f.paths...), " "))
	}
	return err
}

// lintGitHub writes findings as the workflow commands by which GitHub Actions shows them beside the lines of a change:
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands.
func lintGitHub(w io.Writer, files []*rules.File) error {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	var b strings.Builder
	for _, f := range files {
		for _, p := range f.Problems {
			level := map[finding.Severity]string{finding.Error: "error", finding.Warning: "warning", finding.Info: "notice"}[p.Severity]
			fmt.Fprintf(&b, "::%s file=%s", level, property.Replace(filepath.ToSlash(f.Path)))
			if p.Line > 0 {
				fmt.Fprintf(&b, ",line=%d,endLine=%d", p.Line, p.EndLine)
				if p.Line == p.EndLine { // columns are for one line only
					fmt.Fprintf(&b, ",col=%d,endColumn=%d", p.Column, p.EndColumn)
				}
			}
			fmt.Fprintf(&b, ",title=%s::%s\n", property.Replace(string(p.Code)+" "+p.Code.Name()), data.Replace(p.Text()))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// The parts of a SARIF 2.1.0 log that lint writes: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name  string      `json:"name"`
		URI   string      `json:"informationUri"`
		Rules []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID   string `json:"id"`
		Name string `json:"name"`
		Help string `json:"helpUri"`
	}
	sarifResult struct {
		Rule      string          `json:"ruleId"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
		EndLine     int `json:"endLine"`
		EndColumn   int `json:"endColumn"`
	}
)

// lintSARIF writes findings as a SARIF log, which code hosts and editors read.
func lintSARIF(w io.Writer, files []*rules.File) error {
	driver := sarifDriver{Name: "weir rules lint", URI: finding.Docs}
	for _, k := range finding.Codes() {
		driver.Rules = append(driver.Rules, sarifRule{string(k.Code), k.Name, k.Code.Doc()})
	}
	run := sarifRun{Tool: sarifTool{driver}, ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	for _, f := range files {
		for _, p := range f.Problems {
			at := sarifPhysical{Artifact: sarifArtifact{filepath.ToSlash(f.Path)}}
			if p.Line > 0 {
				at.Region = &sarifRegion{p.Line, p.Column, p.EndLine, p.EndColumn}
			}
			level := map[finding.Severity]string{finding.Info: "note"}[p.Severity]
			run.Results = append(run.Results, sarifResult{
				Rule: string(p.Code), Level: cmp.Or(level, string(p.Severity)), Message: sarifText{p.Text()}, Locations: []sarifLocation{{at}},
			})
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}
