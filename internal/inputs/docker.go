package inputs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Docker is an image made by a Dockerfile: the settings that count. What only changes how it is built (cache sources, --no-cache) is not
// among them.
type Docker struct {
	Context    string // absolute folder
	Dockerfile string // absolute path
	Target     string
	BuildArgs  map[string]string // as evaluated, without those of Required
	Platforms  []string          // "linux/amd64"; empty is Linux on this machine's architecture
	Network    string
	AddHosts   []string
	Labels     map[string]string

	// Contexts are named build contexts: a name to "docker-image://ref@digest" or an absolute folder.
	Contexts map[string]string

	// Required are the required artifacts: alias to a reference with a digest, or, for one that is only in the Docker Engine, its image id or whatever
	// else is another when its content is. They are build arguments as well.
	Required map[string]string

	// Secrets are the ids of build secrets, SSH the id of a forwarded agent; their values never count.
	Secrets []string
	SSH     string

	// Hooks are the commands that run on this machine before the build. As they may read and write anything in the context, all of it counts then,
	// .dockerignore or not, but for .git. See Produced for what they write.
	Hooks []string

	// Settings are further settings of the builder that count, each by a name worded for people.
	Settings map[string]string
}

// Docker reads what a Dockerfile build is made of: the Dockerfile, the files that the reachable stages of its target read, and the settings.
// A file that COPY names and that is not there is an error with the position in the Dockerfile.
func (r *Reader) Docker(ctx context.Context, d Docker) (Manifest, error) {
	var m Manifest
	content, err := os.ReadFile(d.Dockerfile)
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("there is no Dockerfile %s; say where it is in the artifact's docker.dockerfile", d.Dockerfile)
	}
	if err != nil {
		return m, fmt.Errorf("reading the Dockerfile: %w", err)
	}
	if len(d.Platforms) == 0 {
		d.Platforms = []string{"linux/" + runtime.GOARCH}
	}
	m.setDocker(d)

	main, err := r.mainTree(d)
	if err != nil {
		return m, err
	}
	sources := map[string][]read{}
	for _, platform := range d.Platforms {
		reads, err := r.readDockerfile(ctx, d, content, platform)
		if errors.Is(err, errForeign) {
			reads.local = map[string][]read{"": {{}}}
			for name, at := range d.Contexts {
				if filepath.IsAbs(at) {
					reads.local[name] = []read{{}}
				}
			}
		} else if err != nil {
			return m, err
		}
		for name, more := range reads.local {
			sources[name] = append(sources[name], more...)
		}
		m.setReads(d, reads)
	}
	if len(d.Hooks) > 0 {
		sources[""] = []read{{}}
	}
	if err := r.readSources(ctx, &m, d, main, sources); err != nil {
		return m, err
	}
	return m, r.addDockerfile(ctx, &m, d, main)
}

func (m *Manifest) setDocker(d Docker) {
	m.Set("builder", "dockerfile")
	for name, value := range map[string]string{
		"target":    d.Target,
		"network":   d.Network,
		"platforms": strings.Join(slices.Sorted(slices.Values(d.Platforms)), ","),
		"add hosts": strings.Join(slices.Sorted(slices.Values(d.AddHosts)), ","),
		"secrets":   strings.Join(slices.Sorted(slices.Values(d.Secrets)), ","),
		"ssh":       d.SSH,
	} {
		if value != "" {
			m.Set(name, value)
		}
	}
	for name, value := range d.BuildArgs {
		m.SetHidden("build argument "+name, value)
	}
	for name, value := range d.Labels {
		m.SetHidden("label "+name, value)
	}
	for name, value := range d.Settings {
		m.SetHidden(name, value)
	}
	for alias, ref := range d.Required {
		_, digest := splitDigest(ref)
		if digest == "" {
			digest = ref
		}
		m.Set(requiredPrefix+alias, digest)
	}
	for name, at := range d.Contexts {
		if filepath.IsAbs(at) {
			m.Set("context "+name, "a folder")
		} else if _, digest := splitDigest(at); digest != "" {
			m.Set("context "+name, digest)
		} else {
			m.Set("context "+name, at)
		}
	}
	for i, command := range d.Hooks {
		m.SetHidden(fmt.Sprintf("build hook %d", i+1), command)
	}
}

func (m *Manifest) setReads(d Docker, reads reads) {
	for ref, digest := range reads.images {
		if !d.requires(ref, digest) {
			m.Set(baseImagePrefix+ref, digest)
		}
	}
	for url := range reads.remotes {
		m.Set("ADD "+url, "")
	}
}

