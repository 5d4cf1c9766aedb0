package inputs

import (
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Digest is what the digest of Skaffold's tag policy inputDigest is made of.
type Digest struct {
	Folder    string // where the command runs, absolute; the other paths may be relative to it
	Workspace string // of the artifact, as it is configured

	// Dockerfile is the Dockerfile's path as it is configured, or empty. Skaffold looks for it in Folder, and counts what it finds there, too.
	Dockerfile string
	Target     string // of the Dockerfile

	Parts []DigestPart // the artifact, and all that it requires, directly or not
}

// DigestPart is one artifact's files. They are those of the Dockerfile, without build hooks.
type DigestPart struct {
	Workspace string // as it is configured
	Manifest  Manifest
}

// InputDigest is the digest of an artifact's files as Skaffold v2.24 makes it: 64 hexadecimal digits, over paths and contents alone. It is for tags; what
// an image is made of is named by its Key. A target, which Skaffold forgets, counts as well. All files are read.
func InputDigest(ctx context.Context, d Digest) (string, error) {
	var paths []string
	for _, part := range d.Parts {
		builder, _ := part.Manifest.field("builder")
		docker := builder.Value == "dockerfile"
		for _, f := range part.Manifest.Files {
			if docker && f.Path == ".dockerignore" {
				continue
			}
			paths = append(paths, filepath.Join(part.Workspace, filepath.FromSlash(f.Path)))
		}
	}
	if d.Dockerfile != "" {
		paths = append(paths, d.Dockerfile)
	}
	slices.Sort(paths)

	sums := make([]string, len(paths))
	var g errgroup.Group
	g.SetLimit(8)
	for i, p := range paths {
		g.Go(func() (err error) {
			sums[i], err = d.sum(ctx, p)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return "", fmt.Errorf("making the input digest: %w", err)
	}
	sums = slices.DeleteFunc(sums, func(s string) bool { return s == "" })
	if d.Target != "" {
		sums = append(sums, "target "+d.Target)
	}
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(sums); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// sum is the MD5 of a file's path in the workspace and its content; empty when it does not exist.
func (d Digest) sum(ctx context.Context, path string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	name, err := filepath.Rel(cmp.Or(d.Workspace, "."), path)
	if err != nil {
		name = path
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(d.Folder, path)
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	h := md5.New()
	_, _ = io.WriteString(h, name)
	if info.Mode().IsRegular() {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		if _, err := io.Copy(h, f); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
