package inputs

import (
	"io/fs"
	"syscall"
)

// statOf is what counts of a file's state; false when the system does not say enough to trust it.
func statOf(info fs.FileInfo) (stat, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return stat{}, false
	}
	return stat{
		size:   st.Size,
		mtime:  st.Mtim.Nano(),
		ctime:  st.Ctim.Nano(),
		inode:  st.Ino,
		device: uint64(st.Dev), //nolint:unconvert // it is an int32 on some architectures
	}, true
}
