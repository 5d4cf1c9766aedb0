//go:build !linux

package buildkitd

import (
	"context"
	"fmt"
	"runtime"
)

// Main fails: BuildKit's daemon runs on Linux only.
func Main(_ context.Context, args []string) error {
	if _, err := parse(args); err != nil {
		return err
	}
	return fmt.Errorf("the carried BuildKit needs Linux, this is %s", runtime.GOOS)
}
