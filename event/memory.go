package event

import "unsafe"

// The values of an event lie in memory in which the garbage collector doesn't look for pointers. While it marks, each pointer that is
// written elsewhere is noted down and followed later, the old one and the new one, which costs several times what decoding a value does. That is sound
// because an event has all that its values point to in other fields, too: the document in Raw, text that was unescaped in scratch and full, any other in held.
//
// What is left of earlier records points to memory that is gone, so this memory is written only by what is in this file: a compiler that knows that these
// are pointers would have the collector follow the old ones.

// valueWords is the size of a Value.
const valueWords = unsafe.Sizeof(Value{}) / 8

// newValues returns memory for n values.
func newValues(n int) []Value {
	return unsafe.Slice((*Value)(unsafe.Pointer(unsafe.SliceData(make([]uint64, uintptr(n)*valueWords)))), n)
}

// wordsOfValues returns the memory of values.
func wordsOfValues(values []Value) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(values))), uintptr(len(values))*valueWords)
}

// copyValues is copy.
func copyValues(dst, src []Value) { copy(wordsOfValues(dst), wordsOfValues(src)) }

// set makes v, which is one of an event, another value.
func set(v *Value, to Value) {
	v.kind, v.sub, v.num = to.kind, to.sub, to.num
	point(v, to.str)
}

// setText makes v a String, as set does.
func setText(v *Value, text string) {
	v.kind, v.sub, v.num = String, 0, 0
	point(v, text)
}

// point makes text that of v.
func point(v *Value, text string) {
	*(*[2]uintptr)(unsafe.Pointer(&v.str)) = [2]uintptr{uintptr(unsafe.Pointer(unsafe.StringData(text))), uintptr(len(text))}
}
