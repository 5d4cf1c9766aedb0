package cli

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/deploy/cloudrun/cloudruntest"
)

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestCloudRun deploys to a stand-in for Cloud Run, without any cluster, and takes it away again.
func TestCloudRun(t *testing.T) {
	server := cloudruntest.Start(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"skaffold.yaml": `apiVersion: skaffold/v4beta11
kind: Config
metadata: {name: shop}
manifests: {rawYaml: [service.yaml]}
deploy:
  cloudrun:
    projectid: shop
    region: europe-west1
    hooks:
      before: [{command: [echo, "about to deploy"]}]
      after: [{command: [sh, -c, "echo deployed as $SKAFFOLD_RUN_ID"]}]
`,
		"service.yaml": `apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: web}
spec: {template: {spec: {containers: [{image: example.com/web}]}}}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(code int, environ []string, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		w := World{Stdout: &out, Stderr: &out, Dir: dir, Home: t.TempDir(), Now: time.Now, Environ: append([]string{"PATH=" + os.Getenv("PATH")}, environ...)}
		if got := Main(w, args); got != code {
			t.Fatalf("davit %s: exit code %d, want %d:\n%s", strings.Join(args, " "), got, code, out.String())
		}
		return out.String()
	}
	set := func(old, with string) {
		t.Helper()
		text := strings.Replace(string(read(t, filepath.Join(dir, "service.yaml"))), old, with, 1)
		if err := os.WriteFile(filepath.Join(dir, "service.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cloud := []string{"CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN=" + server.Address}
	// A plan says it first, and is carried out as it was saved.
	if said := run(2, cloud, "plan", "--exit-code", "--save", "plan.json"); said != "Cloud Run\n  + create service.serving.knative.dev/web in shop, europe-west1  service.yaml:1\n1 object to create.\n" {
		t.Errorf("the plan is\n%s", said)
	}
	set("image: example.com/web", "image: example.com/shop")
	if said := run(1, cloud, "run", "--plan", "plan.json"); !strings.Contains(said, "service.serving.knative.dev/web in project shop, europe-west1: its manifest changed") || len(server.Objects) > 0 {
		t.Errorf("it says\n%s", said)
	}
	set("image: example.com/shop", "image: example.com/web")
	run(0, cloud, "run", "--plan", "plan.json")
	if said := run(0, cloud, "plan", "--exit-code"); said != "Cloud Run\n  = 1 object unchanged\nNothing to do.\n" {
		t.Errorf("afterwards the plan is\n%s", said)
	}
	run(0, cloud, "diff", "--exit-code")
	set("image: example.com/web", "image: example.com/shop")
	if said := run(2, cloud, "diff", "--exit-code"); !strings.Contains(said, "~ change service.serving.knative.dev/web in shop, europe-west1") ||
		!strings.Contains(said, "- example.com/web\n      + example.com/shop\n") {
		t.Errorf("the difference is\n%s", said)
	}
	if said := run(0, cloud, "plan", "--output", "json"); !strings.Contains(said, `"place":"cloudrun","region":"europe-west1"`) || !strings.Contains(said, `"after":"example.com/shop"`) {
		t.Errorf("the plan is\n%s", said)
	}
	set("image: example.com/shop", "image: example.com/web")
	run(0, cloud, "delete")
	for _, step := range []struct {
		args []string
		want []string
	}{
		{[]string{"run"}, []string{"about to deploy", "service.serving.knative.dev/web created", "service.serving.knative.dev/web is ready", "https://web.example.com", "deployed as "}},
		{[]string{"run"}, []string{"service.serving.knative.dev/web unchanged"}},
		{[]string{"run", "--cloud-run-project", "other", "--cloud-run-location=us-east1"}, []string{"service.serving.knative.dev/web created"}},
		{[]string{"delete"}, []string{"service.serving.knative.dev/web deleted"}},
	} {
		said := run(0, cloud, step.args...)
		for _, want := range step.want {
			i := strings.Index(said, want)
			if i < 0 {
				t.Fatalf("davit %s: %q is not, or not in this order, in\n%s", strings.Join(step.args, " "), want, said)
			}
			said = said[i:]
		}
	}
	if _, there := server.Objects["/v1/projects/other/locations/us-east1/services/web"]; !there || len(server.Objects) != 1 {
		t.Errorf("there are %v", server.Objects)
	}
	// Another revision, and back to the one before.
	service := filepath.Join(dir, "service.yaml")
	write := func(image string) {
		text := "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: web}\nspec: {template: {spec: {containerConcurrency: 0, containers: [{image: " + image + "}]}}}\n"
		if err := os.WriteFile(service, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	serves := func(want string) {
		t.Helper()
		spec := server.Objects["/v1/projects/shop/locations/europe-west1/services/web"]["spec"].(map[string]any)
		if got := fmt.Sprint(spec["traffic"]); got != want || fmt.Sprint(spec["template"].(map[string]any)["spec"].(map[string]any)["containerConcurrency"]) != "0" {
			t.Errorf("requests are led to %s, want %s, by %v", got, want, spec)
		}
	}
	write("example.com/web:1")
	run(0, cloud, "run")
	write("example.com/web:2")
	run(0, cloud, "run")
	if said := run(0, cloud, "history"); !regexp.MustCompile(`davit-shop\n  service web in project shop, europe-west1\n(.*\n) +2 .* ready +100% +web-0000\d-abc +web:2\n +1 .* ready +0% +web-0000\d-abc +web:1\n`).MatchString(said) {
		t.Errorf("the history is\n%s", said)
	}
	if said := run(0, cloud, "rollback"); !strings.Contains(said, "service.serving.knative.dev/web is back at revision 1, web-0000") {
		t.Errorf("the rollback says\n%s", said)
	}
	serves("[map[percent:100 revisionName:web-00001-abc]]")
	run(1, cloud, "rollback") // there is none before
	run(0, cloud, "rollback", "2")
	serves("[map[percent:100 revisionName:web-00002-abc]]")
	run(1, cloud, "rollback", "7")
	if said := run(0, cloud, "run"); !strings.Contains(said, "service.serving.knative.dev/web configured") {
		t.Errorf("the run after it says\n%s", said)
	}
	serves("<nil>")

	// There are no credentials on this machine, and where they are asked for then nobody answers.
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GCE_METADATA_HOST", "127.0.0.1:1")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	if said := run(1, nil, "run"); !strings.Contains(said, "deploying to Cloud Run needs credentials of Google: ") || !strings.Contains(said, "; run `gcloud auth application-default login`") {
		t.Errorf("without credentials it says\n%s", said)
	}
}

// TestCloudRunLogsAndPorts has a stand-in for gcloud, as nobody here may ask Google: it says how it was called, prints a line or opens the port, and ends.
func TestCloudRunLogsAndPorts(t *testing.T) {
	server := cloudruntest.Start(t)
	bin, busybox := t.TempDir(), "/bin/busybox"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	dir := t.TempDir()
	for name, text := range map[string]string{
		filepath.Join(dir, "skaffold.yaml"): `apiVersion: skaffold/v4beta11
kind: Config
metadata: {name: shop}
manifests: {rawYaml: [service.yaml]}
deploy: {cloudrun: {projectid: shop, region: europe-west1}}
portForward: [{resourceType: service, resourceName: web, port: 8080, localPort: ` + port + `}]
`,
		filepath.Join(dir, "service.yaml"): "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{image: example.com/web}]}}}\n",
		filepath.Join(bin, "gcloud"):       "#!" + busybox + " sh\necho $PYTHONUNBUFFERED $*\ncase $* in *proxy*) " + busybox + " nc -l -p " + port + ";; *) echo nobody calls >&2; exit 3;; esac\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	run := func(want int, flag string) string {
		t.Helper()
		var out bytes.Buffer
		w := World{Stdout: &out, Stderr: &out, Dir: dir, Home: t.TempDir(), Now: time.Now, Environ: []string{"CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN=" + server.Address}}
		if got := Main(w, []string{"run", flag}); got != want {
			t.Fatalf("davit run %s: exit code %d, want %d:\n%s", flag, got, want, out.String())
		}
		return out.String()
	}
	says := func(said string, texts ...string) {
		t.Helper()
		for _, want := range texts {
			if !strings.Contains(said, want) {
				t.Errorf("%q is not in\n%s", want, said)
			}
		}
	}
	t.Setenv("PATH", bin)
	says(run(1, "--tail"), "[web] 1 alpha run services logs tail web --project shop --region europe-west1\n", "[web] nobody calls\n", "Press Ctrl+C to exit",
		"reading the log of service.serving.knative.dev/web: gcloud ended (exit status 3); what it said is above")
	says(run(1, "--port-forward"), "[web] 1 beta run services proxy web --project shop --region europe-west1 --port "+port+"\n",
		"Port forwarding service.serving.knative.dev/web in namespace shop, remote port 443 -> http://127.0.0.1:"+port, "gcloud ended")
	says(run(0, "--port-forward=off"), "service.serving.knative.dev/web unchanged")
	t.Setenv("PATH", dir)
	says(run(1, "--tail"), "--tail and --port-forward for Cloud Run need the gcloud command", "install the Google Cloud CLI", "what was deployed stays")
}
