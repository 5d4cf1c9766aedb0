//go:build !linux && !darwin

package inputs

import (
	"os"
	"path/filepath"
)

// lstatIn is the lstat of a name in an open folder.
func lstatIn(dir *os.File, name string) (state, error) {
	info, err := os.Lstat(filepath.Join(dir.Name(), name))
	if err != nil {
		return state{}, err
	}
	return stateOf(info), nil
}
