package helm

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/yaml"
)

// credentials for a repository.
type credentials struct{ username, password string }

// index is index.yaml of a repository.
type index struct {
	Entries map[string][]struct {
		Version string   `json:"version"`
		URLs    []string `json:"urls"`
		Digest  string   `json:"digest"`
	} `json:"entries"`
}

// remote brings a packaged chart from where the release says.
func (f *fetcher) remote(ctx context.Context, r Release) ([]byte, error) {
	version := cmp.Or(r.Version, f.flags.version)
	repo := strings.TrimSuffix(cmp.Or(r.Repo, f.flags.repo), "/")
	login := credentials{f.flags.username, f.flags.password}
	name := r.Chart
	switch {
	case strings.HasPrefix(repo, "oci://"):
		return f.oci(ctx, repo+"/"+name, version, login)
	case repo == "" && strings.HasPrefix(name, "oci://"):
		return f.oci(ctx, name, version, login)
	case repo == "" && strings.Contains(name, "://"):
		return f.get(ctx, name, login)
	case repo == "" && !strings.Contains(name, "/"):
		return nil, fmt.Errorf("%q is neither a URL nor repository/chart: set repo, or write oci://", name)
	case repo == "", strings.HasPrefix(repo, "@"), strings.HasPrefix(repo, "alias:"):
		alias, chart, _ := strings.Cut(name, "/")
		if repo != "" {
			alias, chart = strings.TrimPrefix(strings.TrimPrefix(repo, "@"), "alias:"), name
		}
		known, err := f.repository(alias)
		if err != nil {
			return nil, err
		}
		repo, name = strings.TrimSuffix(known.URL, "/"), chart
		login = credentials{known.Username, known.Password}
		if strings.HasPrefix(repo, "oci://") {
			return f.oci(ctx, repo+"/"+name, version, login)
		}
	}
	return f.kept(repo+"\x00"+name, version, func() ([]byte, error) { return f.fromRepository(ctx, repo, name, version, login) })
}

// fromRepository finds a chart in a repository's index and downloads it.
func (f *fetcher) fromRepository(ctx context.Context, repo, name, version string, login credentials) ([]byte, error) {
	idx, err := f.index(ctx, repo, login)
	if err != nil {
		return nil, err
	}
	entries := idx.Entries[name]
	if len(entries) == 0 {
		return nil, fmt.Errorf("repository %s has no chart %s", repo, name)
	}
	versions := make([]string, len(entries))
	for i, e := range entries {
		versions[i] = e.Version
	}
	best, err := f.choose(versions, version)
	if err != nil {
		return nil, fmt.Errorf("chart %s in repository %s: %w", name, repo, err)
	}
	entry := entries[slices.Index(versions, best)]
	if len(entry.URLs) == 0 {
		return nil, fmt.Errorf("repository %s has no download for chart %s %s", repo, name, best)
	}
	base, err := url.Parse(repo + "/")
	if err != nil {
		return nil, err
	}
	at, err := base.Parse(entry.URLs[0])
	if err != nil {
		return nil, err
	}
	if at.Scheme == "oci" {
		return f.oci(ctx, at.String(), "", login)
	}
	if at.Host != base.Host && !f.flags.passCredentials {
		login = credentials{} // they are for the repository alone
	}
	data, err := f.get(ctx, at.String(), login)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); entry.Digest != "" && strings.TrimPrefix(entry.Digest, "sha256:") != hex.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("%s is not what the repository's index says: its digest differs", at)
	}
	return data, nil
}

func (f *fetcher) index(ctx context.Context, repo string, login credentials) (*index, error) {
	if known := f.indexes[repo]; known != nil {
		return known, nil
	}
	data, err := f.get(ctx, repo+"/index.yaml", login)
	if err != nil {
		return nil, err
	}
	idx := &index{}
	if err := yaml.Unmarshal(data, idx); err != nil {
		return nil, fmt.Errorf("%s/index.yaml: %w", repo, err)
	}
	if f.indexes == nil {
		f.indexes = map[string]*index{}
	}
	f.indexes[repo] = idx
	return idx, nil
}

