package remote

import (
	"cmp"
	"context"
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

	"golang.org/x/oauth2"
	"google.golang.org/api/cloudbuild/v2"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	"google.golang.org/api/storage/v1"

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
	service, err := f.storage(ctx)
	if err != nil {
		return "", err
	}
	files, err := objects(ctx, service, bucket, pattern)
	if err != nil {
		return "", fmt.Errorf("listing %s: %w", source.Source, refused(err))
	}
	copyAll := func(into string) error {
		for object, name := range files {
			if err := download(ctx, service, bucket, object, filepath.Join(into, filepath.FromSlash(name))); err != nil {
				return fmt.Errorf("copying gs://%s/%s: %w", bucket, object, refused(err))
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
func objects(ctx context.Context, service *storage.Service, bucket, pattern string) (map[string]string, error) {
	files := map[string]string{}
	add := func(glob string, name func(object string) string) error {
		objects, err := list(ctx, service, bucket, glob)
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
func list(ctx context.Context, service *storage.Service, bucket, glob string) (names []string, err error) {
	err = service.Objects.List(bucket).MatchGlob(glob).Fields("items(name)", "nextPageToken").Pages(ctx, func(page *storage.Objects) error {
		for _, o := range page.Items {
			names = append(names, o.Name)
		}
		return nil
	})
	return names, err
}

func download(ctx context.Context, service *storage.Service, bucket, object, file string) error {
	response, err := service.Objects.Get(bucket, object).Context(ctx).Download()
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, response.Body)
	return errors.Join(err, out.Close())
}

// storage connects to Cloud Storage. An emulator is not to see a token.
func (f *Fetcher) storage(ctx context.Context) (*storage.Service, error) {
	if f.StorageURL != "" {
		return storage.NewService(ctx, option.WithHTTPClient(cmp.Or(f.HTTP, http.DefaultClient)), option.WithEndpoint(strings.TrimSuffix(f.StorageURL, "/")+"/storage/v1/"))
	}
	client, err := f.client(ctx)
	if err != nil {
		return nil, err
	}
	return storage.NewService(ctx, option.WithHTTPClient(client))
}

// client sends the user's token with every request, if there is one.
func (f *Fetcher) client(ctx context.Context) (*http.Client, error) {
	client := cmp.Or(f.HTTP, http.DefaultClient)
	if f.Token == nil {
		return client, nil
	}
	token, err := f.Token(ctx)
	if err != nil {
		return nil, fmt.Errorf("getting an access token: %w", err)
	}
	if token == "" {
		return client, nil
	}
	return oauth2.NewClient(context.WithValue(ctx, oauth2.HTTPClient, client), oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token})), nil
}

// refused puts what Google answered into a line, and says what to do where credentials are missing.
func refused(err error) error {
	answer, ok := errors.AsType[*googleapi.Error](err)
	if !ok {
		return err
	}
	text := fmt.Sprintf("%d %s", answer.Code, http.StatusText(answer.Code))
	if answer.Message != "" {
		text += ": " + answer.Message
	}
	if answer.Code == http.StatusUnauthorized || answer.Code == http.StatusForbidden {
		text += "; if you may see it, run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
	}
	return fmt.Errorf("%s", text)
}

// CloudBuildRepo gives the folder of a checkout of a repository that is connected to Cloud Build, which
// also gives the right to read it.
func (f *Fetcher) CloudBuildRepo(ctx context.Context, source model.CloudBuildRepoSource) (dir, commit string, err error) {
	client, err := f.client(ctx)
	if err != nil {
		return "", "", err
	}
	options := []option.ClientOption{option.WithHTTPClient(client)}
	if f.CloudBuildURL != "" {
		options = append(options, option.WithEndpoint(f.CloudBuildURL))
	}
	service, err := cloudbuild.NewService(ctx, options...)
	if err != nil {
		return "", "", err
	}
	repositories := service.Projects.Locations.Connections.Repositories
	name := fmt.Sprintf("projects/%s/locations/%s/connections/%s/repositories/%s", source.ProjectID, source.Region, source.Connection, source.Repo)
	repo, err := repositories.Get(name).Context(ctx).Do()
	if err != nil {
		return "", "", fmt.Errorf("asking Cloud Build about repository %s: %w", source.Repo, refused(err))
	}
	access, err := repositories.AccessReadToken(name, &cloudbuild.FetchReadTokenRequest{}).Context(ctx).Do()
	if err != nil {
		return "", "", fmt.Errorf("asking Cloud Build for access to repository %s: %w", source.Repo, refused(err))
	}
	clone, err := url.Parse(repo.RemoteUri)
	if err != nil {
		return "", "", fmt.Errorf("the address of repository %s: %w", source.Repo, err)
	}
	if clone.Scheme == "https" && access.Token != "" {
		clone.User = url.UserPassword("oauth2", access.Token)
	}
	return f.checkout(ctx, repo.RemoteUri, clone.String(), source.Ref, source.Sync)
}
