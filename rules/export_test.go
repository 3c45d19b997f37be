package rules

// MaxRemembered is the bound of the keys of the views that a matcher remembers, and that of those of the shapes.
const MaxRemembered = maxViewKeys

// Remembered returns how many keys there are in all views that a matcher remembers, and in all shapes; and the most of one.
func (m *Matcher) Remembered() (views, shapes, most int) {
	for _, v := range m.views.made {
		views += v.keys
		most = max(most, v.keys)
	}
	for _, s := range m.views.shaped {
		shapes += s.size()
		most = max(most, s.size())
	}
	return views, shapes, most
}
