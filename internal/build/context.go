package build

import (
	"fmt"
	"os"
	"path/filepath"
)

// IgnoreFile is the file that says what of the context a build does not see: the Dockerfile's own, else the context's. It need not exist.
func (d Docker) IgnoreFile() string {
	own := d.Dockerfile + ".dockerignore"
	if _, err := os.Stat(own); err == nil {
		return own
	}
	return filepath.Join(d.Context, ".dockerignore")
}

// NotInContext says about a file that a COPY did not find, by its path in the context, whether it is there and only hidden.
func (d Docker) NotInContext(name string) string {
	if _, err := os.Lstat(filepath.Join(d.Context, filepath.FromSlash(name))); err == nil {
		return fmt.Sprintf("%q is in the build context %s but hidden by %s", name, d.Context, d.IgnoreFile())
	}
	return fmt.Sprintf("%q is not in the build context %s", name, d.Context)
}
