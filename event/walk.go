package event

import (
	"math/bits"
	"unsafe"
)

// frame is a container that has begun and not ended.
type frame struct {
	node   *node
	object bool
}

// walk reads the object that begins at i, checks its whole grammar, and puts the values of projected fields into
// the event. It returns the index after it, -1 where it is malformed. It follows known steps, and learns others, or does neither: that is
// decided when it is compiled, for each way, since asking for each value would cost a twentieth.
//
// It is one loop rather than a function for each kind of value, and find is written out in it, because the calls would
// cost more than what they do: most values are skipped within some twenty instructions.
//
//nolint:gocognit,funlen // see above
func walk[S stepping](d *Decoder, i int) int {
	on := unsafe.Sizeof(*new(S)) != 0
	doc, stops := d.doc, d.marks.stops
	depth, at, object := 0, d.root, true // the container at hand; at is nil where nothing in it is projected
	start := i
	if i = skipSpace(doc, i+1); i < len(doc) && doc[i] == '}' {
		return i + 1
	}
	i = start
	if on { // the beginning is like the end of a value
		if i, at, object, depth = d.ahead(i); i < 0 || depth < 0 {
			return i
		}
	}
values:
	for {
		for { // what follows a value: the ends of containers, then a comma
			if i >= len(doc) || doc[i] <= ' ' {
				if i = skipSpace(doc, i); i == len(doc) {
					return d.fail(i, "")
				}
			}
			if doc[i] == ',' {
				i++
				break
			}
			if object && doc[i] != '}' || !object && doc[i] != ']' {
				if i == start {
					i++
					break
				}
				return d.fail(i, "comma or closing bracket expected")
			}
			i++
			if depth == 0 {
				return i
			}
			f := &d.stack[depth&(MaxDepth-1)]
			at, object = f.node, f.object
			depth--
		}
		var n *node
		for { // a value, or what containers begin with it
			n = at
			if object { // a key and a colon
				if i >= len(doc) || doc[i] != '"' {
					if i = skipSpace(doc, i); i >= len(doc) || doc[i] != '"' {
						return d.fail(i, "key expected")
					}
				}
				i++
				w := window(stops, i)
				end := i + bits.TrailingZeros64(w)
				if w == 0 || byteAt(doc, end) != '"' {
					if end, n = d.oddKey(i, at); end < 0 {
						return -1
					}
				} else if at != nil {
					n = nil
					if size := end - i; size == 0 || i > len(doc)-8 {
						n = at.find(text(doc, i, end))
					} else {
						head, tail := words(doc, i, size)
						if e := at.edge(head, tail, size); e.head == head && e.tail == tail && e.size == size &&
							(size <= 16 || e.key == text(doc, i, end)) {
							n = e.next
						} else if e.more != nil {
							n = at.find(text(doc, i, end))
						}
					}
				}
				if i = end + 1; i >= len(doc) || doc[i] != ':' {
					if i = skipSpace(doc, i); i >= len(doc) || doc[i] != ':' {
						return d.fail(i, "colon expected")
					}
				}
				i++
			}
			if i >= len(doc) || doc[i] <= ' ' {
				if i = skipSpace(doc, i); i == len(doc) {
					return d.fail(i, "")
				}
			}
			c := doc[i]
			if c != '{' && c != '[' {
				break
			}
			if depth++; depth >= MaxDepth {
				return d.fail(i, "nested too deep")
			}
			if c == '{' && n != nil && n.slot >= 0 && n.leaf {
				d.uncoerced[n.slot]++
				if on {
					d.steps.from = -1 // whoever follows a step doesn't count
				}
			}
			d.stack[depth&(MaxDepth-1)] = frame{at, object}
			at, object = n, c == '{'
			if i = skipSpace(doc, i+1); i < len(doc) && doc[i] == c+2 { // an ASCII bracket and its partner are 2 apart
				continue values
			}
		}
		if doc[i] == '"' {
			i++
			if on {
				d.learn(i, n, at, object, depth)
			}
			w := window(stops, i)
			end := i + bits.TrailingZeros64(w)
			if w == 0 || byteAt(doc, end) != '"' {
				slot, typ := n.dest()
				if end = d.oddText(i, slot, typ); end < 0 {
					return -1
				}
			} else if n != nil && n.slot >= 0 {
				if n.typ > Keyword {
					d.text(n.slot, n.typ, text(doc, i, end))
				} else if to := d.ev.next(n.slot); to != nil {
					setText(to, text(doc, i, end))
				} else {
					d.ev.addAnother(n.slot, StringValue(text(doc, i, end)))
				}
			}
			i = end + 1
		} else {
			if on {
				d.learn(i, n, at, object, depth)
			}
			slot, typ := n.dest()
			if i = d.scalar(i, slot, typ); i < 0 {
				return -1
			}
		}
		if on {
			if d.steps.last < 0 {
				d.steps.from = i
			} else if i, at, object, depth = d.ahead(i); i < 0 || depth < 0 {
				return i
			}
		}
	}
}

