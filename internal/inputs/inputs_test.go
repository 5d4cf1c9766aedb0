package inputs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// project is a generated artifact: settings and a tree, on disk nowhere yet.
type project struct {
	tree map[string]string
	docker
}

// docker are the settings without paths.
type docker = Docker

// generate makes a project with a Dockerfile that reads some of a random tree.
func generate(rnd *rand.Rand, depth int) project {
	p := project{tree: map[string]string{}}
	names := []string{"a", "b", "c.go", "d.txt", "e", "f.md", "src", "lib"}
	var fill func(dir string, depth int)
	fill = func(dir string, depth int) {
		for _, n := range names {
			switch at := dir + n; {
			case rnd.IntN(3) == 0:
			case depth > 0 && rnd.IntN(3) == 0:
				fill(at+"/", depth-1)
			case rnd.IntN(8) == 0:
				p.tree[at] = "-> " + names[rnd.IntN(len(names))]
			case rnd.IntN(5) == 0:
				p.tree[at+"*"] = fmt.Sprint(rnd.IntN(3))
			default:
				p.tree[at] = strings.Repeat("x", rnd.IntN(3)) + fmt.Sprint(rnd.IntN(1000))
			}
		}
	}
	fill("", depth)
	p.tree["always/here.txt"] = "1"
	p.tree["Dockerfile"] = "ARG V\nFROM alpine:$V AS one\nCOPY . /x\nFROM one AS two\nENV A=1\n"
	if rnd.IntN(2) == 0 {
		p.tree[".dockerignore"] = []string{"**/*.md\n", "src\n!src/a\n", "lib\n**/e\n"}[rnd.IntN(3)]
	}
	p.docker = Docker{
		Target: "two", BuildArgs: map[string]string{"V": "3", "W": "1"}, Platforms: []string{"linux/amd64"},
		Required: map[string]string{"BASE": "reg/base:v1@sha256:" + strings.Repeat("1", 64)}, Secrets: []string{"s"}, Labels: map[string]string{"l": "1"},
	}
	return p
}

// manifest puts the project in a new folder and reads it with a new index.
func (p project) manifest(t testing.TB) Manifest {
	t.Helper()
	root := files(t, t.TempDir(), p.tree)
	return p.at(t, newReader(t, pinned), root)
}

func (p project) at(t testing.TB, r *Reader, root string) Manifest {
	t.Helper()
	d := p.docker
	d.Context, d.Dockerfile = root, filepath.Join(root, "Dockerfile")
	m, err := r.Docker(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func pinned(_ context.Context, ref, _ string) (BaseImage, error) {
	return BaseImage{Digest: "sha256:of-" + ref}, nil
}

func TestEqualInputsGiveEqualKeys(t *testing.T) {
	for seed := range uint64(10) {
		p := generate(rand.New(rand.NewPCG(seed, 1)), 2)
		one, two := p.manifest(t), p.manifest(t)
		if one.Key() != two.Key() || !reflect.DeepEqual(one, two) {
			t.Errorf("seed %d: %v", seed, Why(one, two))
		}
		// Other times and other permission bits of the same files.
		root := files(t, t.TempDir(), p.tree)
		err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			long := time.Now().Add(-time.Hour * time.Duration(len(path)))
			info, err := e.Info()
			if err == nil {
				err = os.Chmod(path, info.Mode()&0o700|0o060)
			}
			if err == nil && info.Mode()&0o100 == 0 {
				err = os.Chmod(path, 0o600)
			}
			if err != nil {
				return err
			}
			return os.Chtimes(path, long, long)
		})
		if err != nil {
			t.Fatal(err)
		}
		if three := p.at(t, newReader(t, pinned), root); three.Key() != one.Key() {
			t.Errorf("seed %d: file times or permissions count: %v", seed, Why(one, three))
		}
	}
}

func TestAWalkInParallelEqualsOneInOrder(t *testing.T) {
	for seed := range uint64(8) {
		p := generate(rand.New(rand.NewPCG(seed, 2)), 3)
		root := files(t, t.TempDir(), p.tree)
		ordered, parallel := newReader(t, pinned), newReader(t, pinned)
		ordered.slots, parallel.slots = nil, make(chan struct{}, 64)
		if one, two := p.at(t, ordered, root), p.at(t, parallel, root); !reflect.DeepEqual(one, two) {
			t.Errorf("seed %d: %v", seed, Why(one, two))
		}
	}
}

