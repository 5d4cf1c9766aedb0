package tag

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// repository is a real git repository in a folder of the test.
type repository struct {
	t      *testing.T
	folder string
}

var gitEnv = []string{
	"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C",
	"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-01-01T00:00:00Z",
	"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=2026-01-01T00:00:00Z",
}

func newRepository(t *testing.T) repository {
	t.Helper()
	r := repository{t: t, folder: t.TempDir()}
	r.git("init", "-q", "-b", "main")
	r.write("a/main.go", "a")
	r.write("b/main.go", "b")
	r.commit("first")
	return r
}

func (r repository) git(args ...string) string {
	r.t.Helper()
	out, err := Exec(gitEnv)(r.t.Context(), r.folder, "git", append([]string{"-c", "protocol.file.allow=always"}, args...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func (r repository) write(name, content string) {
	r.t.Helper()
	at := filepath.Join(r.folder, name)
	err := os.MkdirAll(filepath.Dir(at), 0o755)
	if err == nil {
		err = os.WriteFile(at, []byte(content), 0o644)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r repository) commit(message string) {
	r.t.Helper()
	r.git("add", "-A")
	r.git("commit", "-q", "-m", message)
}

func (r repository) at(folder string) string { return filepath.Join(r.folder, folder) }

// tagsOf makes the tags of workspaces with one Git, and counts its calls of git.
func tagsOf(t *testing.T, policy GitCommit, workspaces ...string) (tags []string, calls int) {
	t.Helper()
	var mu sync.Mutex
	run := Exec(gitEnv)
	policy.Git = NewGit(func(ctx context.Context, folder, name string, args ...string) ([]byte, error) {
		mu.Lock()
		calls++
		mu.Unlock()
		return run(ctx, folder, name, args...)
	}, workspaces)
	var jobs []Job
	for _, w := range workspaces {
		jobs = append(jobs, Job{Artifact: Artifact{Image: "web", Workspace: w}, Policy: policy})
	}
	made, err := Generate(t.Context(), jobs)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range made {
		tags = append(tags, strings.TrimPrefix(m.Ref, "web:"))
	}
	return tags, calls
}

func expect(t *testing.T, policy GitCommit, workspace, want string) {
	t.Helper()
	if got, _ := tagsOf(t, policy, workspace); got[0] != want {
		t.Errorf("%+v in %s: got %s, want %s", policy, workspace, got[0], want)
	}
}

func TestGitCommitVariants(t *testing.T) {
	r := newRepository(t)
	short, full := r.git("rev-parse", "--short", "HEAD"), r.git("rev-parse", "HEAD")
	for _, tt := range []struct{ variant, folder, want string }{
		{"", "", short}, {"Tags", "a", short}, {"tags", "a", short},
		{"CommitSha", "a", full}, {"AbbrevCommitSha", "", short},
		{"TreeSha", "", r.git("rev-parse", "HEAD:./")}, {"AbbrevTreeSha", "", r.git("rev-parse", "--short", "HEAD:./")},
		{"TreeSha", "a", r.git("rev-parse", "HEAD:a/")}, {"AbbrevTreeSha", "b", r.git("rev-parse", "--short", "HEAD:b/")},
		{"Branches", "b", "main"}, {"Nonsense", "", "latest"},
	} {
		expect(t, GitCommit{Variant: tt.variant}, r.at(tt.folder), tt.want)
	}
	r.git("tag", "v1")
	expect(t, GitCommit{}, r.at("a"), "v1")
	r.git("tag", "-a", "-m", "x", "release/v2")
	expect(t, GitCommit{Prefix: "p-"}, r.at("a"), "p-release_v2")
	r.write("a/more", "")
	r.commit("second")
	expect(t, GitCommit{}, r.at("b"), "release_v2-1-g"+r.git("rev-parse", "--short", "HEAD"))
	r.git("checkout", "-q", "--detach")
	expect(t, GitCommit{}, r.at("b"), "release_v2-1-g"+r.git("rev-parse", "--short", "HEAD"))
	expect(t, GitCommit{Variant: Branches}, r.at("b"), "latest")
	expect(t, GitCommit{Variant: Branches, Prefix: "p"}, r.at("b"), "p")
}

func TestOnlyTheOwnFolderIsDirty(t *testing.T) {
	r := newRepository(t)
	r.write("a b/ö/main.go", "x")
	r.write(".gitignore", "*.log\n/ignored/\n")
	r.commit("more")
	short := r.git("rev-parse", "--short", "HEAD")
	folders := []string{r.at("a"), r.at("b"), r.at("a b/ö")}
	check := func(why string, want ...string) {
		t.Helper()
		got, calls := tagsOf(t, GitCommit{}, folders...)
		for i := range want {
			want[i] = short + want[i]
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: got %v, want %v", why, got, want)
		}
		if calls != 2 {
			t.Errorf("%s: git was called %d times", why, calls)
		}
	}
	check("clean", "", "", "")
	r.write("a/x.log", "")
	r.write("elsewhere/x", "")
	check("ignored files and other folders", "", "", "")
	r.write("a b/ö/new/deep/file", "x")
	check("a new folder", "", "", "-dirty")
	r.write("b/main.go", "changed")
	check("a changed file", "", "-dirty", "-dirty")
	r.git("checkout", "-q", "--", ".")
	r.git("clean", "-qfd")
	r.git("mv", "a/main.go", "b/moved.go")
	check("a file that moved", "-dirty", "-dirty", "")
	if got, _ := tagsOf(t, GitCommit{}, folders[0], r.folder); got[0] != short+"-dirty" || got[1] != short+"-dirty" {
		t.Errorf("together with the root: %v", got)
	}
	if got, calls := tagsOf(t, GitCommit{IgnoreChanges: true}, folders...); got[0] != short || calls != 1 {
		t.Errorf("with ignoreChanges: %v in %d calls", got, calls)
	}
}

// TestManyFolders are more than git is asked about by name.
func TestManyFolders(t *testing.T) {
	r := newRepository(t)
	var folders []string
	for i := range 2 * fewPathspecs {
		name := fmt.Sprintf("services/s%d", i)
		r.write(name+"/main.go", "x")
		folders = append(folders, r.at(name))
	}
	r.commit("services")
	short := r.git("rev-parse", "--short", "HEAD")
	r.write("a/main.go", "changed") // of nobody's
	r.write("services/s3/main.go", "changed")
	r.write("services/s10/new/file", "x")
	check := func(folders ...string) {
		t.Helper()
		got, calls := tagsOf(t, GitCommit{}, folders...)
		for i, folder := range folders {
			want := short
			if name := filepath.Base(folder); name == "s3" || name == "s10" || name == "new" {
				want += "-dirty"
			}
			if got[i] != want {
				t.Errorf("%s: %s, want %s", folder, got[i], want)
			}
		}
		if calls != 2 {
			t.Errorf("git was called %d times", calls)
		}
	}
	check(folders...)
	check(append(folders, r.at("b"))...) // nothing in common but the root
	check(append(folders, r.at("services/s10/new"))...)
}

func TestUncommonRepositories(t *testing.T) {
	r := newRepository(t)
	first := r.git("rev-parse", "--short", "HEAD")

	untracked := r.at("new/one")
	r.write("new/one/x", "")
	r.write("new/two/x", "")
	expect(t, GitCommit{}, untracked, first+"-dirty")
	expect(t, GitCommit{Variant: TreeSha}, untracked, "latest")
	r.git("clean", "-qfd")

	worktree := filepath.Join(t.TempDir(), "tree")
	r.git("worktree", "add", "-q", worktree, "-b", "side")
	expect(t, GitCommit{Variant: Branches}, filepath.Join(worktree, "a"), "side")
	expect(t, GitCommit{}, filepath.Join(worktree, "a"), first)

	outer := newRepository(t)
	outer.git("submodule", "--quiet", "add", r.folder, "sub")
	outer.commit("with a submodule")
	expect(t, GitCommit{}, outer.at("sub/a"), first)
	expect(t, GitCommit{}, outer.at("a"), outer.git("rev-parse", "--short", "HEAD"))
	outer.write("sub/a/main.go", "changed")
	expect(t, GitCommit{}, outer.at("sub/a"), first+"-dirty")
	expect(t, GitCommit{}, outer.at("a"), outer.git("rev-parse", "--short", "HEAD"))
	expect(t, GitCommit{}, outer.folder, outer.git("rev-parse", "--short", "HEAD")+"-dirty")

	r.write("a/second", "")
	r.commit("second")
	shallow := repository{t: t, folder: filepath.Join(t.TempDir(), "shallow")}
	r.git("clone", "-q", "--depth", "1", "file://"+r.folder, shallow.folder)
	expect(t, GitCommit{}, shallow.at("a"), r.git("rev-parse", "--short", "HEAD"))

	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(r.folder, link); err != nil {
		t.Fatal(err)
	}
	r.write("a/third", "")
	expect(t, GitCommit{}, filepath.Join(link, "a"), r.git("rev-parse", "--short", "HEAD")+"-dirty")
	expect(t, GitCommit{}, filepath.Join(link, "b"), r.git("rev-parse", "--short", "HEAD"))

	expect(t, GitCommit{}, t.TempDir(), "latest")
	empty := repository{t: t, folder: t.TempDir()}
	empty.git("init", "-q")
	expect(t, GitCommit{}, empty.folder, "latest")
}

func TestNoGitInstalled(t *testing.T) {
	r := newRepository(t)
	policy := GitCommit{Git: NewGit(func(ctx context.Context, folder, _ string, args ...string) ([]byte, error) {
		return Exec(nil)(ctx, folder, "no-such-program", args...)
	}, []string{r.folder})}
	made, err := Generate(t.Context(), []Job{{Artifact: Artifact{Image: "web", Workspace: r.folder}, Policy: policy}})
	if err != nil || made[0].Ref != "web:latest" || made[0].Fallback == nil || !strings.Contains(made[0].Fallback.Error(), "no-such-program") {
		t.Errorf("got %+v, %v", made, err)
	}
}
