//go:build !windows

package hook

import (
	"os/exec"
	"syscall"
)

// endGracefully makes cancelling reach the whole process group, so that what a shell started ends with it.
func endGracefully(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
}
