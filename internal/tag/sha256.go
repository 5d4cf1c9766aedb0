package tag

import (
	"context"

	"github.com/distribution/reference"
)

// SHA256 is the policy sha256: "latest", or the tag that the image's name has.
type SHA256 struct{}

// Tag makes the tag.
func (SHA256) Tag(_ context.Context, a Artifact) (string, error) {
	ref, err := parseName(a.Image, "")
	if err != nil {
		return "", err
	}
	if _, tagged := ref.(reference.Tagged); tagged {
		return "", nil
	}
	return latest, nil
}
