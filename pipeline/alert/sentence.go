package alert

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Longest texts in a message, in bytes, and how many steps of a sequence it tells.
const (
	maxCommand = 240
	maxStep    = 160
	maxSteps   = 5
)

// sentence says what happened, by whom, where, and which rule says so. What isn't known is left out.
func (d *draft) sentence() string {
	var b strings.Builder
	if len(d.stages) == 1 {
		b.WriteString(deed(d.stages[0].tree))
		b.WriteString(circumstances(d.common))
	} else {
		d.story(&b)
	}
	r := d.m.Rule
	b.WriteString(": ")
	b.WriteString(plain(r.Name))
	b.WriteString(" (")
	b.WriteString(plain(r.Severity))
	b.WriteString(", ")
	b.WriteString(strconv.FormatFloat(r.RiskScore, 'f', -1, 64))
	b.WriteString(")")
	return b.String()
}

// story writes the steps of a sequence or sample in the order in which they happened.
func (d *draft) story(b *strings.Builder) {
	var steps []int
	for i := range d.stages {
		if !d.m.Events[i].Missing { // what didn't happen is the rule's to explain
			steps = append(steps, i)
		}
	}
	slices.SortStableFunc(steps, func(i, j int) int { return cmp.Compare(d.m.Events[i].Time, d.m.Events[j].Time) })
	n := len(steps)
	b.WriteString(strconv.Itoa(n))
	if n == 1 {
		b.WriteString(" event")
	} else {
		b.WriteString(" events in ")
		b.WriteString(Span(d.m.Events[steps[n-1]].Time - d.m.Events[steps[0]].Time))
	}
	b.WriteString(circumstances(d.common))
	b.WriteString(": ")
	for told, i := range steps {
		if n > maxSteps && told >= maxSteps-1 && told < n-1 {
			if told == maxSteps-1 {
				b.WriteString(", then " + strconv.Itoa(n-maxSteps) + " more")
			}
			continue
		}
		if told > 0 {
			b.WriteString(", then ")
		}
		b.WriteString(cutText(deed(d.stages[i].tree), maxStep))
	}
}

// Span returns a time of ms milliseconds as people write it: 9m, 1h, 1m30s.
func Span(ms int64) string {
	s := (time.Duration(ms) * time.Millisecond).String()
	if strings.HasSuffix(s, "m0s") { // 1h0m0s says no more than 1h
		s = s[:len(s)-len("0s")]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-len("0m")]
	}
	return s
}

// deed says what one event is about: an action on its object, and the process that did it.
func deed(tree object) string {
	if tree == nil {
		return "an event whose source was not kept"
	}
	categories := texts(tree, "event", "category")
	has := func(c string) bool { return slices.Contains(categories, c) }
	action := action(tree)
	switch {
	case lookup(tree, "registry", "path") != nil:
		return of(action, "registry change", text(tree, "registry", "path")) + doer(tree)
	case lookup(tree, "dns", "question", "name") != nil:
		return "DNS query for " + clip(text(tree, "dns", "question", "name")) + doer(tree)
	case has("authentication"):
		return login(tree, action) + doer(tree)
	case has("iam"):
		return of(action, "account change", or(text(tree, "user", "target", "name"), text(tree, "group", "name"))) + doer(tree)
	case has("network") || !has("process") && destination(tree) != "":
		if dst := destination(tree); dst != "" {
			return or(action, "connection") + " to " + dst + doer(tree)
		}
		return or(action, "network event") + doer(tree)
	case has("library") || has("driver"):
		return of(action, "load", or(text(tree, "dll", "path"), text(tree, "file", "path"))) + doer(tree)
	case has("file"):
		return of(action, "file event", text(tree, "file", "path")) + doer(tree)
	case has("process") || commandLine(tree) != "":
		return process(tree, action)
	case action != "":
		return action + doer(tree)
	case len(categories) > 0:
		return plain(categories[0]) + " event" + doer(tree)
	default:
		return "event" + doer(tree)
	}
}

