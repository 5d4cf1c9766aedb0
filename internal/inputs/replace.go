package inputs

import (
	"os"
	"path/filepath"
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
