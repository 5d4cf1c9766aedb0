package engine

import (
	"encoding/base64"
	"path"
	"strings"

	"github.com/gobwas/glob"

	"github.com/davit-dev/davit/internal/render/helm/chart"
)

// files is .Files: the files of a chart that are not templates.
type files map[string][]byte

func newFiles(from []chart.File) files {
	f := make(files, len(from))
	for _, file := range from {
		f[file.Name] = file.Data
	}
	return f
}

// GetBytes gives a file, nothing when there is none.
func (f files) GetBytes(name string) []byte {
	if data, ok := f[name]; ok {
		return data
	}
	return []byte{}
}

// Get gives a file as text.
func (f files) Get(name string) string { return string(f[name]) }

// Glob gives the files that match a pattern, which may have ** for any number of folders.
func (f files) Glob(pattern string) files {
	g, err := glob.Compile(pattern, '/')
	if err != nil {
		g = glob.MustCompile("**")
	}
	out := files{}
	for name, data := range f {
		if g.Match(name) {
			out[name] = data
		}
	}
	return out
}

// AsConfig gives the files as the data of a ConfigMap.
func (f files) AsConfig() string { return f.data(func(b []byte) string { return string(b) }) }

// AsSecrets gives the files as the data of a Secret.
func (f files) AsSecrets() string { return f.data(base64.StdEncoding.EncodeToString) }

func (f files) data(encode func([]byte) string) string {
	if f == nil {
		return ""
	}
	m := make(map[string]string, len(f))
	for name, data := range f {
		m[path.Base(name)] = encode(data)
	}
	return orEmpty(toYAML)(m)
}

// Lines gives the lines of a file.
func (f files) Lines(name string) []string {
	if len(f[name]) == 0 {
		return []string{}
	}
	return strings.Split(strings.TrimSuffix(string(f[name]), "\n"), "\n")
}
