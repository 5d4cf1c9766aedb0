package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// configMaps and appliedServices are how many objects are applied.
const (
	configMaps      = 500
	appliedServices = 100 // each a Deployment and a Service
)

// apply compares how long many objects take to reach the cluster: ConfigMaps that are not there yet, the same again, Deployments with Services again, and
// with one of them changed. The reference needs minutes for it, so everything is measured once, whatever --rounds says. No pods run.
func (b *bench) apply(ctx context.Context) error {
	once := *b
	once.rounds = 1
	return once.applyOnce(ctx)
}

func (b *bench) applyOnce(ctx context.Context) error {
	stop, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	defer stop()
	maps := map[string]string{}
	for i := range configMaps {
		maps[fmt.Sprintf("k8s/map-%03d.yaml", i)] = fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map-%d}\ndata: {number: \"%[1]d\", text: %q}\n", i, strings.Repeat("some text ", 20))
	}
	pods := map[string]string{}
	for i := range appliedServices {
		pods[serviceFile(i)] = serviceManifest(i, "first")
	}
	err = b.withObjects(ctx, "maps", maps, func(ref, own side) error {
		if err := b.compare(ctx, fmt.Sprintf("%d ConfigMaps, first", configMaps), ref, own, nil, "run"); err != nil {
			return err
		}
		return b.compare(ctx, fmt.Sprintf("%d ConfigMaps, again", configMaps), ref, own, nil, "run")
	})
	if err != nil {
		return err
	}
	return b.withObjects(ctx, "services", pods, func(ref, own side) error {
		for _, s := range []side{ref, own} {
			if _, err := b.measure(ctx, s, "run"); err != nil { // puts them there, not counted
				return err
			}
		}
		if err := b.compare(ctx, fmt.Sprintf("%d services, again", appliedServices), ref, own, nil, "run"); err != nil {
			return err
		}
		change := func(s side, round int) error {
			text := serviceManifest(appliedServices/2, fmt.Sprintf("round %d", round))
			return os.WriteFile(filepath.Join(s.dir, serviceFile(appliedServices/2)), []byte(text), 0o600)
		}
		return b.compare(ctx, fmt.Sprintf("%d services, one changed", appliedServices), ref, own, change, "run")
	})
}

// withObjects gives each side a folder and a namespace of its own with these files. Without a config, they are manifests in k8s.
func (b *bench) withObjects(ctx context.Context, name string, files map[string]string, work func(ref, own side) error) error {
	if files["skaffold.yaml"] == "" {
		files["skaffold.yaml"] = "apiVersion: skaffold/v4beta11\nkind: Config\nmetadata: {name: bench}\nmanifests: {rawYaml: [k8s/*.yaml]}\ndeploy: {kubectl: {}}\n"
	}
	var sides []side
	for _, s := range []side{{binary: b.reference, namespace: "bench-ref-" + name}, {binary: b.davit, namespace: "bench-own-" + name}} {
		s.dir = filepath.Join(b.tmp, s.namespace)
		for file, text := range files {
			path := filepath.Join(s.dir, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				return err
			}
		}
		if err := b.kubectl(ctx, "create", "namespace", s.namespace); err != nil {
			return err
		}
		defer func() { _ = b.kubectl(context.WithoutCancel(ctx), "delete", "namespace", s.namespace, "--wait=false") }()
		sides = append(sides, s)
	}
	return work(sides[0], sides[1])
}

func serviceFile(i int) string { return fmt.Sprintf("k8s/service-%03d.yaml", i) }

// serviceManifest is a Deployment without pods, and its Service.
func serviceManifest(i int, value string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: service-%[1]d, labels: {app: service-%[1]d}}
spec:
  replicas: 0
  selector: {matchLabels: {app: service-%[1]d}}
  template:
    metadata: {labels: {app: service-%[1]d}}
    spec:
      containers:
      - name: main
        image: registry.example.com/service-%[1]d:v1
        env: [{name: VALUE, value: %[2]q}]
        ports: [{name: http, containerPort: 8080}]
        resources: {requests: {cpu: 10m, memory: 16Mi}}
        readinessProbe: {httpGet: {path: /, port: http}}
---
apiVersion: v1
kind: Service
metadata: {name: service-%[1]d}
spec:
  selector: {app: service-%[1]d}
  ports: [{name: http, port: 80, targetPort: http}]
`, i, value)
}
