package alert

import "strings"

// tidy returns a text of a rule's file as it reads: without blank lines at either end, and without the indentation
// that all of its lines share.
func tidy(s string) string {
	s = strings.TrimRight(s, " \t\r\n")
	lines := strings.Split(s, "\n")
	for len(lines) > 1 && strings.TrimSpace(lines[0]) == "" {
		lines = lines[1:]
	}
	indent := lines[0][:len(lines[0])-len(strings.TrimLeft(lines[0], " \t"))]
	for _, line := range lines[1:] {
		if strings.TrimSpace(line) != "" {
			for !strings.HasPrefix(line, indent) {
				indent = indent[:len(indent)-1]
			}
		}
	}
	for i, line := range lines {
		if line = strings.TrimPrefix(line, indent); strings.TrimSpace(line) == "" {
			line = ""
		}
		lines[i] = line
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// tidyAll returns the texts that have something in them, tidied.
func tidyAll(texts []string) []string {
	out := make([]string, 0, len(texts))
	for _, s := range texts {
		if s = tidy(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}
