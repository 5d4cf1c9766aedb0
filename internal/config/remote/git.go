package remote

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"strings"

	"github.com/davit-dev/davit/internal/config/model"
)

// Git gives the folder of a checkout of source, and the commit it is at. No ref means the branch master,
// or main where there is no master.
func (f *Fetcher) Git(ctx context.Context, source model.GitSource) (dir, commit string, err error) {
	return f.checkout(ctx, source.Repo, source.Repo, source.Ref, source.Sync)
}

// checkout fetches ref of a repository by its address; name is the same without credentials, which are not kept on disk.
func (f *Fetcher) checkout(ctx context.Context, name, address, ref string, sync *bool) (dir, commit string, err error) {
	dir, exists, err := f.place(name, ref)
	if err != nil {
		return "", "", err
	}
	switch {
	case !exists:
		err = f.fresh(dir, func(tmp string) error {
			if _, err := f.git(ctx, tmp, "init", "--quiet"); err != nil {
				return err
			}
			if _, err := f.git(ctx, tmp, "remote", "add", "origin", name); err != nil {
				return err
			}
			return f.refresh(ctx, tmp, address, ref)
		})
	case !f.keep(sync):
		err = f.refresh(ctx, dir, address, ref)
	}
	if err != nil {
		return "", "", unfetched(name, address, err)
	}
	head, err := f.git(ctx, dir, "rev-parse", "HEAD")
	if err != nil {
		return "", "", fmt.Errorf("fetching %s: %w", name, err)
	}
	return dir, strings.TrimSpace(head), nil
}

// unfetched says what was not fetched and why, without the credentials of an address.
func unfetched(name, address string, err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("fetching %s: there is no git command here: install git", name)
	}
	shown := name
	if u, e := url.Parse(name); e == nil && u.User != nil {
		shown = u.Redacted()
	}
	if shown != address {
		err = errors.New(strings.ReplaceAll(err.Error(), address, shown))
	}
	return fmt.Errorf("fetching %s: %w", shown, err)
}

// refresh brings a checkout to what ref means now. A server that does not give single commits is asked
// for everything.
func (f *Fetcher) refresh(ctx context.Context, dir, address, ref string) error {
	if ref == "" {
		var err error
		if ref, err = f.defaultBranch(ctx, address); err != nil {
			return err
		}
	}
	target := "FETCH_HEAD"
	if _, err := f.git(ctx, dir, "fetch", "--quiet", "--depth", "1", address, ref); err != nil {
		if _, all := f.git(ctx, dir, "fetch", "--quiet", "--tags", address, "+refs/heads/*:refs/remotes/origin/*"); all != nil {
			return err
		}
		if target, all := f.git(ctx, dir, "rev-parse", "--verify", "--quiet", ref+"^{commit}"); all == nil {
			_, err = f.git(ctx, dir, "reset", "--quiet", "--hard", strings.TrimSpace(target))
		}
		return err
	}
	_, err := f.git(ctx, dir, "reset", "--quiet", "--hard", target)
	return err
}

func (f *Fetcher) defaultBranch(ctx context.Context, address string) (string, error) {
	out, err := f.git(ctx, f.Dir, "ls-remote", "--heads", address, "master", "main")
	if err != nil {
		return "", err
	}
	for _, branch := range []string{"master", "main"} {
		for line := range strings.Lines(out) {
			if strings.HasSuffix(strings.TrimSpace(line), "\trefs/heads/"+branch) {
				return branch, nil
			}
		}
	}
	return "", errors.New("it has neither a branch master nor main: name one with ref")
}

func (f *Fetcher) git(ctx context.Context, dir string, args ...string) (string, error) {
	out, err := f.RunGit(ctx, dir, args...)
	return string(out), err
}
