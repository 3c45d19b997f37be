package alert

import "testing"

func TestTidy(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{" \n\t\n", ""},
		{"as it is", "as it is"},
		{"\n    a\n      b\n\n    c\n    ", "a\n  b\n\nc"},
		{"a\n    b", "a\n    b"},
		{"    a\n  b", "a\nb"},
		{"\t\ta\n\t\tb", "a\nb"},
		{"\ta\n  b", "a\n  b"},
		{"\r\n  a\r\n  b\r\n", "a\r\nb"},
		{"  a\n \n  b", "a\n\nb"},
	}
	for _, tt := range tests {
		if got := tidy(tt.in); got != tt.want {
			t.Errorf("tidy(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