// requires says whether an image is one of the required artifacts. Its digest is a field already, and its tag must not be one: it may name a
// commit, and its repository another registry on the next machine.
func (d Docker) requires(ref, digest string) bool {
	for _, r := range d.Required {
		if requiredRef, requiredDigest := splitDigest(r); requiredRef == ref && requiredDigest == digest {
			return true
		}
	}
	return false
}

func (r *Reader) mainTree(d Docker) (*tree, error) {
	info, err := os.Stat(d.Context)
	if err != nil {
		return nil, fmt.Errorf("the build context: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("the build context %s is not a folder", d.Context)
	}
	if len(d.Hooks) > 0 {
		t := r.tree(d.Context, "", nil)
		t.noGit = true
		return t, nil
	}
	ignore, err := r.readIgnore(d.Dockerfile+".dockerignore", filepath.Join(d.Context, ".dockerignore"))
	return r.tree(d.Context, "", ignore), err
}

// readDockerfile says what the Dockerfile reads on one platform; errForeign when that cannot be known.
func (r *Reader) readDockerfile(ctx context.Context, d Docker, content []byte, platform string) (reads, error) {
	args := make(map[string]string, len(d.BuildArgs)+len(d.Required))
	for name, value := range d.BuildArgs {
		args[name] = value
	}
	unpushed := map[string]bool{}
	for alias, ref := range d.Required {
		args[alias] = ref
		unpushed[ref] = !strings.Contains(ref, "@")
	}
	df := &dockerfile{
		name: d.Dockerfile, args: args, contexts: d.Contexts, unpushed: unpushed, platform: platform, base: r.base,
		reads: reads{local: map[string][]read{}, images: map[string]string{}, remotes: map[string]bool{}},
	}
	if err := df.parse(content); err != nil {
		return reads{}, err
	}
	err := df.follow(ctx, d.Target)
	return df.reads, err
}

func (r *Reader) readSources(ctx context.Context, m *Manifest, d Docker, main *tree, sources map[string][]read) error {
	// As many artifacts at once as there are slots; what is left of them serves walks inside of artifacts.
	if r.slots != nil {
		r.slots <- struct{}{}
		defer func() { <-r.slots }()
	}
	for name, reads := range sources {
		t := main
		if name != "" {
			root := d.Contexts[name]
			ignore, err := r.readIgnore(filepath.Join(root, ".dockerignore"))
			if err != nil {
				return err
			}
			t = r.tree(root, name+":", ignore)
		}
		only := make([]source, len(reads))
		for i, rd := range reads {
			only[i] = rd.source
		}
		files, missing, err := t.collect(ctx, only)
		if err != nil {
			return fmt.Errorf("reading the build context %s: %w", t.root, err)
		}
		if len(missing) > 0 {
			return &placedError{file: d.Dockerfile, line: reads[missing[0]].line, err: t.missing(reads[missing[0]])}
		}
		m.addFiles(files)
	}
	return nil
}

// missing words why a source cannot be read.
func (t *tree) missing(r read) error {
	rel := strings.TrimPrefix(path.Join("/", filepath.ToSlash(r.pattern)), "/")
	if _, err := os.Lstat(filepath.Join(t.root, filepath.FromSlash(rel))); err == nil {
		return fmt.Errorf("%s %s: %s is in the build context %s, but .dockerignore leaves it out", r.instruction, r.pattern, rel, t.root)
	}
	return fmt.Errorf("%s %s: there is no %s in the build context %s", r.instruction, r.pattern, rel, t.root)
}

// addDockerfile puts the Dockerfile itself in, which the build reads even where it is ignored or outside the context.
func (r *Reader) addDockerfile(ctx context.Context, m *Manifest, d Docker, main *tree) error {
	rel, err := filepath.Rel(d.Context, d.Dockerfile)
	if err != nil || !filepath.IsLocal(rel) {
		rel = "../" + filepath.Base(d.Dockerfile) // no path in the context begins like this
	}
	info, err := os.Stat(d.Dockerfile)
	if err != nil {
		return fmt.Errorf("reading the Dockerfile: %w", err)
	}
	sum, err := main.index.sum(ctx, d.Dockerfile, stateOf(info))
	if err != nil {
		return fmt.Errorf("reading the Dockerfile: %w", err)
	}
	m.addFiles([]File{{Path: filepath.ToSlash(rel), Kind: Regular, Sum: sum}})
	return nil
}
