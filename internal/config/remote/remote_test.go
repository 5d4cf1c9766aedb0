package remote_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
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
		err = fmt.Errorf("git %s: %s", args[0], strings.TrimSpace(string(e.Stderr)))
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
	if err == nil || !strings.HasPrefix(err.Error(), "skaffold.yaml:4:3: requires[0]: fetching "+repo+": git fetch: ") {
		t.Errorf("got %v", err)
	}
	fetcher.Policy = remote.Never
	_, _, err = loadOne("other")
	want := "skaffold.yaml:4:3: requires[0]: " + repo + " was not fetched before, and --sync-remote-cache=never forbids it now"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// bucket serves objects as Cloud Storage's JSON API does, one to a page.
func bucket(t *testing.T, objects map[string]string, order []string) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ok := strings.CutPrefix(r.URL.Path, "/storage/v1/b/bucket/o")
		switch {
		case !ok:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error": {"message": "The specified bucket does not exist."}}`)
		case name != "":
			fmt.Fprint(w, objects[name[1:]])
		default:
			glob, start := r.URL.Query().Get("matchGlob"), 0
			_, _ = fmt.Sscan(r.URL.Query().Get("pageToken"), &start)
			for i := start; i < len(order); i++ {
				folder, deep := strings.CutSuffix(glob, "**")
				hit, _ := path.Match(glob, order[i])
				if hit || deep && strings.HasPrefix(order[i], folder) {
					fmt.Fprintf(w, `{"items": [{"name": %q}], "nextPageToken": "%d"}`, order[i], i+1)
					return
				}
			}
			fmt.Fprint(w, `{}`)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestRequiredFromCloudStorage(t *testing.T) {
	s := bucket(t, map[string]string{"a/b/skaffold.yaml": "main", "a/b/k8s/x.yaml": "x", "a/c.yaml": "c"}, []string{"a/b/skaffold.yaml", "a/b/k8s/x.yaml", "a/c.yaml"})
	f := &remote.Fetcher{Dir: t.TempDir(), StorageURL: s.URL}
	for source, want := range map[string][]string{
		"gs://bucket/a/b":               {"b/k8s/x.yaml", "b/skaffold.yaml"},
		"gs://bucket/a/b/*":             {"k8s/x.yaml", "skaffold.yaml"},
		"gs://bucket/a/c.yaml":          {"c.yaml"},
		"gs://bucket/a/b/**":            {"skaffold.yaml", "x.yaml"},
		"gs://bucket/a/b/k8s/":          {"k8s/x.yaml"},
		"gs://bucket/a/b/skaffold.yaml": {"skaffold.yaml"},
	} {
		dir, err := f.CloudStorage(t.Context(), model.CloudStorageSource{Source: source})
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		var got []string
		err = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				rel, _ := filepath.Rel(dir, p)
				got = append(got, rel)
			}
			return err
		})
		if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: got %q, %v, want %q", source, got, err, want)
		}
	}
	_, err := f.CloudStorage(t.Context(), model.CloudStorageSource{Source: "gs://other/a"})
	if err == nil || err.Error() != "listing gs://other/a: 404 Not Found: The specified bucket does not exist." {
		t.Errorf("got %v", err)
	}
	_, err = f.CloudStorage(t.Context(), model.CloudStorageSource{Source: "bucket/a"})
	if err == nil || err.Error() != `"bucket/a" is not an address of Cloud Storage: write gs://bucket/path` {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsForbiddenWithoutCredentialsSaysHowToGetThem(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"error": {"message": "refused %s"}}`, r.Header.Get("Authorization"))
	}))
	t.Cleanup(s.Close)
	token := ""
	f := &remote.Fetcher{Dir: t.TempDir(), CloudBuildURL: s.URL, Token: func(context.Context) (string, error) { return token, nil }}
	_, _, err := f.CloudBuildRepo(t.Context(), model.CloudBuildRepoSource{Repo: "r"})
	if err == nil || !strings.HasSuffix(err.Error(), "403 Forbidden: refused ; no credentials were found: run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS") {
		t.Errorf("got %v", err)
	}
	token = "t"
	if _, _, err = f.CloudBuildRepo(t.Context(), model.CloudBuildRepoSource{Repo: "r"}); err == nil || !strings.HasSuffix(err.Error(), "refused Bearer t") {
		t.Errorf("got %v", err)
	}
}