// choose picks the newest of versions that wanted allows: a version, a range, or nothing for any that is not a pre-release.
func (f *fetcher) choose(versions []string, wanted string) (string, error) {
	if slices.Contains(versions, wanted) {
		return wanted, nil
	}
	text := wanted
	if text == "" {
		if text = "*"; f.flags.devel {
			text = ">0.0.0-0"
		}
	}
	constraint, err := semver.NewConstraint(text)
	if err != nil {
		return "", fmt.Errorf("version %q is not a version and not a range: %w", wanted, err)
	}
	var best *semver.Version
	chosen := ""
	for _, v := range versions {
		if parsed, err := semver.NewVersion(v); err == nil && constraint.Check(parsed) && (best == nil || parsed.GreaterThan(best)) {
			best, chosen = parsed, v
		}
	}
	if best == nil {
		return "", fmt.Errorf("no version is %s; there are %s", text, strings.Join(versions[:min(len(versions), 10)], ", "))
	}
	return chosen, nil
}

// kept asks the cache for a chart of an exact version before it is fetched, and keeps it there.
func (f *fetcher) kept(name, version string, fetch func() ([]byte, error)) ([]byte, error) {
	if !isVersion(version) || f.options.CacheDir == "" {
		return fetch()
	}
	sum := sha256.Sum256([]byte(name + "\x00" + version))
	file := filepath.Join(f.options.CacheDir, hex.EncodeToString(sum[:16])+".tgz")
	if data, err := os.ReadFile(file); err == nil {
		return data, nil
	}
	data, err := fetch()
	if err != nil {
		return nil, err
	}
	return data, keep(file, data)
}

// isVersion tells a whole version from a range and from a part of one.
func isVersion(text string) bool {
	_, err := semver.StrictNewVersion(strings.TrimPrefix(text, "v"))
	return err == nil
}

// keep writes a file whole or not at all.
func keep(file string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("keeping a chart: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".chart-*")
	if err != nil {
		return fmt.Errorf("keeping a chart: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	return err
}

// get downloads a file of at most 100 MiB.
func (f *fetcher) get(ctx context.Context, address string, login credentials) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	if login != (credentials{}) {
		request.SetBasicAuth(login.username, login.password)
	}
	transport, err := f.transport()
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", address, response.Status)
	}
	const most = 100 << 20
	data, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("%s is larger than %d MiB", address, most>>20)
	}
	return data, err
}

func (f *fetcher) transport() (http.RoundTripper, error) {
	if f.flags.caFile == "" && f.flags.certFile == "" && !f.flags.insecure {
		return http.DefaultTransport, nil
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: f.flags.insecure} //nolint:gosec // asked for by a flag
	if f.flags.caFile != "" {
		pem, err := os.ReadFile(f.flags.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem)
	}
	if f.flags.certFile != "" {
		pair, err := tls.LoadX509KeyPair(f.flags.certFile, f.flags.keyFile)
		if err != nil {
			return nil, fmt.Errorf("--cert-file: %w", err)
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// repository is an entry of the helm command's repositories.yaml.
type repository struct {
	Name     string `json:"name"`
	URL      string `json:"url"`
	Username string `json:"username"`
	Password string `json:"password"`
}

func (f *fetcher) repository(name string) (repository, error) {
	file := cmp.Or(f.flags.repositories, f.options.Repositories)
	var known struct {
		Repositories []repository `json:"repositories"`
	}
	data, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(data, &known)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) && file != "" {
		return repository{}, fmt.Errorf("reading helm's repositories: %w", err)
	}
	for _, r := range known.Repositories {
		if r.Name == name {
			return r, nil
		}
	}
	return repository{}, fmt.Errorf("helm knows no repository %s: run `helm repo add %s URL`, or set repo", name, name)
}

// RegistriesFile is where `helm registry login` keeps its credentials, in the form of Docker's.
func RegistriesFile(getenv func(string) string, home string) string {
	return cmp.Or(getenv("HELM_REGISTRY_CONFIG"), filepath.Join(configHome(getenv, home), "registry", "config.json"))
}

// RepositoriesFile is where the helm command keeps the repositories that it knows.
func RepositoriesFile(getenv func(string) string, home string) string {
	return cmp.Or(getenv("HELM_REPOSITORY_CONFIG"), filepath.Join(configHome(getenv, home), "repositories.yaml"))
}

func configHome(getenv func(string) string, home string) string {
	return cmp.Or(getenv("HELM_CONFIG_HOME"), filepath.Join(cmp.Or(getenv("XDG_CONFIG_HOME"), filepath.Join(home, ".config")), "helm"))
}
