package event

// Slot is the number of a field in a Schema, and so of its values in an Event. Slots start at 0.
type Slot int32

// NoSlot is the slot of no field.
const NoSlot Slot = -1

// Type is the type of a field, as an Elasticsearch mapping has it, in the classes that EQL tells apart.
type Type uint8

// The types of fields. A field of Unknown type has no mapping: the JSON type of each value decides.
const (
	Unknown  Type = iota
	Keyword       // keyword, constant_keyword, wildcard, text, match_only_text, flattened
	Long          // long, integer, short, byte
	Unsigned      // unsigned_long
	Double        // double, float, half_float, scaled_float
	Boolean
	Date
	IP
	Version
)

// String returns the name of the type as Elasticsearch's documentation has it.
func (t Type) String() string {
	names := [...]string{"unknown", "keyword", "long", "unsigned_long", "double", "boolean", "date", "ip", "version"}
	if int(t) < len(names) {
		return names[t]
	}
	return "unknown"
}

// Field is one field that a Schema projects.
type Field struct {
	Path string // dotted, as in a rule: process.parent.name
	Type Type
	// Null is the text that an explicit null stands for, as null_value does in a mapping, where HasNull is set.
	Null    string
	HasNull bool
}

// Schema gives the fields that are read from events their slots. Fields are added while rules compile;
// after that it is read-only and may be shared by any number of goroutines.
type Schema struct {
	fields []Field
	byPath map[string]Slot
	types  func(path string) Type
	nulls  func(path string) (string, bool)
}

// NewSchema returns an empty schema. types tells the type of a field by its path; nil means that all are Unknown.
func NewSchema(types func(path string) Type) *Schema {
	if types == nil {
		types = func(string) Type { return Unknown }
	}
	return &Schema{byPath: map[string]Slot{}, types: types}
}

// SetNulls tells which fields have a value for an explicit null: the null_value of Elasticsearch's mappings. It holds for fields
// that are added later; nil, the default, means that a null is never a value.
func (s *Schema) SetNulls(nulls func(path string) (text string, ok bool)) { s.nulls = nulls }

// Add returns the slot of a field, and makes one where there was none.
func (s *Schema) Add(path string) Slot {
	if slot, ok := s.byPath[path]; ok {
		return slot
	}
	slot := Slot(len(s.fields))
	f := Field{Path: path, Type: s.types(path)}
	if s.nulls != nil {
		f.Null, f.HasNull = s.nulls(path)
	}
	s.fields = append(s.fields, f)
	s.byPath[path] = slot
	return slot
}

// Lookup returns the slot of a field, or NoSlot.
func (s *Schema) Lookup(path string) Slot {
	if slot, ok := s.byPath[path]; ok {
		return slot
	}
	return NoSlot
}

// Field returns the field of a slot.
func (s *Schema) Field(slot Slot) Field { return s.fields[slot] }

// Type returns the type of a field that need not be in the schema.
func (s *Schema) Type(path string) Type {
	if slot, ok := s.byPath[path]; ok {
		return s.fields[slot].Type
	}
	return s.types(path)
}

// Len returns the number of slots.
func (s *Schema) Len() int { return len(s.fields) }