func TestAnyChangeGivesAnotherKey(t *testing.T) {
	at := func(p project, name string) project { // a copy whose tree may be changed
		tree := map[string]string{}
		for k, v := range p.tree {
			if k != name {
				tree[k] = v
			}
		}
		p.tree = tree
		return p
	}
	for seed := range uint64(3) {
		p := generate(rand.New(rand.NewPCG(seed, 3)), 0)
		r, root := newReader(t, pinned), files(t, t.TempDir(), p.tree)
		before := p.at(t, r, root)
		keys := map[Key]string{before.Key(): "the original"}
		check := func(what string, m Manifest, says string) {
			t.Helper()
			if same, found := keys[m.Key()]; found {
				t.Errorf("seed %d: %s gives the key of %s", seed, what, same)
			}
			keys[m.Key()] = what
			why := fmt.Sprint(Why(before, m))
			if !strings.Contains(why, says) {
				t.Errorf("seed %d: %s says %s, not %q", seed, what, why, says)
			}
			if fmt.Sprint(Why(m, m)) != "[]" {
				t.Errorf("seed %d: %s differs from itself", seed, what)
			}
		}
		for _, f := range before.Files {
			if f.Path == ".dockerignore" {
				continue // which changes what else is read
			}
			name := f.Path
			if f.Kind == Executable {
				name += "*"
			}
			content := p.tree[name]
			c := at(p, name)
			if f.Path != "Dockerfile" {
				check("removing "+f.Path, c.manifest(t), f.Path+" removed")
				c = at(p, name)
				c.tree[f.Path+".renamed.go"] = content
				check("renaming "+f.Path, c.manifest(t), f.Path+".renamed.go added")
			}
			c = at(p, name)
			c.tree[name] = content + "#2"
			check("changing "+f.Path, c.manifest(t), f.Path+" changed")
			switch f.Kind {
			case Regular:
				if f.Path != "Dockerfile" {
					c = at(p, name)
					c.tree[name+"*"] = content
					check("making executable "+f.Path, c.manifest(t), f.Path+" (now executable) changed")
				}
			case Executable:
				c = at(p, name)
				c.tree[f.Path] = content
				check("making plain "+f.Path, c.manifest(t), f.Path+" (now file) changed")
			}
		}
		for what, change := range map[string]func(*docker){
			"build argument W changed":          func(d *docker) { d.BuildArgs = map[string]string{"V": "3", "W": "2"} },
			"build argument W removed":          func(d *docker) { d.BuildArgs = map[string]string{"V": "3"} },
			"build argument X added":            func(d *docker) { d.BuildArgs = map[string]string{"V": "3", "W": "1", "X": ""} },
			"base image from alpine:3 to":       func(d *docker) { d.BuildArgs = map[string]string{"V": "4", "W": "1"} },
			`target from "two" to "one"`:        func(d *docker) { d.Target = "one" },
			"platforms from":                    func(d *docker) { d.Platforms = []string{"linux/arm64"} },
			"platforms from \"linux/amd64\" to": func(d *docker) { d.Platforms = []string{"linux/amd64", "linux/arm64"} },
			"network added":                     func(d *docker) { d.Network = "host" },
			"add hosts added":                   func(d *docker) { d.AddHosts = []string{"a:1.2.3.4"} },
			"secrets from":                      func(d *docker) { d.Secrets = []string{"s", "t"} },
			"ssh added":                         func(d *docker) { d.SSH = "default" },
			"label l changed":                   func(d *docker) { d.Labels = map[string]string{"l": "2"} },
			"shm size added":                    func(d *docker) { d.Settings = map[string]string{"shm size": "64m"} },
			"build hook 1 added":                func(d *docker) { d.Hooks = []string{"make"} },
			"required artifact BASE from sha256:111111111111 to sha256:222222222222": func(d *docker) {
				d.Required = map[string]string{"BASE": "reg/base:v2@sha256:" + strings.Repeat("2", 64)}
			},
		} {
			c := p
			change(&c.docker)
			check(what, c.at(t, r, root), what)
		}
	}
}

// A required artifact counts by its digest alone: its tag may name a commit, its repository another registry on the next machine.
func TestRequiredArtifactsCountByDigest(t *testing.T) {
	p := project{tree: map[string]string{"Dockerfile": "ARG BASE\nFROM $BASE\n"}}
	ref := "@sha256:" + strings.Repeat("1", 64)
	p.Required = map[string]string{"BASE": "localhost:5000/base:v1" + ref}
	one := p.manifest(t)
	p.Required = map[string]string{"BASE": "gcr.io/x/base:v2-dirty" + ref}
	if two := p.manifest(t); one.Key() != two.Key() {
		t.Error(Why(one, two))
	}
}

