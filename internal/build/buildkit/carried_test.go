package buildkit_test

import (
	"testing"
)

func TestRunStepAndPush(t *testing.T) {
	dir := withShell(t, "FROM shell\nRUN echo hello > /greeting && id && cat /proc/self/limits\n", nil)
	log := &lines{}
	result, err := newCarried(shared.carried).Build(timeout(t), request(t, dir), log)
	t.Log(log)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(result)
}
