package cloudrun_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/deploy/cloudrun"
	"github.com/davit-dev/davit/internal/deploy/cloudrun/cloudruntest"
	"github.com/davit-dev/davit/internal/event"
)

// cloud is a stand-in for Cloud Run, with what was said while deploying to it.
type cloud struct {
	*testing.T
	*cloudruntest.Server
	mu   sync.Mutex
	said []string
}

func newCloud(t *testing.T) (*cloud, *cloudrun.Deployer) {
	s := &cloud{T: t, Server: cloudruntest.Start(t)}
	return s, &cloudrun.Deployer{HTTP: http.DefaultClient, Endpoint: s.Address, Poll: time.Millisecond, Now: time.Now, Sink: s}
}

// Emit writes down what a user would read.
func (s *cloud) Emit(e event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := e.(type) {
	case event.ObjectApplied:
		s.said = append(s.said, e.Resource+" "+e.Verb)
	case event.WorkloadReady:
		s.said = append(s.said, e.Resource+" ready")
	case event.WorkloadProved:
		s.said = append(s.said, e.Resource+" runs "+e.Containers[0].Digest)
	case event.Warning:
		s.said = append(s.said, "warning: "+e.Message)
	case event.Note:
		s.said = append(s.said, e.Message)
	case event.RolloutProgress:
		s.said = append(s.said, e.Resource+": "+e.Message)
	}
}

