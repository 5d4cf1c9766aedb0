package remote_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/config/remote"
)

// bucket stands in for Cloud Storage: it serves objects by its JSON API, one to a page.
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

func TestRequiredFromCloudBuild(t *testing.T) {
	root := t.TempDir()
	repo := filepath.Join(root, "repo")
	if _, err := runGit(t.Context(), root, "init", "-q", repo); err != nil {
		t.Fatal(err)
	}
	head := commit(t, repo, "one")
	password := "for-an-hour"
	git := gitServer(t, root, "oauth2", password)
	// This stands in for Cloud Build: the two requests that lead to a connected repository.
	const name = "/v2/projects/p/locations/l/connections/c/repositories/r"
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch asked := r.Method + " " + r.URL.Path; {
		case r.Header.Get("Authorization") != "Bearer mine":
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"error": {"code": 403, "message": "refused %s"}}`, r.Header.Get("Authorization"))
		case asked == "GET "+name:
			fmt.Fprintf(w, `{"name": "r", "remoteUri": "%s/repo"}`, git.URL)
		case asked == "POST "+name+":accessReadToken":
			fmt.Fprintf(w, `{"token": %q}`, password)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error": {"code": 404, "message": "Requested entity was not found."}}`)
		}
	}))
	t.Cleanup(api.Close)
	token := "mine"
	f := &remote.Fetcher{Dir: filepath.Join(t.TempDir(), "cache"), RunGit: runGit, CloudBuildURL: api.URL, Token: func(context.Context) (string, error) { return token, nil }}
	source := model.CloudBuildRepoSource{ProjectID: "p", Region: "l", Connection: "c", Repo: "r"}

	dir, got, err := f.CloudBuildRepo(t.Context(), source)
	if err != nil || got != head {
		t.Fatalf("got %s, %v, want commit %s", got, err, head)
	}
	if _, err := os.Stat(filepath.Join(dir, "skaffold.yaml")); err != nil {
		t.Error(err)
	}
	second := commit(t, repo, "two")
	if _, got, err = f.CloudBuildRepo(t.Context(), source); err != nil || got != second {
		t.Errorf("again: got %s, %v, want commit %s", got, err, second)
	}
	if config, err := os.ReadFile(filepath.Join(dir, ".git", "config")); err != nil || strings.Contains(string(config), password) {
		t.Errorf("the token stays on disk: %s, %v", config, err)
	}

	source.Ref = "nosuch"
	if _, _, err = f.CloudBuildRepo(t.Context(), source); err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("a wrong ref: %v", err)
	}
	source.Repo = "other"
	want := "asking Cloud Build about repository other: 404 Not Found: Requested entity was not found."
	if _, _, err = f.CloudBuildRepo(t.Context(), source); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	token = ""
	_, _, err = f.CloudBuildRepo(t.Context(), source)
	if err == nil || !strings.HasSuffix(err.Error(), "403 Forbidden: refused ; if you may see it, run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS") {
		t.Errorf("got %v", err)
	}
}
