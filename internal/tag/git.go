package tag

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Git asks the real git about the repositories that workspaces are in: each question once per repository, for all workspaces in it. It is safe for
// concurrent use, and what it knows is of the moment it asked, so there is one per run.
type Git struct {
	run Runner

	workspaces map[string]place  // by workspace as given
	repos      map[string]*repo  // by root
	roots      map[string]string // by folder

	mu      sync.Mutex
	answers map[string]func() (string, error)
}

// place is where a workspace is.
type place struct {
	repo *repo
	path string // slashes, relative to the repository's root; "." is the root
	err  error
}

type repo struct {
	root  string
	paths []string // of all its workspaces
}

// NewGit returns a Git for the workspaces (absolute folders) of all artifacts. Only the folders above them are looked at yet.
func NewGit(run Runner, workspaces []string) *Git {
	g := &Git{run: run, workspaces: map[string]place{}, repos: map[string]*repo{}, roots: map[string]string{}, answers: map[string]func() (string, error){}}
	for _, w := range workspaces {
		if _, known := g.workspaces[w]; !known {
			g.workspaces[w] = g.locate(w)
		}
	}
	return g
}

func (g *Git) locate(workspace string) place {
	folder, err := filepath.EvalSymlinks(workspace)
	if err != nil {
		return place{err: fmt.Errorf("looking for the git repository of %s: %w", workspace, err)}
	}
	root := g.rootOf(folder)
	if root == "" {
		return place{err: fmt.Errorf("%s is in no git repository", workspace)}
	}
	r := g.repos[root]
	if r == nil {
		r = &repo{root: root}
		g.repos[root] = r
	}
	rel, err := filepath.Rel(root, folder)
	rel = filepath.ToSlash(rel)
	if !slices.Contains(r.paths, rel) {
		r.paths = append(r.paths, rel)
	}
	return place{repo: r, path: rel, err: err}
}

// rootOf is the root of the work tree that a folder is in, empty if it is in none. Workspaces have most of the folders above them in common.
func (g *Git) rootOf(folder string) string {
	root, known := g.roots[folder]
	if !known {
		if isRepository(folder) {
			root = folder
		} else if parent := filepath.Dir(folder); parent != folder {
			root = g.rootOf(parent)
		}
		g.roots[folder] = root
	}
	return root
}

// isRepository says whether a folder is the root of a work tree. In worktrees and submodules, .git is a file.
func isRepository(folder string) bool {
	info, err := os.Stat(filepath.Join(folder, ".git"))
	if err != nil {
		return false
	}
	if info.IsDir() {
		_, err = os.Lstat(filepath.Join(folder, ".git", "HEAD"))
	}
	return err == nil
}

func (g *Git) place(workspace string) (place, error) {
	p, ok := g.workspaces[workspace]
	if !ok {
		return p, fmt.Errorf("%s is not one of the workspaces that git was to be asked about", workspace)
	}
	return p, p.err
}

// ask runs git in the root of a workspace's repository, once for the same arguments, and returns what it prints.
func (g *Git) ask(ctx context.Context, workspace string, args ...string) (string, error) {
	p, err := g.place(workspace)
	if err != nil {
		return "", err
	}
	return g.once(p.repo, strings.Join(args, " "), func() (string, error) {
		out, err := g.run(ctx, p.repo.root, "git", args...)
		return strings.TrimSpace(string(out)), err
	})
}

func (g *Git) once(r *repo, question string, answer func() (string, error)) (string, error) {
	g.mu.Lock()
	key := r.root + "\x00" + question
	f, asked := g.answers[key]
	if !asked {
		f = sync.OnceValues(answer)
		g.answers[key] = f
	}
	g.mu.Unlock()
	return f()
}

// changed says whether anything in a workspace differs from the commit, or is new.
func (g *Git) changed(ctx context.Context, workspace string) (bool, error) {
	p, err := g.place(workspace)
	if err != nil {
		return false, err
	}
	out, err := g.once(p.repo, "status", func() (string, error) {
		// Without renames each entry has one path, and a file that moved from one workspace to another has changed both.
		args := []string{"--literal-pathspecs", "status", "--porcelain", "-z", "--no-renames"}
		args = append(append(args, "--"), pathspecs(p.repo.paths)...)
		out, err := g.run(ctx, p.repo.root, "git", args...)
		return string(out), err
	})
	if err != nil {
		return false, err
	}
	for entry := range strings.SplitSeq(out, "\x00") {
		const status = len("XY ")
		if len(entry) > status && touches(entry[status:], p.path) {
			return true, nil
		}
	}
	return false, nil
}

// fewPathspecs is up to how many paths git is asked about by name. It compares every file with every path: with a hundred of them its status takes
// twice the time, and that of the folder around them has the same answers in it.
const fewPathspecs = 8

// pathspecs are the paths that git has to look at for what is asked of some: themselves, or the folder that they are all in.
func pathspecs(paths []string) []string {
	if len(paths) <= fewPathspecs {
		return paths
	}
	common := strings.Split(paths[0], "/")
	for _, p := range paths[1:] {
		parts := strings.Split(p, "/")
		same := 0
		for same < min(len(common), len(parts)) && common[same] == parts[same] {
			same++
		}
		common = common[:same]
	}
	return []string{cmp.Or(strings.Join(common, "/"), ".")}
}

// touches says whether a changed path is in a workspace. One that ends in a slash is a new folder, named for all that is in it.
func touches(changed, workspace string) bool {
	if workspace == "." {
		return true
	}
	return strings.HasPrefix(changed, workspace+"/") || changed == workspace ||
		strings.HasSuffix(changed, "/") && strings.HasPrefix(workspace+"/", changed)
}

// tree is the object that a workspace is in the commit.
func (g *Git) tree(ctx context.Context, workspace string, abbreviated bool) (string, error) {
	p, err := g.place(workspace)
	if err != nil {
		return "", err
	}
	if p.path == "." {
		if abbreviated {
			return g.ask(ctx, workspace, "rev-parse", "--short", "HEAD^{tree}")
		}
		return g.ask(ctx, workspace, "rev-parse", "HEAD^{tree}")
	}
	args := []string{"--literal-pathspecs", "ls-tree", "-z", "--full-tree"}
	if abbreviated {
		args = append(args, "--abbrev")
	}
	args = append(args, "HEAD", "--")
	out, err := g.once(p.repo, strings.Join(args, " "), func() (string, error) {
		paths := slices.DeleteFunc(slices.Clone(p.repo.paths), func(p string) bool { return p == "." })
		out, err := g.run(ctx, p.repo.root, "git", append(args, paths...)...)
		return string(out), err
	})
	if err != nil {
		return "", err
	}
	for line := range strings.SplitSeq(out, "\x00") {
		// "040000 tree <object>\t<path>"
		about, path, _ := strings.Cut(line, "\t")
		if parts := strings.Fields(about); path == p.path && len(parts) == 3 && parts[1] == "tree" {
			return parts[2], nil
		}
	}
	return "", errors.New(p.path + " is not in the commit")
}
