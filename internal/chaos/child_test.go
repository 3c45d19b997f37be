//go:build unix

package chaos

import (
	"os/exec"
	"syscall"
	"testing"
)

// TestChildrenAreNotOfOurGroup shows that a member that is stopped is no stopped process of the harness's group: that ends with SIGHUP when
// the shell is gone that began it.
func TestChildrenAreNotOfOurGroup(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	cmd.SysProcAttr = childAttributes()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	group, err := syscall.Getpgid(cmd.Process.Pid)
	if err != nil || group == syscall.Getpgrp() {
		t.Errorf("the child is in group %d, %v; ours is %d", group, err, syscall.Getpgrp())
	}
}