// oddKey reads the key whose text begins at i, where it is long or has escapes or control characters in it. It
// returns where the key ends, -1 where it is malformed, and where it leads to from n.
func (d *Decoder) oddKey(i int, n *node) (end int, next *node) {
	end, escaped := d.oddString(i)
	switch {
	case end < 0 || n == nil:
		return end, nil
	case escaped:
		d.key = appendUnescaped(d.key[:0], d.doc[i:end])
		return end, n.find(alias(d.key))
	default:
		return end, n.find(text(d.doc, i, end))
	}
}

// oddText reads the string whose text begins at i as oddKey does, and puts it into the event.
func (d *Decoder) oddText(i int, slot Slot, typ Type) (end int) {
	if slot < 0 {
		end, _ = d.oddString(i)
		return end
	}
	end, s := d.onePass(i)
	if end < 0 {
		if end, _ = d.oddString(i); end < 0 {
			return end
		}
		s = d.ev.unescape(d.doc[i:end])
	}
	if typ > Keyword {
		d.text(slot, typ, s)
	} else if to := d.ev.next(slot); to != nil {
		setText(to, s)
	} else {
		d.ev.addAnother(slot, StringValue(s))
	}
	return end
}

// onePass reads the string whose text begins at i, unescaped, where it has no escapes or no \u, and the event's memory has room. Else end is -1, and
// nothing is done: the string may be malformed, too. It copies 16 bytes at once, so it stays away from the end of the document.
func (d *Decoder) onePass(i int) (end int, s string) {
	doc, scratch := d.doc, d.ev.scratch
	out, n := scratch[:cap(scratch)], len(scratch)
	limit := min(len(doc), i+len(out)-n) - 16 // no more is written than is read
	for {
		if w := window(d.marks.stops, i); w != 0 {
			end = i + bits.TrailingZeros64(w)
		} else if end = d.marks.stop(i); end < 0 {
			return -1, ""
		}
		if n == len(scratch) && byteAt(doc, end) == '"' {
			return end, text(doc, i, end)
		}
		if end > limit {
			return -1, ""
		}
		copy16(out, n, doc, i)
		for at := 16; at < end-i; at += 16 {
			copy16(out, n+at, doc, i+at)
		}
		n += end - i
		if byteAt(doc, end) == '"' {
			d.ev.scratch = out[:n]
			return end, alias(out[len(scratch):n])
		}
		c := Unescaped(byteAt(doc, end+1))
		if c == 0 || byteAt(doc, end) != '\\' {
			return -1, ""
		}
		out[n] = c
		i, n = end+2, n+1
	}
}

// oddString finds the end of a string that isn't short and plain, and whether it has escapes, which it checks.
func (d *Decoder) oddString(i int) (end int, escaped bool) {
	for ; ; escaped = true {
		if w := window(d.marks.stops, i); w != 0 {
			i += bits.TrailingZeros64(w)
		} else if i = d.marks.stop(i); i < 0 {
			return d.fail(len(d.doc), ""), escaped
		}
		if d.doc[i] == '"' {
			return i, escaped
		}
		if i+1 < len(d.doc) && d.doc[i] == '\\' && d.doc[i+1] == '\\' { // as in paths of Windows
			i += 2
			continue
		}
		size := escapeLen(d.doc, i)
		if size == 0 {
			return d.fail(i, "malformed string"), true
		}
		i += size
	}
}

// scalar reads a number or a literal that begins at i and returns the index after it, -1 where it is malformed.
func (d *Decoder) scalar(i int, slot Slot, typ Type) int {
	switch doc := d.doc; doc[i] {
	case 't':
		if has(doc, i, "true") {
			d.boolean(slot, typ, true)
			return i + len("true")
		}
	case 'f':
		if has(doc, i, "false") {
			d.boolean(slot, typ, false)
			return i + len("false")
		}
	case 'n':
		if has(doc, i, "null") {
			if slot >= 0 {
				if f := &d.schema.fields[slot]; f.HasNull {
					d.ev.hold(f.Null)
					d.text(slot, typ, f.Null)
				}
			}
			return i + len("null")
		}
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return d.number(i, slot, typ)
	default:
		return d.fail(i, "value expected")
	}
	return d.fail(i, "malformed literal")
}

func has(doc []byte, i int, word string) bool {
	return len(doc)-i >= len(word) && string(doc[i:i+len(word)]) == word
}
