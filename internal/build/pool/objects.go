package pool

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/davit-dev/davit/internal/kube"
)

// What marks davit's pools.
const (
	labelManagedBy   = "app.kubernetes.io/managed-by"
	managedBy        = "davit"
	labelPool        = "davit.dev/pool"
	annotationConfig = "davit.dev/config" // of the pod template: the digest of buildkitd's configuration

	container  = "buildkitd"
	configFile = "buildkitd.toml"

	noProcessSandbox = "--oci-worker-no-process-sandbox"
)

type object = map[string]any

// layout is where an image has what a pod needs to know of, as moby/buildkit has it.
type layout struct{ socket, state, config string }

func (o Options) layout() layout {
	if o.Rootless {
		return layout{"unix:///run/user/1000/buildkit/buildkitd.sock", "/home/user/.local/share/buildkit", "/home/user/.config/buildkit"}
	}
	return layout{"unix:///run/buildkit/buildkitd.sock", "/var/lib/buildkit", "/etc/buildkit"}
}

// buildctl is a call of buildctl in a pod.
func (o Options) buildctl(args ...string) []string {
	return append([]string{"buildctl", "--addr", o.layout().socket}, args...)
}

// objects are what the pool is in the cluster. No port is open, so there is no Service.
func (o Options) objects() ([]kube.Object, error) {
	config := o.config()
	var all []kube.Object
	for _, fields := range []object{
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": o.metadata(), "data": object{configFile: config}},
		{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": o.metadata(), "spec": o.statefulSet(config)},
	} {
		made, err := kube.NewObject(fields, "")
		if err != nil {
			return nil, err
		}
		all = append(all, made)
	}
	return all, nil
}

func (o Options) labels() object {
	return object{
		"app.kubernetes.io/name": "buildkitd", "app.kubernetes.io/component": "builder", labelManagedBy: managedBy, labelPool: o.Name,
	}
}

func (o Options) metadata() object {
	return object{"name": o.Name, "namespace": o.Namespace, "labels": o.labels()}
}

// config is buildkitd's configuration (docs/buildkitd.toml.md of BuildKit).
func (o Options) config() string {
	var b strings.Builder
	if o.Keep != "" {
		fmt.Fprintf(&b, "[worker.oci]\ngc = true\nmaxUsedSpace = %q\n", o.Keep)
	}
	for _, registry := range o.Insecure {
		fmt.Fprintf(&b, "[registry.%q]\nhttp = true\ninsecure = true\n", registry)
	}
	return b.String()
}

// statefulSet gives replicas names that stay, by which artifacts find them again.
func (o Options) statefulSet(config string) object {
	pod := o.pod()
	spec := object{
		"serviceName": o.Name, "replicas": o.Replicas, "podManagementPolicy": "Parallel",
		"selector": object{"matchLabels": object{labelPool: o.Name}},
		"template": object{
			"metadata": object{"labels": o.labels(), "annotations": object{annotationConfig: fmt.Sprintf("%x", sha256.Sum256([]byte(config)))}},
			"spec":     pod,
		},
	}
	if o.Storage == "" {
		pod["volumes"] = append(pod["volumes"].([]any), object{"name": "state", "emptyDir": object{}})
		return spec
	}
	spec["volumeClaimTemplates"] = []any{object{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": object{"name": "state"},
		"spec": object{"accessModes": []any{"ReadWriteOnce"}, "resources": object{"requests": object{"storage": o.Storage}}},
	}}
	spec["persistentVolumeClaimRetentionPolicy"] = object{"whenDeleted": "Delete", "whenScaled": "Delete"}
	return spec
}

func (o Options) pod() object {
	l := o.layout()
	args := []any{"--addr", l.socket, "--config", l.config + "/" + configFile}
	security := object{"privileged": true}
	pod := object{
		// Nothing in the pod speaks to the cluster.
		"automountServiceAccountToken": false, "enableServiceLinks": false,
		"volumes": []any{object{"name": "config", "configMap": object{"name": o.Name}}},
		"topologySpreadConstraints": []any{object{
			"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
			"labelSelector": object{"matchLabels": object{labelPool: o.Name}},
		}},
	}
	if o.Rootless {
		// As BuildKit's docs/rootless.md has it: user namespaces are made by the program itself, which the usual profiles forbid.
		args = append(args, noProcessSandbox)
		unconfined := object{"type": "Unconfined"}
		security = object{"runAsUser": 1000, "runAsGroup": 1000, "seccompProfile": unconfined, "appArmorProfile": unconfined}
		pod["securityContext"] = object{"fsGroup": 1000}
	}
	if o.HostNetwork {
		pod["hostNetwork"], pod["dnsPolicy"] = true, "ClusterFirstWithHostNet"
	}
	if len(o.NodeSelector) > 0 {
		pod["nodeSelector"] = o.NodeSelector
	}
	if o.ServiceAccount != "" {
		pod["serviceAccountName"] = o.ServiceAccount
	}
	answers := object{"command": o.buildctl("debug", "workers")}
	pod["containers"] = []any{object{
		"name": container, "image": o.Image, "args": args, "securityContext": security,
		"resources":    object{"requests": o.Requests, "limits": o.Limits},
		"startupProbe": object{"exec": answers, "initialDelaySeconds": 1, "periodSeconds": 1, "timeoutSeconds": 10, "failureThreshold": 120},
		// A busy replica may be slow, and is busy with somebody's build: it is never restarted for that.
		"readinessProbe": object{"exec": answers, "periodSeconds": 15, "timeoutSeconds": 15},
		"volumeMounts":   []any{object{"name": "state", "mountPath": l.state}, object{"name": "config", "mountPath": l.config}},
	}}
	return pod
}
