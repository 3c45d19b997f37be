package pipeline

// Unhit returns the records of a prepared batch that no rule looks at.
func (b *Batch) Unhit() []Record {
	var out []Record
	for i := range b.prepared {
		if b.prepared[i].hit == nil {
			out = append(out, b.Records[i])
		}
	}
	return out
}
