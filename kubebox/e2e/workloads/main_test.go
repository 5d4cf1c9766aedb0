//go:build e2e

// Package workloads shows on a real box that what people run in clusters runs as
// in any cluster. It uses the box that is up, or brings one up and takes it down again.
package workloads

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/davit-dev/davit/kubebox/e2e/boxtest"
)

// the box under test, and the image that its pods run.
var (
	kubebox  boxtest.Kubebox
	registry string
	busybox  string
	digest   string
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	alone, err := boxtest.Alone()
	if err != nil {
		return 0, err
	}
	defer alone.Close()
	binary, err := boxtest.Build()
	if err != nil {
		return 0, err
	}
	kubebox = boxtest.Kubebox{Binary: binary}
	_, broken := kubebox.Try("status")
	if _, err := kubebox.Try("up"); err != nil {
		return 0, err
	}
	if broken != nil {
		defer func() {
			if _, downErr := kubebox.Try("down"); downErr != nil {
				err = downErr
			}
		}()
	}
	if registry, err = kubebox.Registry(); err != nil {
		return 0, err
	}
	pushed, err := boxtest.PushBusybox(registry, "kubebox-e2e/busybox")
	if err != nil {
		return 0, err
	}
	busybox, digest = registry+"/kubebox-e2e/busybox:latest", pushed.String()
	// The tests mostly wait for the cluster: all can do so at once.
	if err := flag.Set("test.parallel", "32"); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// namespace makes a namespace named after the test.
func namespace(t *testing.T) boxtest.Namespace {
	t.Helper()
	return kubebox.Namespace(t, "e2e-"+strings.ToLower(strings.TrimPrefix(t.Name(), "Test")))
}

// pod is the YAML of a pod spec whose only container runs the shell script.
func pod(script, more string) string {
	return fmt.Sprintf(`
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: %s
        command: [sh, -c, %q]
%s`, busybox, script, more)
}

// deployment is the YAML of a Deployment named name of the pod.
func deployment(name string, replicas int, pod string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:%[3]s
---`, name, replicas, pod)
}

// service is the YAML of a Service named name for port 8080 of the pods of the same name.
func service(name, more string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %[1]s}
spec:
  selector: {app: %[1]s}
  ports: [{port: 80, targetPort: 8080}]
%[2]s
---`, name, more)
}

// serve is a script that answers every HTTP request on port 8080 with the pod's name.
const serve = "mkdir /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www"

// idle is a script that does nothing for ever.
const idle = "exec sleep 100000"
