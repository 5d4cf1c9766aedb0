package load

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/joho/godotenv"
)

// EnvFile is the file of variables that is read from the working folder.
const EnvFile = "skaffold.env"

// WithEnvFile adds the variables of dir's skaffold.env to an environment. What is set already wins. A file
// that cannot be read is an error that the reference only warns about; lookup is usable all the same.
func WithEnvFile(dir string, lookup func(string) (string, bool)) (func(string) (string, bool), error) {
	file := filepath.Join(dir, EnvFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return lookup, nil
	}
	if err != nil {
		return lookup, fmt.Errorf("reading variables: %w", err)
	}
	more, err := godotenv.UnmarshalBytes(text)
	if err != nil {
		return lookup, fmt.Errorf("reading variables of %s: %w", file, err)
	}
	return func(name string) (string, bool) {
		if v, ok := lookup(name); ok {
			return v, true
		}
		v, ok := more[name]
		return v, ok
	}, nil
}