func objects(t *testing.T, text string) (all []cloudrun.Object) {
	t.Helper()
	for i, part := range strings.Split(text, "---\n") {
		o := cloudrun.Object{Origin: fmt.Sprintf("run.yaml:%d", i+1)}
		if err := yaml.Unmarshal([]byte(part), &o.Fields); err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

func (s *cloud) run(d *cloudrun.Deployer, target cloudrun.Target, text string) error {
	s.Helper()
	s.said, s.Writes = nil, nil
	applied, err := d.Apply(s.Context(), target, objects(s.T, text))
	if err != nil {
		return err
	}
	digest := "sha256:" + strings.Repeat("1", 64)
	return d.Settle(s.Context(), applied, []cloudrun.Image{{Name: "web", Ref: "example.com/web:v1@" + digest, Digest: digest}, {Name: "other"}})
}

// plans checks what a preview says, and that nothing was written.
func (s *cloud) plans(d *cloudrun.Deployer, target cloudrun.Target, text string, want ...string) {
	s.Helper()
	s.Writes = nil
	all, err := d.Preview(s.Context(), target, objects(s.T, text))
	if err != nil {
		s.Fatal(err)
	}
	var got []string
	for _, o := range all {
		line := o.Action + " " + o.Resource + " in " + o.Namespace + " in " + o.Region
		for _, c := range o.Changes {
			line += fmt.Sprintf("; %s: %v → %v", c.Path, c.Before, c.After)
		}
		got = append(got, strings.Join(append([]string{line}, o.Notes...), "; "))
	}
	if !slices.Equal(got, want) {
		s.Errorf("planned is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	s.wrote()
}

func (s *cloud) says(want ...string) {
	s.Helper()
	for _, text := range want {
		if !slices.ContainsFunc(s.said, func(line string) bool { return strings.Contains(line, text) }) {
			s.Errorf("%q was not said, but\n%s", text, strings.Join(s.said, "\n"))
		}
	}
}

func (s *cloud) wrote(want ...string) {
	s.Helper()
	if len(s.Writes) != len(want) {
		s.Fatalf("%d writes, want %d:\n%s", len(s.Writes), len(want), strings.Join(s.Writes, "\n"))
	}
	for _, text := range want {
		if !slices.ContainsFunc(s.Writes, func(line string) bool { return strings.Contains(line, text) }) {
			s.Errorf("%q was not written, but\n%s", text, strings.Join(s.Writes, "\n"))
		}
	}
}

var manifests = strings.ReplaceAll(`apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: web, labels: {team: blue}, annotations: {run.googleapis.com/ingress: all}}
spec:
  template:
    spec:
      containerConcurrency: 0
      containers:
      - image: example.com/web:v1@DIGEST
        env: [{name: PORT_OF_OTHER, value: 8080}, {name: EMPTY, value: ""}]
        resources: {limits: {cpu: 1, memory: 512Mi}}
        colour: red
---
apiVersion: run.googleapis.com/v1
kind: Job
metadata: {name: nightly}
spec: {template: {spec: {template: {spec: {maxRetries: 0, containers: [{image: example.com/nightly}]}}}}}
---
apiVersion: run.googleapis.com/v1
kind: WorkerPool
metadata: {name: pool}
spec: {template: {spec: {containers: [{image: example.com/pool}]}}}
`, "DIGEST", "sha256:"+strings.Repeat("1", 64))

func TestDeploy(t *testing.T) {
	s, d := newCloud(t)
	target := cloudrun.Target{Project: "shop", Region: "europe-west1", Wait: true}
	const web, nightly, pool = "service.serving.knative.dev/web in shop in europe-west1", "job.run.googleapis.com/nightly in shop in europe-west1", "workerpool.run.googleapis.com/pool in shop in europe-west1"
	s.plans(d, target, manifests, "create "+web, "create "+nightly, "create "+pool)
	if err := s.run(d, target, manifests); err != nil {
		t.Fatal(err)
	}
	s.says("service.serving.knative.dev/web created", "job.run.googleapis.com/nightly created", "workerpool.run.googleapis.com/pool created",
		"service.serving.knative.dev/web: Deploying revision", "service.serving.knative.dev/web ready", "service.serving.knative.dev/web runs sha256:111",
		"service.serving.knative.dev/web is at https://web.example.com",
		"warning: service.serving.knative.dev/web (run.yaml:1): Cloud Run knows no field .spec.template.spec.containers.colour: it is left out")
	s.wrote("POST /v1/projects/shop/locations/europe-west1/services: ", "POST /apis/run.googleapis.com/v1/namespaces/shop/jobs: ",
		"POST /apis/run.googleapis.com/v1/namespaces/shop/workerpools: ")
	// What is zero is sent as well, and numbers as text where Cloud Run wants that.
	s.wrote(`"containerConcurrency":0`, `"maxRetries":0`, `{"cpu":"1","memory":"512Mi"}`)
	s.wrote(`{"name":"PORT_OF_OTHER","value":"8080"},{"name":"EMPTY","value":""}`, `"namespace":"shop"`, `"labels":{"team":"blue"}`)

	if err := s.run(d, target, manifests); err != nil {
		t.Fatal(err)
	}
	s.wrote()
	s.says("service.serving.knative.dev/web unchanged", "job.run.googleapis.com/nightly unchanged", "service.serving.knative.dev/web runs sha256:111")

	s.plans(d, target, manifests, "unchanged "+web, "unchanged "+nightly, "unchanged "+pool)
	s.plans(d, target, strings.Replace(manifests, "maxRetries: 0", "maxRetries: 1", 1), "unchanged "+web,
		"change "+nightly+"; spec.template.spec.template.spec.maxRetries: <nil> → 1", "unchanged "+pool)
	if err := s.run(d, target, strings.Replace(manifests, "maxRetries: 0", "maxRetries: 1", 1)); err != nil {
		t.Fatal(err)
	}
	s.wrote("PUT /apis/run.googleapis.com/v1/namespaces/shop/jobs/nightly: ")
	// A value that is taken out of the manifest goes, and what somebody else changed comes back. What the server filled in stays.
	live := s.Objects["/v1/projects/shop/locations/europe-west1/services/web"]["metadata"].(map[string]any)
	live["annotations"].(map[string]any)["run.googleapis.com/operation-id"] = "1"
	s.plans(d, target, strings.Replace(manifests, ", annotations: {run.googleapis.com/ingress: all}", "", 1),
		`change `+web+`; metadata.annotations["run.googleapis.com/ingress"]: all → <nil>`, "change "+nightly+"; spec.template.spec.template.spec.maxRetries: 1 → 0", "unchanged "+pool)
	if err := s.run(d, target, strings.Replace(manifests, ", annotations: {run.googleapis.com/ingress: all}", "", 1)); err != nil {
		t.Fatal(err)
	}
	s.wrote("PUT /v1/projects/shop/locations/europe-west1/services/web: ", "PUT /apis/run.googleapis.com/v1/namespaces/shop/jobs/nightly: ")
	s.Objects["/v1/projects/shop/locations/europe-west1/services/web"]["metadata"].(map[string]any)["labels"] = map[string]any{"team": "red"}
	if err := s.run(d, target, strings.Replace(manifests, ", annotations: {run.googleapis.com/ingress: all}", "", 1)); err != nil {
		t.Fatal(err)
	}
	s.wrote("services/web: ")
	live = s.Objects["/v1/projects/shop/locations/europe-west1/services/web"]["metadata"].(map[string]any)
	live["annotations"], live["labels"] = nil, map[string]any{"team": "red"}
	s.plans(d, target, manifests[:strings.Index(manifests, "---\n")],
		`change `+web+`; metadata.annotations: <nil> → map[run.googleapis.com/ingress:all]; metadata.labels.team: red → blue; davit did not deploy it: what the manifest does not have is taken out of it, too`)

	for _, want := range [][]string{{"service.serving.knative.dev/web deleted", "job.run.googleapis.com/nightly deleted", "workerpool.run.googleapis.com/pool deleted"}, nil} {
		s.said = nil
		if err := d.Delete(t.Context(), target, objects(t, manifests)); err != nil {
			t.Fatal(err)
		}
		if s.says(want...); len(s.Objects) > 0 || want == nil && slices.ContainsFunc(s.said, func(line string) bool { return strings.Contains(line, "deleted") }) {
			t.Errorf("after delete there are %v; said %q", s.Objects, s.said)
		}
	}
}

func TestProject(t *testing.T) {
	s, d := newCloud(t)
	mine := strings.Replace(manifests[:strings.Index(manifests, "---\n")], "name: web", "name: web, namespace: mine", 1)
	if err := s.run(d, cloudrun.Target{Region: "r"}, mine); err != nil {
		t.Fatal(err)
	}
	s.wrote("POST /v1/projects/mine/locations/r/services: ")
	err := s.run(d, cloudrun.Target{Region: "r"}, manifests)
	if err == nil || !strings.Contains(err.Error(), "run.yaml:2: the project of job.run.googleapis.com/nightly is not known: set deploy.cloudrun.projectid, --cloud-run-project") {
		t.Errorf("error %v", err)
	}
	s.wrote()
}

func TestFailures(t *testing.T) {
	s, d := newCloud(t)
	target := cloudrun.Target{Project: "shop", Region: "r", Wait: true}
	fails := func(target cloudrun.Target, text string, want ...string) {
		t.Helper()
		err := s.run(d, target, text)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("error %v\nwant %s", err, w)
			}
		}
	}
	fails(target, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n", "run.yaml:1: Cloud Run has no ConfigMap of v1: it takes Service")
	s.wrote()
	s.Refuse = http.StatusForbidden
	fails(target, manifests, "reading service.serving.knative.dev/web (run.yaml:1) in project shop: 403 Forbidden: not for you; the account needs the role", "job.run", "pool")
	s.Refuse = 0
	s.Broken["web"] = "the container failed to listen on PORT=8080"
	fails(target, manifests, "deploying service.serving.knative.dev/web (run.yaml:1) in project shop: it does not get ready: the container failed to listen on PORT=8080")
	s.says("job.run.googleapis.com/nightly ready")
	target.Tolerate, target.Deadline = true, time.Second
	fails(target, manifests, "it is not ready after 1s: the container failed to listen")
	target.Wait = false
	if err := s.run(d, target, manifests); err != nil {
		t.Error(err)
	}
}
