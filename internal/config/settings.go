package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting describes one setting for people.
type Setting struct {
	Path    string // in the file: topics.input
	Env     string // in the environment: WEIR_TOPICS_INPUT
	Default string
	Doc     string
}

// Settings lists all settings in the order of the file.
func Settings() []Setting {
	var out []Setting
	for _, f := range fields(Default()) {
		out = append(out, Setting{Path: f.path, Env: f.env(), Default: f.text(), Doc: f.doc})
	}
	return out
}

// field is one setting of a Config.
type field struct {
	path  string
	doc   string
	entry string // of a mapping: how one is written
	value reflect.Value
}

// fields returns the settings of c in order.
func fields(c *Config) []field {
	var out []field
	var walk func(v reflect.Value, prefix string)
	walk = func(v reflect.Value, prefix string) {
		t := v.Type()
		for i := range t.NumField() {
			name, ok := t.Field(i).Tag.Lookup("yaml")
			if !ok || name == "-" {
				continue
			}
			if v.Field(i).Kind() == reflect.Struct {
				walk(v.Field(i), prefix+name+".")
				continue
			}
			out = append(out, field{path: prefix + name, doc: t.Field(i).Tag.Get("doc"), entry: t.Field(i).Tag.Get("entry"), value: v.Field(i)})
		}
	}
	walk(reflect.ValueOf(c).Elem(), "")
	return out
}

// envPrefix is what the names of environment variables begin with.
const envPrefix = "WEIR_"

func (f field) env() string { return envPrefix + strings.ToUpper(strings.ReplaceAll(f.path, ".", "_")) }

func (f field) isList() bool { return f.value.Kind() == reflect.Slice }
func (f field) isMap() bool  { return f.value.Kind() == reflect.Map }

// text returns the value as the environment would have it.
func (f field) text() string {
	switch v := f.value.Interface().(type) {
	case []string:
		return strings.Join(v, ",")
	case map[string]string:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, k+"="+v[k])
		}
		return strings.Join(parts, ",")
	default:
		return fmt.Sprint(v)
	}
}

// set takes a value in the form that it has in the environment and behind --set: lists are separated by commas.
func (f field) set(text string) error {
	switch {
	case f.isList():
		return f.setList(splitList(text))
	case f.isMap():
		m := map[string]string{}
		for _, part := range splitList(text) {
			k, v, ok := strings.Cut(part, "=")
			if !ok {
				return fmt.Errorf("%q: write %s, separated by commas", part, strings.Replace(f.entry, ": ", "=", 1))
			}
			m[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
		return f.setMap(m)
	default:
		return f.setScalar(text)
	}
}

func splitList(text string) []string {
	out := []string{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func (f field) setList(items []string) error {
	f.value.Set(reflect.ValueOf(items))
	return nil
}

func (f field) setMap(m map[string]string) error {
	f.value.Set(reflect.ValueOf(m))
	return nil
}

var (
	errBool     = errors.New("must be true or false")
	errInt      = errors.New("must be a whole number")
	errNumber   = errors.New("must be a number")
	errDuration = errors.New("must be a duration such as 100ms, 2s or 5m")
)

// setScalar parses a text as what the setting is.
func (f field) setScalar(text string) error {
	switch f.value.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%w, not %q", errDuration, text)
		}
		f.value.SetInt(int64(d))
		return nil
	case bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%w, not %q", errBool, text)
		}
		f.value.SetBool(b)
		return nil
	case int:
		n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 64)
		if err != nil {
			return fmt.Errorf("%w, not %q", errInt, text)
		}
		f.value.SetInt(n)
		return nil
	case float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%w, not %q", errNumber, text)
		}
		f.value.SetFloat(n)
		return nil
	default:
		f.value.SetString(text)
		return nil
	}
}
