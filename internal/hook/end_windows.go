package hook

import "os/exec"

// endGracefully leaves the default: Windows can only kill.
func endGracefully(*exec.Cmd) {}
