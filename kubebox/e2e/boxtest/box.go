// Package boxtest is what the end-to-end tests of kubebox share: the program as a
// user runs it, and images made on the spot.
package boxtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/kubebox/internal/host"
)

// Limit is how long anything may take that a test waits for.
const Limit = 10 * time.Minute

// Build returns the path of the kubebox binary of these sources, building it if need be.
func Build() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	cmd := exec.Command(filepath.Join(filepath.Dir(here), "..", "..", "build.sh"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("cannot build kubebox: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Alone keeps other end-to-end tests of this machine away until the returned file is closed.
func Alone() (*os.File, error) { return host.Lock("/run/kubebox-e2e.lock", 20*time.Minute) }

// Kubebox is the program.
type Kubebox struct{ Binary string }

// Try runs kubebox with the arguments and returns its standard output, or an error with its standard error.
func (k Kubebox) Try(args ...string) (string, error) { return k.try("", args...) }

// Run is Try for what must succeed.
func (k Kubebox) Run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := k.try("", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (k Kubebox) try(input string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, k.Binary, args...)
	var out, complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubebox %s: %w\n%s%s", strings.Join(args, " "), err, complaint.String(), out.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// Registry returns the registry's name in image references.
func (k Kubebox) Registry() (string, error) {
	out, err := k.Try("status", "--output", "json")
	if err != nil {
		return "", err
	}
	// Not box.Status, which would link Kubernetes into the tests.
	var status struct {
		Config struct {
			RegistryPort int `json:"registryPort"`
		} `json:"config"`
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return "", fmt.Errorf("cannot read the status: %w", err)
	}
	return fmt.Sprintf("localhost:%d", status.Config.RegistryPort), nil
}

// Namespace is a namespace of a test, with the box around it.
type Namespace struct {
	Kubebox
	Name string
}

// Namespace makes a namespace that goes with the test.
func (k Kubebox) Namespace(t *testing.T, name string) Namespace {
	t.Helper()
	k.Run(t, "kubectl", "create", "namespace", name)
	n := Namespace{k, name}
	t.Cleanup(func() {
		if t.Failed() {
			state, _ := n.TryKubectl("get", "all,events")
			t.Log(state)
		}
		if _, err := k.Try("kubectl", "delete", "namespace", name, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	// Pods are refused as long as the account they run under is not there.
	n.Kubectl(t, "wait", "--for=create", "serviceaccount/default")
	return n
}

// TryKubectl runs kubectl in the namespace.
func (n Namespace) TryKubectl(args ...string) (string, error) {
	return n.Try(append([]string{"kubectl", "--namespace", n.Name}, args...)...)
}

// Kubectl runs kubectl in the namespace and returns what it prints.
func (n Namespace) Kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := n.TryKubectl(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Apply applies the YAML in the namespace.
func (n Namespace) Apply(t *testing.T, yaml string) {
	t.Helper()
	if _, err := n.try(yaml, "kubectl", "--namespace", n.Name, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// Await waits until the object meets the condition, as kubectl wait has it.
func (n Namespace) Await(t *testing.T, condition, object string) {
	t.Helper()
	n.Kubectl(t, "wait", "--for="+condition, object, "--timeout="+Limit.String())
}

// Eventually calls check until it returns no error, and fails with the last one after Limit.
func Eventually(t *testing.T, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(Limit); ; time.Sleep(300 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
