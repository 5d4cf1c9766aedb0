package tag

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strings"
)

// GitCommit is the policy gitCommit: the commit that is checked out, and whether the artifact's folder differs from it.
type GitCommit struct {
	Prefix        string
	Variant       string // Tags when empty; any capitals
	IgnoreChanges bool
	Git           *Git
}

// The variants of GitCommit.
const (
	Tags            = "Tags"
	CommitSha       = "CommitSha"
	AbbrevCommitSha = "AbbrevCommitSha"
	TreeSha         = "TreeSha"
	AbbrevTreeSha   = "AbbrevTreeSha"
	Branches        = "Branches"
)

// Tag makes the tag.
func (p GitCommit) Tag(ctx context.Context, a Artifact) (string, error) {
	type change struct {
		dirty bool
		err   error
	}
	changes := make(chan change, 1)
	if p.IgnoreChanges {
		changes <- change{}
	} else {
		go func() {
			dirty, err := p.Git.changed(ctx, a.Workspace)
			changes <- change{dirty, err}
		}()
	}
	commit, err := p.commit(ctx, a.Workspace)
	c := <-changes
	if err = cmp.Or(err, c.err); err != nil { // mostly both say the same
		return "", err
	}
	tag := p.Prefix + sanitize(commit)
	if c.dirty {
		tag += "-dirty"
	}
	return tag, nil
}

func (p GitCommit) commit(ctx context.Context, workspace string) (string, error) {
	switch strings.ToLower(p.Variant) {
	case "", strings.ToLower(Tags):
		return p.Git.ask(ctx, workspace, "describe", "--tags", "--always")
	case strings.ToLower(CommitSha):
		return p.Git.ask(ctx, workspace, "rev-list", "-1", "HEAD")
	case strings.ToLower(AbbrevCommitSha):
		return p.Git.ask(ctx, workspace, "rev-list", "-1", "HEAD", "--abbrev-commit")
	case strings.ToLower(TreeSha):
		return p.Git.tree(ctx, workspace, false)
	case strings.ToLower(AbbrevTreeSha):
		return p.Git.tree(ctx, workspace, true)
	case strings.ToLower(Branches):
		return p.Git.ask(ctx, workspace, "branch", "--show-current")
	}
	return "", fmt.Errorf("gitCommit has no variant %q: it is one of %s, %s, %s, %s, %s and %s", p.Variant, Tags, CommitSha, AbbrevCommitSha, TreeSha, AbbrevTreeSha, Branches)
}

// maxTag is how long a tag may be, after the OCI distribution specification.
const maxTag = 128

var notInTags = regexp.MustCompile(`[^a-zA-Z0-9._-]`)

// sanitize makes a tag of what git calls a commit.
func sanitize(s string) string {
	s = notInTags.ReplaceAllString(s, "_")
	rest := strings.TrimLeft(s, "-.")
	s = strings.Repeat("_", len(s)-len(rest)) + rest
	return s[:min(len(s), maxTag)]
}
