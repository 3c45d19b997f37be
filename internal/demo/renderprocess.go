package demo

import "strconv"

// appendImage appends a process's identity and program. img is p, or its parent for a fork, when the child still
// has its parent's program.
func appendImage(b []byte, p, img *process, by sensor) []byte {
	b = append(b, `"args":`...)
	b = appendList(b, img.args)
	b = append(b, `,"args_count":`...)
	b = strconv.AppendInt(b, int64(len(img.args)), 10)
	b = append(b, `,"entity_id":"`...)
	b = append(b, p.entityID(by)...)
	b = append(b, `","executable":`...)
	b = appendQuoted(b, img.exe)
	b = append(b, `,"interactive":`...)
	b = strconv.AppendBool(b, p.interactive)
	b = append(b, `,"name":`...)
	b = appendQuoted(b, img.name)
	b = append(b, `,"pid":`...)
	b = strconv.AppendInt(b, int64(p.pid), 10)
	b = append(b, `,"start":"`...)
	b = p.start.AppendFormat(b, timeLayout)
	return append(b, '"')
}

// appendCircumstances appends what is told of an event's own process only: terminal, user and working directory.
func appendCircumstances(b []byte, p, img *process) []byte {
	if p.interactive {
		b = append(b, `,"tty":{"char_device":{"major":136,"minor":0}}`...)
	}
	b = append(b, `,"user":{"id":"`...)
	b = strconv.AppendInt(b, int64(p.uid), 10)
	b = append(b, `","name":"`...)
	b = append(b, p.user...)
	b = append(b, `"},"working_directory":`...)
	return appendQuoted(b, img.cwd)
}

// appendPast appends what an event adds to the process: the image before an exec, the exit code of an end.
func appendPast(b []byte, o *occurrence) []byte {
	switch {
	case o.what == executed && o.proc.before != nil:
		before := o.proc.before
		b = append(b, `,"previous":[{"args":`...)
		b = appendList(b, before.args)
		b = append(b, `,"args_count":`...)
		b = strconv.AppendInt(b, int64(len(before.args)), 10)
		b = append(b, `,"executable":`...)
		b = appendQuoted(b, before.exe)
		b = append(b, `}]`...)
	case o.what == ended:
		b = append(b, `,"end":"`...)
		b = o.at.AppendFormat(b, timeLayout)
		b = append(b, `","exit_code":`...)
		b = strconv.AppendInt(b, int64(o.code), 10)
	}
	return b
}

// appendLeaders appends the leaders of p's entry, session and group.
func appendLeaders(b []byte, p *process, by sensor) []byte {
	b = append(b, `,"entry_leader":{"args":`...)
	b = appendList(b, p.entry.args)
	b = append(b, `,"args_count":`...)
	b = strconv.AppendInt(b, int64(len(p.entry.args)), 10)
	b = append(b, `,"entry_meta":{"type":"`...)
	b = append(b, p.entry.entryType...)
	b = append(b, `"}`...)
	b = appendLeader(b, p, p.entry, by)
	b = append(b, `,"session_leader":{"args_count":`...)
	b = strconv.AppendInt(b, int64(len(p.session.args)), 10)
	b = appendLeader(b, p, p.session, by)
	b = append(b, `,"group_leader":{"entity_id":"`...)
	b = append(b, p.session.entityID(by)...)
	b = append(b, `","pid":`...)
	b = strconv.AppendInt(b, int64(p.session.pid), 10)
	return append(b, '}')
}

// appendLeader appends the rest of a leader of p and closes it.
func appendLeader(b []byte, p, leader *process, by sensor) []byte {
	b = append(b, `,"entity_id":"`...)
	b = append(b, leader.entityID(by)...)
	b = append(b, `","executable":`...)
	b = appendQuoted(b, leader.exe)
	b = append(b, `,"interactive":`...)
	b = strconv.AppendBool(b, leader.interactive)
	b = append(b, `,"name":`...)
	b = appendQuoted(b, leader.name)
	b = append(b, `,"pid":`...)
	b = strconv.AppendInt(b, int64(leader.pid), 10)
	b = append(b, `,"same_as_process":`...)
	b = strconv.AppendBool(b, leader.pid == p.pid)
	return append(b, '}')
}

// appendList appends a JSON array of strings.
func appendList(b []byte, items []string) []byte {
	b = append(b, '[')
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, item)
	}
	return append(b, ']')
}

// appendCommandLine appends the arguments as one JSON string, with blanks between them.
func appendCommandLine(b []byte, args []string) []byte {
	b = append(b, '"')
	for i, arg := range args {
		if i > 0 {
			b = append(b, ' ')
		}
		b = appendEscaped(b, arg)
	}
	return append(b, '"')
}

// appendQuoted appends a JSON string.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	b = appendEscaped(b, s)
	return append(b, '"')
}

// appendEscaped appends the inside of a JSON string. s is valid UTF-8.
func appendEscaped(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			b = append(b, c)
		}
	}
	return b
}
