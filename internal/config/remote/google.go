package remote

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/davit-dev/davit/internal/config/model"
)

// CloudStorage copies the objects that source names, and gives the folder they are in. A name may hold the
// wildcards of Cloud Storage; folders are copied with all below them, and below their own name.
func (f *Fetcher) CloudStorage(ctx context.Context, source model.CloudStorageSource) (string, error) {
	bucket, pattern, err := parseBucket(source.Source)
	if err != nil {
		return "", err
	}
	dir, exists, err := f.place(source.Source)
	if err != nil || exists && f.keep(source.Sync) {
		return dir, err
	}
	files, err := f.objects(ctx, bucket, pattern)
	if err != nil {
		return "", fmt.Errorf("listing %s: %w", source.Source, err)
	}
	copyAll := func(into string) error {
		for object, name := range files {
			if err := f.download(ctx, bucket, object, filepath.Join(into, filepath.FromSlash(name))); err != nil {
				return fmt.Errorf("copying gs://%s/%s: %w", bucket, object, err)
			}
		}
		return nil
	}
	if exists {
		return dir, copyAll(dir)
	}
	return dir, f.fresh(dir, copyAll)
}

func parseBucket(source string) (bucket, pattern string, err error) {
	rest, found := strings.CutPrefix(source, "gs://")
	bucket, pattern, _ = strings.Cut(rest, "/")
	if !found || bucket == "" {
		return "", "", fmt.Errorf("%q is not an address of Cloud Storage: write gs://bucket/path", source)
	}
	return bucket, strings.TrimLeft(pattern, "/"), nil
}

// objects lists what a pattern means: the objects that match it, under their own names, and all below the
// folders that match it, under the folder's name. A pattern with ** gives no folders.
func (f *Fetcher) objects(ctx context.Context, bucket, pattern string) (map[string]string, error) {
	files := map[string]string{}
	add := func(glob string, name func(object string) string) error {
		objects, err := f.list(ctx, bucket, glob)
		for _, o := range objects {
			if n := name(o); !strings.HasSuffix(o, "/") && filepath.IsLocal(filepath.FromSlash(n)) {
				files[o] = n
			}
		}
		return err
	}
	if pattern != "" {
		if err := add(pattern, path.Base); err != nil {
			return nil, err
		}
	}
	below := pattern
	switch {
	case below == "":
		below = "**"
	case strings.HasSuffix(below, "**"):
	case strings.HasSuffix(below, "*"):
		below += "*"
	default:
		below = strings.TrimSuffix(below, "/") + "/**"
	}
	parent := pattern
	if !strings.HasSuffix(parent, "/*") {
		parent = strings.TrimSuffix(parent, "/")
	}
	parent = parent[:strings.LastIndex(parent, "/")+1]
	prefix, err := globPrefix(parent)
	if err != nil {
		return nil, err
	}
	err = add(below, func(object string) string {
		if strings.Contains(pattern, "**") {
			return path.Base(object)
		}
		return prefix.ReplaceAllString(object, "")
	})
	return files, err
}

// globPrefix matches what a wildcard pattern matches at the start of a name.
func globPrefix(glob string) (*regexp.Regexp, error) {
	quoted := regexp.QuoteMeta(glob)
	quoted = strings.NewReplacer(`\*`, `[^/]*`, `\?`, `[^/]`, `\[`, `[`, `\]`, `]`).Replace(quoted)
	return regexp.Compile("^" + quoted)
}

// list gives the names of the objects that match a glob, over all pages.
func (f *Fetcher) list(ctx context.Context, bucket, glob string) ([]string, error) {
	var names []string
	for page := ""; ; {
		query := url.Values{"matchGlob": {glob}, "fields": {"items(name),nextPageToken"}}
		if page != "" {
			query.Set("pageToken", page)
		}
		body, err := f.call(ctx, http.MethodGet, f.storage(bucket)+"?"+query.Encode())
		if err != nil {
			return nil, err
		}
		var answer struct {
			Items         []struct{ Name string }
			NextPageToken string
		}
		err = json.NewDecoder(body).Decode(&answer)
		if err = errors.Join(err, body.Close()); err != nil {
			return nil, err
		}
		for _, i := range answer.Items {
			names = append(names, i.Name)
		}
		if page = answer.NextPageToken; page == "" {
			return names, nil
		}
	}
}

func (f *Fetcher) storage(bucket string) string {
	return cmp.Or(strings.TrimSuffix(f.StorageURL, "/"), "https://storage.googleapis.com") + "/storage/v1/b/" + url.PathEscape(bucket) + "/o"
}

func (f *Fetcher) download(ctx context.Context, bucket, object, file string) error {
	body, err := f.call(ctx, http.MethodGet, f.storage(bucket)+"/"+url.PathEscape(object)+"?alt=media")
	if err != nil {
		return err
	}
	defer body.Close()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, body)
	return errors.Join(err, out.Close())
}

// call sends a request to one of Google's APIs; an answer that is not 200 is an error with Google's words.
func (f *Fetcher) call(ctx context.Context, method, address string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	token, err := f.token(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("getting an access token: %w", err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := cmp.Or(f.HTTP, http.DefaultClient).Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	var answer struct{ Error struct{ Message string } }
	text := response.Status
	if json.NewDecoder(response.Body).Decode(&answer) == nil && answer.Error.Message != "" {
		text += ": " + answer.Error.Message
	}
	if token == "" && (response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden) {
		text += "; no credentials were found: run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
	}
	return nil, errors.New(text)
}

// token gives the token for a request; empty for an emulator of Cloud Storage, which is not to see it.
func (f *Fetcher) token(ctx context.Context, address string) (string, error) {
	if f.Token == nil || f.StorageURL != "" && strings.HasPrefix(address, strings.TrimSuffix(f.StorageURL, "/")+"/storage/") {
		return "", nil
	}
	return f.Token(ctx)
}

// CloudBuildRepo gives the folder of a checkout of a repository that is connected to Cloud Build, which
// also gives the right to read it.
func (f *Fetcher) CloudBuildRepo(ctx context.Context, source model.CloudBuildRepoSource) (dir, commit string, err error) {
	base := cmp.Or(strings.TrimSuffix(f.CloudBuildURL, "/"), "https://cloudbuild.googleapis.com")
	address := fmt.Sprintf("%s/v2/projects/%s/locations/%s/connections/%s/repositories/%s", base,
		url.PathEscape(source.ProjectID), url.PathEscape(source.Region), url.PathEscape(source.Connection), url.PathEscape(source.Repo))
	var repo struct{ RemoteURI string }
	if err := f.answer(ctx, http.MethodGet, address, &repo); err != nil {
		return "", "", fmt.Errorf("asking Cloud Build about repository %s: %w", source.Repo, err)
	}
	var access struct{ Token string }
	if err := f.answer(ctx, http.MethodPost, address+":accessReadToken", &access); err != nil {
		return "", "", fmt.Errorf("asking Cloud Build for access to repository %s: %w", source.Repo, err)
	}
	clone, err := url.Parse(repo.RemoteURI)
	if err != nil {
		return "", "", fmt.Errorf("the address of repository %s: %w", source.Repo, err)
	}
	if clone.Scheme == "https" && access.Token != "" {
		clone.User = url.UserPassword("oauth2", access.Token)
	}
	return f.checkout(ctx, repo.RemoteURI, clone.String(), source.Ref, source.Sync)
}

func (f *Fetcher) answer(ctx context.Context, method, address string, into any) error {
	body, err := f.call(ctx, method, address)
	if err != nil {
		return err
	}
	return errors.Join(json.NewDecoder(body).Decode(into), body.Close())
}
