package remote_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/config/load"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/config/remote"
)

const module = "apiVersion: skaffold/v4beta14\nkind: Config\nmetadata:\n  name: module\nbuild:\n  artifacts:\n  - image: %s\n"

func runGit(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("git %s: %s", strings.Join(args, " "), strings.TrimSpace(string(e.Stderr)))
	}
	return out, err
}

// commit writes a module that builds image into repo and commits it.
func commit(t *testing.T, repo, image string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(repo, "skaffold.yaml"), fmt.Appendf(nil, module, image), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"add", "."}, {"commit", "-q", "-m", "x"}} {
		if _, err := runGit(t.Context(), repo, args...); err != nil {
			t.Fatal(err)
		}
	}
	head, err := runGit(t.Context(), repo, "rev-parse", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(head))
}

func TestRequiredFromGit(t *testing.T) {
	repo, dir := t.TempDir(), t.TempDir()
	if _, err := runGit(t.Context(), repo, "init", "-q"); err != nil {
		t.Fatal(err)
	}
	first := commit(t, repo, "one")
	second := commit(t, repo, "two")
	fetcher := &remote.Fetcher{Dir: filepath.Join(dir, "cache"), RunGit: runGit}
	loadOne := func(ref string) (string, string, error) {
		main := fmt.Sprintf("apiVersion: skaffold/v4beta14\nkind: Config\nrequires:\n- git: {repo: %q, ref: %q}\n", repo, ref)
		if err := os.WriteFile(filepath.Join(dir, "skaffold.yaml"), []byte(main), 0o644); err != nil {
			t.Fatal(err)
		}
		configs, err := load.Load(t.Context(), load.Options{Dir: dir, Remote: fetcher, ViewOnly: true})
		if err != nil {
			return "", "", err
		}
		return configs[0].Model.Build.Artifacts[0].Image, configs[0].Commit, nil
	}
	expect := func(ref, image, commit string) {
		t.Helper()
		if gotImage, gotCommit, err := loadOne(ref); err != nil || gotImage != image || gotCommit != commit {
			t.Errorf("ref %q: got %s at %s, %v; want %s at %s", ref, gotImage, gotCommit, err, image, commit)
		}
	}
	expect("", "two", second)
	expect(first, "one", first)
	third := commit(t, repo, "three")
	fetcher.Policy = remote.Missing
	expect("", "two", second)
	fetcher.Policy = remote.Always
	expect("", "three", third)
	expect("main", "three", third)

	_, _, err := loadOne("nosuch")
	if err == nil || !strings.HasPrefix(err.Error(), "skaffold.yaml:4:3: requires[0]: fetching "+repo+": git fetch ") {
		t.Errorf("got %v", err)
	}
	fetcher.Policy = remote.Never
	_, _, err = loadOne("other")
	want := "skaffold.yaml:4:3: requires[0]: " + repo + " was not fetched before, and --sync-remote-cache=never forbids it now"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// gitServer serves repositories over HTTPS by git's own server, to those who give a name and a password.
func gitServer(t *testing.T, root, user, password string) *httptest.Server {
	t.Helper()
	path, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"), Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1"}}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, ok := r.BasicAuth(); !ok || u != user || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	t.Setenv("GIT_SSL_NO_VERIFY", "true")
	t.Setenv("GIT_TERMINAL_PROMPT", "0")
	t.Setenv("GIT_CONFIG_COUNT", "1") // the test is root, its repositories may be another's
	t.Setenv("GIT_CONFIG_KEY_0", "safe.directory")
	t.Setenv("GIT_CONFIG_VALUE_0", "*")
	return s
}

func TestWhatIsWrongWithARepositoryIsSaid(t *testing.T) {
	root := t.TempDir()
	repo := filepath.Join(root, "repo")
	if _, err := runGit(t.Context(), root, "init", "-q", repo); err != nil {
		t.Fatal(err)
	}
	commit(t, repo, "one")
	if _, err := runGit(t.Context(), repo, "branch", "gone"); err != nil {
		t.Fatal(err)
	}
	server := gitServer(t, root, "me", "secret")
	f := &remote.Fetcher{Dir: filepath.Join(t.TempDir(), "cache"), RunGit: runGit}

	_, _, err := f.Git(t.Context(), model.GitSource{Repo: server.URL + "/repo", Ref: "main"})
	if err == nil || !strings.Contains(err.Error(), "could not read Username") {
		t.Errorf("a private repository: %v", err)
	}
	address := strings.Replace(server.URL, "://", "://me:secret@", 1) + "/repo"
	dir, _, err := f.Git(t.Context(), model.GitSource{Repo: address, Ref: "gone"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := runGit(t.Context(), repo, "branch", "-D", "gone"); err != nil {
		t.Fatal(err)
	}
	_, _, err = f.Git(t.Context(), model.GitSource{Repo: address, Ref: "gone"})
	if err == nil || !strings.Contains(err.Error(), "couldn't find remote ref gone") || strings.Contains(err.Error(), "secret") {
		t.Errorf("a branch that is gone: %v", err)
	}
	off := false
	if again, _, err := f.Git(t.Context(), model.GitSource{Repo: address, Ref: "gone", Sync: &off}); err != nil || again != dir {
		t.Errorf("a branch that is gone, without sync: %q, %v", again, err)
	}
	_, _, err = f.Git(t.Context(), model.GitSource{Repo: filepath.Join(root, "nosuch"), Ref: "main"})
	if err == nil || !strings.Contains(err.Error(), "does not appear to be a git repository") {
		t.Errorf("a repository that is not there: %v", err)
	}
	f.RunGit = func(ctx context.Context, _ string, _ ...string) ([]byte, error) {
		return exec.CommandContext(ctx, "no-such-git").Output()
	}
	_, _, err = f.Git(t.Context(), model.GitSource{Repo: repo, Ref: "main"})
	if err == nil || !strings.Contains(err.Error(), "no git command here: install git") {
		t.Errorf("no git: %v", err)
	}
}