func TestBaseImageThatMoved(t *testing.T) {
	digest := "sha256:" + strings.Repeat("1", 64)
	r := newReader(t, func(context.Context, string, string) (BaseImage, error) { return BaseImage{Digest: digest}, nil })
	p := project{tree: map[string]string{"Dockerfile": "FROM alpine:3\n"}}
	root := files(t, t.TempDir(), p.tree)
	one := p.at(t, r, root)
	digest = "sha256:" + strings.Repeat("2", 64)
	two := p.at(t, r, root)
	if got, want := fmt.Sprint(Why(one, two)), "[base image alpine:3 from sha256:111111111111 to sha256:222222222222]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWhyNamesSomeFilesAndCountsTheRest(t *testing.T) {
	p := project{tree: map[string]string{"Dockerfile": "FROM scratch\nCOPY . /\n", "old": ""}}
	before := p.manifest(t)
	delete(p.tree, "old")
	for i := range 7 {
		p.tree[fmt.Sprintf("new%d.go", i)] = ""
	}
	if got, want := fmt.Sprint(Why(before, p.manifest(t))), "[new0.go, new1.go, new2.go and 4 more added old removed]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSecretsAreNotInManifests(t *testing.T) {
	p := project{tree: map[string]string{"Dockerfile": "FROM scratch\n"}}
	p.BuildArgs = map[string]string{"TOKEN": "hunter2"}
	p.Labels = map[string]string{"l": "hunter2"}
	p.Hooks = []string{"login hunter2"}
	p.Settings = map[string]string{"flag": "hunter2"}
	if m := fmt.Sprintf("%+v", p.manifest(t)); strings.Contains(m, "hunter2") {
		t.Error(m)
	}
}

// TestIgnoredFoldersAreNotEntered makes them unreadable, which only tells for others than root, and so counts the folders that are read.
func TestIgnoredFoldersAreNotEntered(t *testing.T) {
	for _, tt := range []struct {
		patterns []string
		dir      string
		enter    bool
	}{
		{[]string{"node_modules"}, "node_modules", false},
		{[]string{"node_modules", "!src"}, "node_modules", false},
		{[]string{"node_modules", "!node_modules/keep"}, "node_modules", true},
		{[]string{"node_modules", "!node_modules/keep"}, "node_modules/other", false},
		{[]string{"node_modules", "!node_modules/keep"}, "node_modules/keep/deep", true},
		{[]string{"a", "!*/keep"}, "a", true},
		{[]string{"a", "!*/keep"}, "a/b", false},
		{[]string{"a", "!**/keep"}, "a/b/c", true},
		{[]string{"*", "!a/b/*.go"}, "a/b", true},
		{[]string{"*", "!a/b/*.go"}, "b", false},
	} {
		g, err := newIgnore(tt.patterns)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.exceptionBelow(tt.dir); got != tt.enter {
			t.Errorf("%q: %s entered: %v", tt.patterns, tt.dir, got)
		}
	}
	root := files(t, t.TempDir(), map[string]string{"Dockerfile": "FROM scratch\nCOPY . /\n", ".dockerignore": "ignored\n", "ignored/deep/x": ""})
	// A folder that is gone between the look at its parent and the walk would be an error, if it were entered.
	if err := os.Chmod(filepath.Join(root, "ignored"), 0); err != nil {
		t.Fatal(err)
	}
	if m := (project{}).at(t, newReader(t, nil), root); paths(m) != ".dockerignore Dockerfile" {
		t.Error(paths(m))
	}
}

// BenchmarkNothingChanged is 100 artifacts of 50 files in one workspace, seen a second time by a new process.
func BenchmarkNothingChanged(b *testing.B) {
	root, cache := b.TempDir(), b.TempDir()
	for i := range 100 {
		tree := map[string]string{"Dockerfile": "FROM golang:1.26 AS build\nARG V\nCOPY go.mod ./\nCOPY . .\nRUN go build -o /app .\nFROM scratch\nCOPY --from=build /app /\n", ".dockerignore": ".git\nnode_modules\n**/*.md\n", "go.mod": "module x"}
		for j := range 47 {
			tree[fmt.Sprintf("pkg%d/file%d.go", j%5, j)] = fmt.Sprintf("package p // %d %d", i, j)
		}
		files(b, filepath.Join(root, fmt.Sprint("app", i)), tree)
	}
	later := func() time.Time { return time.Now().Add(time.Hour) }
	look := func() {
		index := OpenIndex(cache, root, later, noWarnings(b))
		r := NewReader(Options{Index: index})
		var g errgroup.Group
		for i := range 100 {
			g.Go(func() error {
				app := filepath.Join(root, fmt.Sprint("app", i))
				m, err := r.Docker(context.Background(), Docker{Context: app, Dockerfile: filepath.Join(app, "Dockerfile")})
				if err == nil && len(m.Files) != 50 {
					err = fmt.Errorf("%d files", len(m.Files))
				}
				m.Key()
				return err
			})
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		if err := index.Save(); err != nil {
			b.Fatal(err)
		}
	}
	look()
	for b.Loop() {
		look()
	}
}
