//go:build e2e

package workloads

import (
	"net/http"
	"strings"
	"testing"

	"github.com/davit-dev/davit/kubebox/e2e/boxtest"
)

func TestRegistryIsAdvertised(t *testing.T) {
	t.Parallel()
	// Any account will do: what is asked for here is what a tool of any user asks.
	notice := kubebox.Run(t, "kubectl", "get", "configmap", "local-registry-hosting", "--namespace=kube-public",
		"--as=somebody", "--as-group=system:authenticated", `--output=jsonpath={.data.localRegistryHosting\.v1}`)
	if want := `host: "` + registry + `"`; !strings.Contains(notice, want) {
		t.Errorf("the notice is\n%s\nwant it to say %s", notice, want)
	}
}

func TestRegistryForgetsWhatIsDeleted(t *testing.T) {
	t.Parallel()
	const name = "kubebox-e2e/forgotten"
	pushed, err := boxtest.PushBusybox(registry, name)
	if err != nil {
		t.Fatal(err)
	}
	at := "http://" + registry + "/v2/" + name + "/manifests/" + pushed.String()
	if _, err := boxtest.Call(http.MethodGet, at, "", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := boxtest.Call(http.MethodDelete, at, "", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := boxtest.Call(http.MethodGet, at, "", nil); err == nil {
		t.Error("the image is still there after it was deleted")
	}
}
