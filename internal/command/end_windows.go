package command

import "os/exec"

// interruptGroup leaves the default: Windows can only kill.
func interruptGroup(*exec.Cmd) {}

func killGroup(*exec.Cmd) {}
