package tag

import (
	"context"
	"errors"
)

// InputDigest is the policy inputDigest: the digest of what the image is made of.
type InputDigest struct{}

// Tag makes the tag.
func (InputDigest) Tag(ctx context.Context, a Artifact) (string, error) {
	if a.InputDigest == nil {
		return "", errors.New("the inputs of the artifact are not known")
	}
	return a.InputDigest(ctx)
}
