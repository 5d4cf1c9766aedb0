package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// maxSize bounds what an archive may unpack to, in bytes, as Helm does.
const maxSize = 100 << 20

// Load reads a chart from a folder or an archive.
func Load(file string) (*Chart, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no chart at %s", file)
	}
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return fromFolder(file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	c, err := FromArchive(data)
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", file, err)
	}
	return c, nil
}

func fromFolder(dir string) (*Chart, error) {
	files, err := readFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("reading chart %s: %w", dir, err)
	}
	c, err := build(files)
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", dir, err)
	}
	return c, nil
}

// readFolder reads the files of a chart that .helmignore leaves, links followed, by name.
func readFolder(dir string) ([]File, error) {
	ignored, err := readIgnore(filepath.Join(dir, ".helmignore"))
	if err != nil {
		return nil, err
	}
	var files []File
	var walk func(name string, depth int) error
	walk = func(name string, depth int) error {
		if depth > 64 {
			return fmt.Errorf("%s: its links lead in a circle", name)
		}
		entries, err := os.ReadDir(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		for _, e := range entries {
			child := path.Join(name, e.Name())
			info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(child)))
			if err != nil {
				return err
			}
			if ignored.match(child, info.IsDir()) {
				continue
			}
			if info.IsDir() {
				if err := walk(child, depth+1); err != nil {
					return err
				}
				continue
			}
			if !info.Mode().IsRegular() {
				return fmt.Errorf("%s is neither a file nor a folder", child)
			}
			data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(child)))
			if err != nil {
				return err
			}
			files = append(files, File{Name: child, Data: bytes.TrimPrefix(data, byteOrderMark)})
		}
		return nil
	}
	if err := walk("", 0); err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// FromArchive reads a packaged chart: a gzipped tar with one folder.
func FromArchive(data []byte) (*Chart, error) {
	files, err := Unpack(data)
	if err != nil {
		return nil, err
	}
	return build(files)
}

// Unpack gives the files of a packaged chart, named from the chart's root.
func Unpack(data []byte) ([]File, error) {
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("this is not a packaged chart: %w", err)
	}
	var files []File
	left := int64(maxSize)
	for archive := tar.NewReader(zip); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("this is not a packaged chart: %w", err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		_, name, inFolder := strings.Cut(strings.ReplaceAll(header.Name, `\`, "/"), "/")
		name = path.Clean(name)
		if !inFolder || !filepath.IsLocal(filepath.FromSlash(name)) {
			return nil, fmt.Errorf("%s is not inside of the chart's folder", header.Name)
		}
		content, err := io.ReadAll(io.LimitReader(archive, left+1))
		if err != nil {
			return nil, err
		}
		if left -= int64(len(content)); left < 0 {
			return nil, fmt.Errorf("it unpacks to more than %d MiB", maxSize>>20)
		}
		files = append(files, File{Name: name, Data: bytes.TrimPrefix(content, byteOrderMark)})
	}
	if len(files) == 0 {
		return nil, errors.New("the archive is empty")
	}
	return files, nil
}
