//go:build !windows

package cli

import "os"

// escapes says whether a terminal understands escape sequences; all do that are not Windows'.
func escapes(*os.File) bool { return true }
