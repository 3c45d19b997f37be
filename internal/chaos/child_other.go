//go:build unix && !linux

package chaos

import "syscall"

// childAttributes are those of a process that has to be ended by hand where the harness is killed. It has a process group of its own, as
// on Linux.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// ownMounts does nothing: there are no namespaces.
func ownMounts(*syscall.SysProcAttr) {}

// mountsAllowed reports that ownMounts doesn't work here.
func mountsAllowed() bool { return false }
