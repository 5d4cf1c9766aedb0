package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/davit-dev/davit/internal/config/diag"
)

// Source reads the file that o names, as Load does, and tells where it is: a path, a URL or "-".
func Source(ctx context.Context, o Options) (src *diag.Source, path string, err error) {
	l := &loader{Options: o}
	text, path, err := l.text(ctx, l.absolute(cmp.Or(o.File, "skaffold.yaml")))
	if err != nil {
		return nil, path, err
	}
	return &diag.Source{File: l.shown(path), Text: text}, path, nil
}

// absolute resolves a path against the working folder; URLs and "-" stay.
func (l *loader) absolute(file string) string {
	if file == "-" || isURL(file) || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(l.Dir, file)
}

func isURL(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")
}

// read gives the documents of a file, reading it once.
func (l *loader) read(ctx context.Context, file string) ([]*Document, error) {
	if docs, ok := l.files[file]; ok {
		return docs, nil
	}
	text, name, err := l.text(ctx, file)
	if err != nil {
		return nil, err
	}
	docs, err := parse(l.table, l.shapes, &diag.Source{File: l.shown(name), Text: text})
	if err != nil {
		return nil, err
	}
	l.files[file] = docs
	return docs, nil
}

// shown is how errors name a file: relative where it lies below the working folder.
func (l *loader) shown(file string) string {
	if rel, err := filepath.Rel(l.Dir, file); err == nil && filepath.IsLocal(rel) && filepath.IsAbs(file) {
		return rel
	}
	return file
}

// text reads a file, and tells its name: skaffold.yml where it stood in for skaffold.yaml.
func (l *loader) text(ctx context.Context, file string) (text []byte, name string, err error) {
	switch {
	case file == "-":
		if l.Stdin == nil {
			return nil, file, errors.New("reading the configuration from standard input: there is none")
		}
		if text, err = io.ReadAll(l.Stdin); err != nil {
			err = fmt.Errorf("reading the configuration from standard input: %w", err)
		}
		return text, file, err
	case isURL(file):
		text, err = l.download(ctx, file)
		return text, file, err
	}
	text, err = os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && filepath.Base(file) == "skaffold.yaml" {
		other := filepath.Join(filepath.Dir(file), "skaffold.yml")
		if text, e := os.ReadFile(other); e == nil {
			return text, other, nil
		}
	}
	if err != nil {
		cause, next, code := "cannot be read: "+reason(err), "", ""
		if errors.Is(err, fs.ErrNotExist) {
			cause, next, code = "there is no such configuration file", "name it with -f, or go to the folder it is in", diag.CodeFileNotFound
		}
		err = &diag.Error{Position: diag.Position{File: l.shown(file)}, Cause: cause, Next: next, Code: code, Err: err}
	}
	return text, file, err
}

// reason leaves the path out of a file error, where it was just said.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

func (l *loader) download(ctx context.Context, url string) ([]byte, error) {
	fail := func(err error) error {
		return &diag.Error{Position: diag.Position{File: url}, Cause: "cannot be fetched: " + err.Error(), Next: "check the address and the network", Err: err}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fail(err)
	}
	client := cmp.Or(l.HTTP, http.DefaultClient)
	response, err := client.Do(request)
	if err != nil {
		return nil, fail(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fail(errors.New(response.Status))
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fail(err)
	}
	return text, nil
}
