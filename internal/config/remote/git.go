package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/davit-dev/davit/internal/config/model"
)

// Git gives the folder of a checkout of source, and the commit it is at. No ref means the branch master,
// or main where there is no master.
func (f *Fetcher) Git(ctx context.Context, source model.GitSource) (dir, commit string, err error) {
	return f.checkout(ctx, source.Repo, source.Repo, source.Ref, source.Sync)
}

// checkout fetches ref of a repository by url; name is what the cache knows it by, without credentials.
func (f *Fetcher) checkout(ctx context.Context, name, url, ref string, sync *bool) (dir, commit string, err error) {
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
			if _, err := f.git(ctx, tmp, "remote", "add", "origin", url); err != nil {
				return err
			}
			return f.refresh(ctx, tmp, url, ref)
		})
	case !f.keep(sync):
		if _, err = f.git(ctx, dir, "remote", "set-url", "origin", url); err == nil {
			err = f.refresh(ctx, dir, url, ref)
		}
	}
	if err != nil {
		return "", "", fmt.Errorf("fetching %s: %w", name, err)
	}
	head, err := f.git(ctx, dir, "rev-parse", "HEAD")
	if err != nil {
		return "", "", fmt.Errorf("fetching %s: %w", name, err)
	}
	return dir, strings.TrimSpace(head), nil
}

// refresh brings a checkout to what ref means now. A server that does not give single commits is asked
// for everything.
func (f *Fetcher) refresh(ctx context.Context, dir, url, ref string) error {
	if ref == "" {
		var err error
		if ref, err = f.defaultBranch(ctx, url); err != nil {
			return err
		}
	}
	target := "FETCH_HEAD"
	if _, err := f.git(ctx, dir, "fetch", "--quiet", "--depth", "1", "origin", ref); err != nil {
		if _, all := f.git(ctx, dir, "fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*"); all != nil {
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

func (f *Fetcher) defaultBranch(ctx context.Context, url string) (string, error) {
	out, err := f.git(ctx, f.Dir, "ls-remote", "--heads", url, "master", "main")
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
