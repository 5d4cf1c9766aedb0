package build_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/build"
)

func TestUploadsInEachOthersWayAreTriedAgain(t *testing.T) {
	said := errors.New("failed to push localhost:5000/team/app:v1: unknown: provided digest did not match uploaded content\nunknown: blob unknown to registry - sha256:b0c91f1b")
	err := build.Refusal("pushing", "localhost:5000/team/app:v1", said)
	if !build.IsPassing(err) || !build.IsBusy(err) || !strings.Contains(err.Error(), "localhost:5000/team/app") {
		t.Errorf("got %v", err)
	}
	if build.IsPassing(build.Refusal("pushing", "localhost:5000/team/app:v1", errors.New("403 Forbidden"))) {
		t.Error("a refusal for good is tried again")
	}
}
