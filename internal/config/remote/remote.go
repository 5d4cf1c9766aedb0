// Package remote brings required configs to this machine: from git repositories, from Google Cloud
// Storage, and from repositories connected to Google Cloud Build. What was fetched is kept in a folder per
// address, named as the reference names it, so that both programs share what is there.
package remote

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/davit-dev/davit/internal/config/load"
)

// Policy says what is fetched: --sync-remote-cache.
type Policy string

// The policies.
const (
	// Always fetches what is missing and refreshes what is there; it is the default.
	Always Policy = "always"
	// Missing fetches only what is missing.
	Missing Policy = "missing"
	// Never fetches nothing.
	Never Policy = "never"
)

// ParsePolicy reads the flag; empty means Always.
func ParsePolicy(s string) (Policy, error) {
	switch p := Policy(s); p {
	case "":
		return Always, nil
	case Always, Missing, Never:
		return p, nil
	}
	return "", fmt.Errorf("--sync-remote-cache must be always, missing or never, not %q", s)
}

// Fetcher fetches remote configs.
type Fetcher struct {
	// Dir is the cache folder; see DefaultDir.
	Dir    string
	Policy Policy
	// RunGit runs git in a folder and gives what it prints; its error carries git's own words.
	RunGit func(ctx context.Context, dir string, args ...string) ([]byte, error)
	// HTTP reaches Google's APIs; nil means http.DefaultClient.
	HTTP *http.Client
	// Token gives an access token for Google's APIs; nil and an empty one ask without.
	Token func(ctx context.Context) (string, error)
	// StorageURL and CloudBuildURL replace the addresses of Google's APIs, for emulators; empty means Google's.
	StorageURL, CloudBuildURL string
}

var _ load.Remote = (*Fetcher)(nil)

// DefaultDir is the cache folder below a home folder.
func DefaultDir(home string) string {
	return filepath.Join(home, ".skaffold", "remote-cache")
}

// place gives the cache folder of an address, and whether it is there already.
func (f *Fetcher) place(address ...string) (dir string, exists bool, err error) {
	text, err := json.Marshal(address)
	if err != nil {
		return "", false, err
	}
	sum := sha256.Sum256(append(text, '\n'))
	dir = filepath.Join(f.Dir, base64.URLEncoding.EncodeToString(sum[:])[:32])
	_, err = os.Stat(dir)
	switch {
	case err == nil:
		return dir, true, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", false, err
	case f.Policy == Never:
		return "", false, fmt.Errorf("%s was %w, and --sync-remote-cache=never forbids it now", address[0], load.ErrNotFetched)
	}
	return dir, false, nil
}

// keep reports whether what is there is used as it is.
func (f *Fetcher) keep(sync *bool) bool {
	return sync != nil && !*sync || f.Policy == Missing || f.Policy == Never
}

// fresh makes a folder by fill, whole or not at all: it is filled beside its place and moved there. Another
// davit may have been faster; its folder is as good.
func (f *Fetcher) fresh(dir string, fill func(tmp string) error) error {
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return fmt.Errorf("making the cache folder: %w", err)
	}
	tmp, err := os.MkdirTemp(f.Dir, ".fetch-*")
	if err != nil {
		return fmt.Errorf("making the cache folder: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := fill(tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		if _, e := os.Stat(dir); e == nil {
			return nil
		}
		return fmt.Errorf("keeping what was fetched: %w", err)
	}
	return nil
}
