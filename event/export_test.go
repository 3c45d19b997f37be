package event

// NoSteps makes a decoder read every document by its grammar alone.
func NoSteps(d *Decoder) { d.steps.pause = 1 << 60 }

// Steps returns how many steps a decoder knows, and for how many more documents it follows none.
func Steps(d *Decoder) (known, pause int) { return len(d.steps.known), d.steps.pause }

// MaxSteps is how many steps a decoder knows at most.
const MaxSteps = maxSteps
