package e2e

import "testing"

func TestPush(t *testing.T) {
	ref, err := pushBusybox("localhost:5000", "e2e/busybox")
	t.Log(ref, err)
}
