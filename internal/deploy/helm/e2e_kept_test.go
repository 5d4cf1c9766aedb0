//go:build e2e

package helm_test

import "testing"

func TestKeptReleaseThatIsNotReady(t *testing.T) {
	p := newPlace(t)
	r := p.chart("web", `
-- templates/web.yaml --
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 1, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {nodeSelector: {none: here}, containers: [{name: main, image: example.org/none}]}}}
`)
	p.mustDeploy(r)
	r.Keep = true
	expect(t, p.mustDeploy(r), "release/web unchanged", "warning: release web is left alone, and not ready: deployment.apps/web: ")
	p.remove(kind("apps", "Deployment"), p.namespace, "web")
	expect(t, p.mustDeploy(r), "warning: release web is left alone, and not ready: deployment.apps/web: it is not there")
}
