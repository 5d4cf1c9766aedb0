package inputs

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// TempPattern is in the name of files that ReplaceFile has not finished. One that is left behind is from a process that was killed.
const TempPattern = ".davit-tmp-"

// ReplaceFile puts a file in its place in one step: other processes see the old content or the new, never a part. The folder is made when it
// is missing. The content is not forced to the disk, so a file that is read back must carry a checksum: after a loss of power it may be empty.
func ReplaceFile(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+TempPattern+"*")
	if os.IsNotExist(err) {
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			f, err = os.CreateTemp(filepath.Dir(path), filepath.Base(path)+TempPattern+"*")
		}
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(data); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// abandonedAfter is when an unfinished file can only be one of a process that was killed.
const abandonedAfter = time.Hour

// Abandoned says whether a file is what a process that was killed left behind of ReplaceFile.
func Abandoned(info os.FileInfo, now time.Time) bool {
	return strings.Contains(info.Name(), TempPattern) && now.Sub(info.ModTime()) > abandonedAfter
}

// sweep removes what killed processes left in a folder.
func sweep(folder string, now time.Time) {
	entries, _ := os.ReadDir(folder)
	for _, e := range entries {
		if !strings.Contains(e.Name(), TempPattern) {
			continue
		}
		if info, err := e.Info(); err == nil && Abandoned(info, now) {
			_ = os.Remove(filepath.Join(folder, e.Name()))
		}
	}
}
