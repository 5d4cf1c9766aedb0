// Package skaffold finds what Skaffold v2.24 remembers of its builds: a file in which the hash of what an artifact is made of leads to its image.
//
// The hash is made again here as Skaffold makes it, with all that it leaves out: the folder of a file (its name, mode and content count), where a
// symbolic link points, the images that a Dockerfile starts from, and the context's settings beside the builder's own. It is good for finding an
// image once, and for nothing else; what an image is made of is named by inputs.Key. Nothing here writes.
package skaffold

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

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/model"
)

// Image is what the file says of a hash: the digest of an image that was pushed, or the id of one in the Docker Engine.
type Image struct {
	Digest string `yaml:"digest"`
	ID     string `yaml:"id"`
}

// Read reads Skaffold's file: images by their hashes.
func Read(file string) (map[string]Image, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading Skaffold's cache: %w", err)
	}
	var images map[string]Image
	err = yaml.Unmarshal(text, &images)
	if _, other := errors.AsType[*yaml.TypeError](err); other {
		return nil, fmt.Errorf("%s is no cache of Skaffold's: it should hold the digest or id of an image under each hash", file)
	}
	if err != nil {
		return nil, fmt.Errorf("reading Skaffold's cache %s: %w", file, err)
	}
	for hash := range images {
		if _, err := hex.DecodeString(hash); err != nil || len(hash) != 2*sha256.Size {
			return nil, fmt.Errorf("%s is no cache of Skaffold's: it should hold hashes of 64 hexadecimal digits, and has %.80q", file, hash)
		}
	}
	return images, nil
}

// Artifact is an artifact as Skaffold sees it.
type Artifact struct {
	Builder    model.Builder     // *model.Docker or *model.Custom
	Dir        string            // absolute: where Skaffold runs
	Workspace  string            // the build context, absolute or relative to Dir as Skaffold has it
	Dockerfile string            // absolute; empty for a custom artifact without
	Mode       string            // the command: "build", "run"
	Args       map[string]string // build arguments as evaluated; those without a value are not among them
	Requires   []string          // images
}

// Reader reads what artifacts are made of.
type Reader struct {
	// OnBuild gives the ONBUILD instructions of a base image.
	OnBuild func(ctx context.Context, ref string) ([]string, error)
	// List runs a command that prints a JSON array of files in a folder.
	List func(ctx context.Context, command, folder string) ([]byte, error)
}

// Sources is what an artifact adds to hashes, but for the platforms.
type Sources struct {
	parts    []string
	requires []string
}

// Read reads an artifact's settings and files.
func (r Reader) Read(ctx context.Context, a Artifact) (Sources, error) {
	settings, err := settings(a.Builder)
	if err != nil {
		return Sources{}, err
	}
	s := Sources{parts: []string{settings}, requires: slices.Sorted(slices.Values(a.Requires))}
	files, args, err := r.filesAndArgs(ctx, a)
	if err != nil {
		return Sources{}, err
	}
	for i, name := range files {
		if !filepath.IsAbs(name) {
			files[i] = filepath.Join(a.Workspace, name)
		}
	}
	slices.Sort(files)
	for _, name := range files {
		sum, err := fileSum(a.absolute(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Sources{}, err
		}
		s.parts = append(s.parts, sum)
	}
	s.parts = append(s.parts, args...)
	return s, nil
}

func (a Artifact) absolute(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(a.Dir, name)
}

// Hash is the hash of an image of all that are read, each for its platforms ("linux/amd64"; none: not decided).
func Hash(all map[string]Sources, image string, platforms map[string][]string) (string, error) {
	own, ok := all[image]
	if !ok {
		return "", fmt.Errorf("it requires %s, whose hash is not known", image)
	}
	hash, err := sum(slices.Concat(own.parts, slices.Sorted(slices.Values(platforms[image]))))
	if err != nil || len(own.requires) == 0 {
		return hash, err
	}
	hashes := []string{hash}
	for _, required := range own.requires {
		hash, err := Hash(all, required, platforms)
		if err != nil {
			return "", err
		}
		hashes = append(hashes, hash)
	}
	return sum(hashes)
}

// sum is the SHA-256 of a JSON array and the newline after it.
func sum(parts []string) (string, error) {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(parts); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// fileSum is the MD5 of a file's mode, its name without the folder, and its content.
func fileSum(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	h := md5.New()
	_, _ = io.WriteString(h, info.Mode().String()+info.Name())
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

// settings are a builder's settings as Skaffold writes them into a hash: JSON with the names and the order of its Go structs.
func settings(builder model.Builder) (string, error) {
	var kinds struct {
		DockerArtifact                                                            *docker
		BazelArtifact, KoArtifact, JibArtifact, KanikoArtifact, BuildpackArtifact *struct{}
		CustomArtifact                                                            *model.Custom // whose names are the same
	}
	switch b := builder.(type) {
	case *model.Docker:
		kinds.DockerArtifact = &docker{
			DockerfilePath: b.Dockerfile, Target: b.Target, BuildArgs: b.BuildArgs, NetworkMode: b.Network, AddHost: b.AddHost, CacheFrom: b.CacheFrom,
			CliFlags: b.CliFlags, PullParent: b.PullParent, NoCache: b.NoCache, Squash: b.Squash, SSH: b.SSH,
		}
		for _, s := range b.Secrets {
			kinds.DockerArtifact.Secrets = append(kinds.DockerArtifact.Secrets, secret{s.ID, s.Src, s.Env})
		}
	case *model.Custom:
		kinds.CustomArtifact = &model.Custom{BuildCommand: b.BuildCommand, Dependencies: dependencies(b)}
	default:
		return "", fmt.Errorf("it is of the kind %s, and only those of Dockerfiles and custom commands are looked for", model.Name(builder))
	}
	text, err := json.Marshal(kinds)
	return string(text), err
}

type docker struct {
	DockerfilePath string
	Target         string
	BuildArgs      map[string]*string
	NetworkMode    string
	AddHost        []string
	CacheFrom      []string
	CliFlags       []string
	PullParent     bool
	NoCache        bool
	Squash         bool
	Secrets        []secret
	SSH            string
}

type secret struct{ ID, Source, Env string }

// dependencies are those of a custom artifact; all files when it says nothing.
func dependencies(c *model.Custom) *model.CustomDependencies {
	return cmp.Or(c.Dependencies, &model.CustomDependencies{Paths: []string{"."}})
}
