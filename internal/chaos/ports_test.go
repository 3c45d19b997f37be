//go:build unix

package chaos

import "testing"

// TestPortsAreReserved shows that a block is nobody else's until it is closed, whether or not its ports are listened on, and that a
// block in which somebody listens isn't taken.
func TestPortsAreReserved(t *testing.T) {
	const n = 6
	seen := map[int]bool{}
	for range 20 {
		b, err := reservePorts(n)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.close)
		for _, p := range b.ports(n) {
			if seen[p] {
				t.Fatalf("port %d is given to two", p)
			}
			seen[p] = true
		}
	}
	b, err := reservePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	l, err := listen(b.ports(n)[n-1])
	if err != nil {
		t.Skipf("somebody took a port: %v", err)
	}
	defer l.Close()
	if b.free(n) {
		t.Error("a block is free in which somebody listens")
	}
	if !b.free(n - 1) {
		t.Log("somebody took another port of the block too")
	}
	if _, err := reservePorts(blockPorts); err == nil {
		t.Error("a block has more ports than it has")
	}
}

func TestFolderIsLocked(t *testing.T) {
	dir := t.TempDir()
	f, err := lockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := lockFolder(dir); err == nil {
		t.Error("two may use one folder at once")
		_ = other.Close()
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err = lockFolder(dir); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
}
