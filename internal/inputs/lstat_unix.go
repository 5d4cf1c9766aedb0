//go:build linux || darwin

package inputs

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// lstatIn is the lstat of a name in an open folder: the system need not follow the path to the folder for each of its files.
func lstatIn(dir *os.File, name string) (state, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) //nolint:gosec // a file descriptor is an int
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return state{}, &fs.PathError{Op: "lstat", Path: dir.Name() + "/" + name, Err: err}
		}
	}
	s := state{
		//nolint:unconvert // the types differ between architectures
		stat:    stat{size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(), inode: st.Ino, device: uint64(st.Dev)},
		trusted: true, mode: fs.FileMode(st.Mode & 0o777),
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFLNK:
		s.mode |= fs.ModeSymlink
	default:
		s.mode |= fs.ModeIrregular
	}
	return s, nil
}
