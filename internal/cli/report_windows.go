package cli

import (
	"os"

	"golang.org/x/sys/windows"
)

// escapes switches a console to escape sequences, and says whether it knows them.
func escapes(console *os.File) bool {
	handle := windows.Handle(console.Fd())
	var mode uint32
	if windows.GetConsoleMode(handle, &mode) != nil {
		return false
	}
	return windows.SetConsoleMode(handle, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
