//go:build linux

package chaos

import (
	"os"
	"os/exec"
	"syscall"
)

// childAttributes let a process end with the harness, however that ends. It has a process group of its own: where the shell that began
// the harness ends while a process of the harness's group stands still, the system sends SIGHUP to all of that group.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// ownMounts gives a process namespaces in which it may mount, without privileges where the system allows that.
func ownMounts(attr *syscall.SysProcAttr) {
	attr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
}

// mountsAllowed reports whether ownMounts works here.
func mountsAllowed() bool {
	cmd := exec.Command("mount", "-t", "tmpfs", "none", "/mnt") //nolint:noctx // it ends at once
	attr := childAttributes()
	ownMounts(attr)
	cmd.SysProcAttr = attr
	return cmd.Run() == nil
}
