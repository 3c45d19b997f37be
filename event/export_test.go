package event

import "math"

// NoSteps makes a decoder read every document by its grammar alone.
func NoSteps(d *Decoder) { d.steps.pause = math.MaxInt }

// Steps returns how many steps a decoder knows, and for how many more documents it follows none.
func Steps(d *Decoder) (known, pause int) { return len(d.steps.known), d.steps.pause }

// MaxSteps is how many steps a decoder knows at most.
const MaxSteps = maxSteps

// CountOn makes an empty event one that had so many values before that a few more make it count anew.
func CountOn(ev *Event) { ev.first = max(lastFirst-30, ev.first) }
