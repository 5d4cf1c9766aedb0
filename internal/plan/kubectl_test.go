package plan_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/config/load"
	"github.com/davit-dev/davit/internal/config/template"
	"github.com/davit-dev/davit/internal/plan"
)

// withFlags plans the deployment of a config with these flags of kubectl.
func withFlags(t *testing.T, flags string, o plan.Options) (plan.Deployment, error) {
	t.Helper()
	dir := t.TempDir()
	config := "apiVersion: skaffold/v4beta13\nkind: Config\nmetadata: {name: shop}\nmanifests: {rawYaml: [a.yaml]}\ndeploy: {kubectl: {flags: " + flags + "}}\n"
	if err := os.WriteFile(filepath.Join(dir, "skaffold.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	configs, err := load.Load(t.Context(), load.Options{Dir: dir, Command: "run"})
	if err != nil {
		t.Fatal(err)
	}
	o.Templates = template.New(template.Environment{})
	all, err := plan.Deployments(configs, "", o)
	if err != nil {
		return plan.Deployment{}, err
	}
	return all[0], nil
}

func TestFlagsOfKubectl(t *testing.T) {
	for _, test := range []struct {
		flags string
		as    func(plan.Deployment) bool
	}{
		{"{}", func(d plan.Deployment) bool { return !d.Force && !d.Prune && !d.NoForceConflicts && d.ByKubectl == nil }},
		{"{disableValidation: true}", func(d plan.Deployment) bool { return d.Validation == "Ignore" }},
		{"{apply: [--validate=false]}", func(d plan.Deployment) bool { return d.Validation == "Ignore" }},
		{"{apply: [--validate, --force]}", func(d plan.Deployment) bool { return d.Validation == "Strict" && d.Force }},
		{"{apply: [--validate=warn]}", func(d plan.Deployment) bool { return d.Validation == "Warn" }},
		{"{apply: [--server-side]}", func(d plan.Deployment) bool { return d.NoForceConflicts }},
		{"{apply: [--server-side, --force-conflicts=true]}", func(d plan.Deployment) bool { return !d.NoForceConflicts }},
		{"{apply: [--field-manager, me, --prune, --all]}", func(d plan.Deployment) bool { return d.Manager == "me" && d.Prune }},
		{"{global: [-n, there]}", func(d plan.Deployment) bool { return d.Namespace == "there" && d.ByKubectl == nil }},
		{"{global: [-v=9, --cache-dir=x]}", func(d plan.Deployment) bool { return len(d.Notes) == 2 && d.ByKubectl == nil }},
		{"{apply: [--grace-period=3, --timeout=5s, --cascade=orphan]}", func(d plan.Deployment) bool {
			return *d.Replaced.Grace == 3 && d.Replaced.Timeout.Seconds() == 5 && d.Replaced.Cascade == "orphan" && d.Deleted.Grace == nil
		}},
		{"{delete: [--force, --wait=false]}", func(d plan.Deployment) bool { return *d.Deleted.Grace == 0 && d.Deleted.NoWait && !d.Force }},
		{"{delete: [--now, --cascade=foreground]}", func(d plan.Deployment) bool { return *d.Deleted.Grace == 1 && d.Deleted.Cascade == "foreground" }},
		// What only kubectl knows leaves that command to it, and only that.
		{"{global: [--as=me], apply: [--force]}", func(d plan.Deployment) bool {
			return strings.Join(d.ByKubectl.Apply, " ") == "apply --as=me --force" && strings.HasPrefix(strings.Join(d.ByKubectl.Delete, " "), "delete --as=me ")
		}},
		{"{apply: [--record], delete: [--now]}", func(d plan.Deployment) bool { return d.ByKubectl.Delete == nil && *d.Deleted.Grace == 1 }},
		{"{apply: [-l, app=x]}", func(d plan.Deployment) bool { return d.ByKubectl.Apply != nil }},
		{"{apply: [--overwrite=false]}", func(d plan.Deployment) bool { return d.ByKubectl.Apply != nil }},
		{"{delete: [--prune]}", func(d plan.Deployment) bool { return d.ByKubectl.Delete != nil && d.ByKubectl.Apply == nil }},
		{"{apply: [--record], disableValidation: true}", func(d plan.Deployment) bool {
			return strings.Join(d.ByKubectl.Apply, " ") == "apply --record --validate=false"
		}},
	} {
		d, err := withFlags(t, test.flags, plan.Options{})
		if err != nil || !test.as(d) {
			t.Errorf("%s: %+v, %v", test.flags, d.Applying, err)
		}
	}
	d, err := withFlags(t, "{apply: [--record]}", plan.Options{Force: true, Namespace: "mine"})
	if err != nil || strings.Join(d.ByKubectl.Apply, " ") != "apply --record --force --grace-period=0" || d.Namespace != "mine" {
		t.Errorf("%+v, %v", d.Applying, err)
	}
	if want := "skaffold.yaml:5:36: --record is a flag that only the kubectl command knows"; !strings.Contains(d.ByKubectl.Missing.Error(), want) {
		t.Errorf("without kubectl: %v", d.ByKubectl.Missing)
	}
}

func TestFlagsOfKubectlThatCannotBe(t *testing.T) {
	for flags, want := range map[string]string{
		"{apply: [--force, --context=other]}": "skaffold.yaml:5:45: --context cannot be set here",
		"{global: [--kubeconfig, x]}":         "use --kube-context or --kubeconfig",
		"{apply: [--validate=maybe]}":         "--validate=maybe is not known",
		"{delete: [--cascade=maybe]}":         "--cascade=maybe is not known",
		"{apply: [--timeout=soon]}":           "the flags cannot be understood",
	} {
		if _, err := withFlags(t, flags, plan.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", flags, err, want)
		}
	}
}
