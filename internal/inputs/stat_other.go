//go:build !linux && !darwin

package inputs

import "io/fs"

// statOf is what counts of a file's state. Without an inode and a change time it is size and modification time, as far as they
// go.
func statOf(info fs.FileInfo) (stat, bool) {
	return stat{size: info.Size(), mtime: info.ModTime().UnixNano()}, true
}
