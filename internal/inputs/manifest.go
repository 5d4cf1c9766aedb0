package inputs

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// keyScheme is hashed into every key. It changes when the meaning of a key changes, so that keys of different schemes never
// meet.
const keyScheme = "davit inputs 1"

// Key names what an image is made of: 64 hexadecimal digits.
type Key string

// Manifest is everything that one image is made of: named settings and files. It is the same on every machine for the same
// inputs: no file times, no absolute paths, no order of a directory.
type Manifest struct {
	Fields []Field `json:"fields,omitempty"` // by Name, each once
	Files  []File  `json:"files,omitempty"`  // by Path, each once
}

// Field is one setting. Name is worded for people ("target", "build argument VERSION"), since "why" prints it.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
	// Hidden says that Value is not the value but its SHA-256, because the value may be secret.
	Hidden bool `json:"hidden,omitempty"`
}

// Kind is what counts of a file's mode. Other permission bits depend on the umask of whoever checked the files out.
type Kind string

// The kinds of a file. Folders are not inputs of their own: git does not keep empty ones.
const (
	Regular    Kind = "file"
	Executable Kind = "executable"
	Symlink    Kind = "symlink"
)

// File is one file.
type File struct {
	Path string `json:"path"` // slashes, relative to the build context; a file of another context is "name:path"
	Kind Kind   `json:"kind"`
	Link string `json:"link,omitempty"` // where a symbolic link points, as written
	Sum  Sum    `json:"sha256"`         // of the content; of nothing for a symbolic link
}

// Sum is a SHA-256.
type Sum [sha256.Size]byte

// MarshalText writes the sum in hexadecimal digits.
func (s Sum) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(s[:])), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (s *Sum) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(s) {
		return fmt.Errorf("%q is not a sha256 in hexadecimal digits", text)
	}
	copy(s[:], b)
	return nil
}

// Set adds a setting whose value may be shown, or replaces it.
func (m *Manifest) Set(name, value string) { m.set(Field{Name: name, Value: value}) }

// SetHidden adds a setting whose value may be secret: only its hash is kept.
func (m *Manifest) SetHidden(name, value string) {
	sum := sha256.Sum256([]byte(value))
	m.set(Field{Name: name, Value: hex.EncodeToString(sum[:]), Hidden: true})
}

func (m *Manifest) set(f Field) {
	i, found := slices.BinarySearchFunc(m.Fields, f.Name, func(f Field, name string) int { return strings.Compare(f.Name, name) })
	if found {
		m.Fields[i] = f
		return
	}
	m.Fields = slices.Insert(m.Fields, i, f)
}

// addFiles puts files in, sorted, each path once: the first that came.
func (m *Manifest) addFiles(files []File) {
	m.Files = append(m.Files, files...)
	slices.SortStableFunc(m.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	m.Files = slices.CompactFunc(m.Files, func(a, b File) bool { return a.Path == b.Path })
}

// Key is the SHA-256 over all fields and files, each part with its length before it, so that no two manifests read alike.
func (m Manifest) Key() Key {
	h := sha256.New()
	w := lengthWriter{h: h}
	w.text(keyScheme)
	w.number(uint64(len(m.Fields)))
	for _, f := range m.Fields {
		w.text(f.Name)
		w.text(f.Value)
		w.number(boolBit(f.Hidden))
	}
	w.number(uint64(len(m.Files)))
	for _, f := range m.Files {
		w.text(f.Path)
		w.text(string(f.Kind))
		w.text(f.Link)
		w.h.Write(f.Sum[:])
	}
	return Key(hex.EncodeToString(h.Sum(nil)))
}

func boolBit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

type lengthWriter struct {
	h   hash.Hash
	buf []byte
}

func (w *lengthWriter) number(n uint64) {
	w.buf = binary.AppendUvarint(w.buf[:0], n)
	w.h.Write(w.buf)
}

func (w *lengthWriter) text(s string) {
	w.buf = append(binary.AppendUvarint(w.buf[:0], uint64(len(s))), s...)
	w.h.Write(w.buf)
}

// field returns the value of a field, and whether there is one.
func (m Manifest) field(name string) (Field, bool) {
	i, found := slices.BinarySearchFunc(m.Fields, name, func(f Field, name string) int { return strings.Compare(f.Name, name) })
	if !found {
		return Field{}, false
	}
	return m.Fields[i], true
}