// login says how an attempt to log in ended, and as whom and from where it was made.
func login(tree object, action string) string {
	s := or(action, "login")
	if outcome := text(tree, "event", "outcome"); outcome != "" && outcome != "unknown" {
		s += " (" + clip(outcome) + ")"
	}
	if user := userName(tree); user != "" {
		s += " as " + clip(user)
	}
	if from := or(text(tree, "source", "ip"), or(text(tree, "source", "domain"), text(tree, "source", "address"))); from != "" {
		s += " from " + clip(from)
	}
	return s
}

func process(tree object, action string) string {
	name, cmd := text(tree, "process", "name"), commandLine(tree)
	s := or(action, "process event")
	if cmd != "" || name != "" {
		s += " of " + clip(or(cmd, name))
	}
	if cmd != "" && name != "" && !begins(cmd, name) {
		s += " (" + clip(name) + ")"
	}
	if parent := or(text(tree, "process", "parent", "name"), text(tree, "process", "parent", "executable")); parent != "" {
		s += " by parent " + clip(parent)
	}
	return s
}

// begins reports whether a command line names its program, by path or not, as the process is named.
func begins(cmd, name string) bool {
	program, _, _ := strings.Cut(cmd, " ")
	return program == name || strings.HasSuffix(program, "/"+name) || strings.HasSuffix(program, `\`+name)
}

// action returns event.action as a word or a few.
func action(tree object) string {
	return clip(strings.ReplaceAll(text(tree, "event", "action"), "_", " "))
}

// doer says by which process something was done.
func doer(tree object) string {
	if p := or(text(tree, "process", "name"), text(tree, "process", "executable")); p != "" {
		return " by " + clip(p)
	}
	return ""
}

// circumstances say by whom and where.
func circumstances(tree object) string {
	var b strings.Builder
	// A login's user is whom somebody wants to be.
	if user := userName(tree); user != "" && !slices.Contains(texts(tree, "event", "category"), "authentication") {
		b.WriteString(", by " + clip(user))
	}
	place := ""
	if c := or(text(tree, "container", "name"), text(tree, "container", "id")); c != "" {
		place = " in container " + clip(c)
		if image := image(tree); image != "" {
			place += " (image " + clip(image) + ")"
		}
	}
	if h := hostName(tree); h != "" {
		place += " on host " + clip(h)
	}
	if place != "" {
		b.WriteString("," + place)
	}
	return b.String()
}

func userName(tree object) string {
	name := text(tree, "user", "name")
	if domain := text(tree, "user", "domain"); name != "" && domain != "" {
		return domain + `\` + name
	}
	return or(name, or(text(tree, "process", "user", "name"), text(tree, "user", "id")))
}

func hostName(tree object) string {
	return or(text(tree, "host", "name"), or(text(tree, "host", "hostname"), text(tree, "host", "id")))
}

func image(tree object) string {
	name := text(tree, "container", "image", "name")
	if tag := text(tree, "container", "image", "tag"); name != "" && tag != "" && !strings.Contains(name, ":") {
		return name + ":" + tag
	}
	return name
}

// commandLine returns the command line of an event's process, from its arguments where that is all there is.
func commandLine(tree object) string {
	return or(text(tree, "process", "command_line"), strings.Join(texts(tree, "process", "args"), " "))
}

// destination returns where an event's connection goes, as host:port.
func destination(tree object) string {
	host, port := or(text(tree, "destination", "ip"), text(tree, "destination", "domain")), text(tree, "destination", "port")
	switch {
	case host == "":
		return ""
	case port == "":
		return clip(host)
	case strings.Contains(host, ":"):
		return "[" + clip(host) + "]:" + clip(port)
	default:
		return clip(host) + ":" + clip(port)
	}
}

func of(action, otherwise, what string) string {
	s := or(action, otherwise)
	if what != "" {
		s += " of " + clip(what)
	}
	return s
}

func or(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}

// clip makes a text of an event fit for a sentence.
func clip(s string) string { return cutText(plain(s), maxCommand) }

// plain replaces what would disturb a terminal or a reader: line breaks, escape sequences, marks that turn
// the direction of writing. Attackers choose these texts.
func plain(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) { // as most are
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s)
}
