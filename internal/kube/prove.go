package kube

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/davit-dev/davit/internal/event"
	corev1 "k8s.io/api/core/v1"
)

// Built is an image that this run stands for.
type Built struct {
	Image   string   // as in the config
	Digests []string // "sha256:...": the index and the manifests in it; any of them is that image
	// Refs are references without a digest that mean the image, as manifests name it: one that was loaded into the nodes has a tag of its own.
	Refs []string
}

// ProofError says that a container runs something else than what was built.
type ProofError struct {
	Resource, Namespace, Pod, Container string
	Image                               string // as in the config
	Want                                string // the digest in the pod's spec, its reference when it has none
	Found                               string // the image ID that runs
}

func (e *ProofError) Error() string {
	return fmt.Sprintf("%s in namespace %s: pod %s, container %s runs %s, but %s was built as %s: delete the pod; "+
		"if it comes back the same, something between davit and the node (a registry mirror, an admission webhook) changes images",
		e.Resource, e.Namespace, e.Pod, e.Container, e.Found, e.Image, e.Want)
}

// Prove compares what runs with what was built: each running or ended container of the latest generation, init containers
// too, whose image in the pod's spec carries the digest of a built image, or is one of its references, must have an image ID of that image. It sends
// nothing; r comes from Wait or Observe. The error joins a [*ProofError] for each container that differs.
func Prove(r *Rollout, built []Built, sink event.Sink) error {
	var errs []error
	for _, w := range r.Workloads {
		proved, err := proveWorkload(w, built)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if w.Kind == "CronJob" {
			sink.Emit(event.Note{Message: w.Resource + " runs nothing now: there is nothing to prove until its next time"})
		}
		if len(proved) > 0 {
			sink.Emit(event.WorkloadProved{Resource: w.Resource, Namespace: w.Namespace, Containers: proved})
		}
	}
	return errors.Join(errs...)
}

func proveWorkload(w Workload, built []Built) ([]event.ProvedContainer, error) {
	var proved []event.ProvedContainer
	var errs []error
	for _, pod := range w.Pods {
		for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			image, ok := builtAs(c.Image, built)
			id := imageID(pod, c.Name)
			if !ok || id == "" {
				continue
			}
			if !slices.Contains(image.Digests, digestIn(id)) {
				errs = append(errs, &ProofError{Resource: w.Resource, Namespace: w.Namespace, Pod: pod.Name, Container: c.Name, Image: image.Image,
					Want: cmp.Or(digestIn(c.Image), c.Image), Found: id})
				continue
			}
			proved = addProof(proved, event.ProvedContainer{Name: c.Name, Image: image.Image, Digest: digestIn(id), Pods: 1})
		}
	}
	return proved, errors.Join(errs...)
}

func addProof(proved []event.ProvedContainer, p event.ProvedContainer) []event.ProvedContainer {
	for i := range proved {
		if proved[i].Name == p.Name && proved[i].Digest == p.Digest {
			proved[i].Pods++
			return proved
		}
	}
	return append(proved, p)
}

func builtAs(reference string, built []Built) (Built, bool) {
	digest := digestIn(reference)
	i := slices.IndexFunc(built, func(b Built) bool {
		return digest != "" && slices.Contains(b.Digests, digest) || slices.Contains(b.Refs, reference)
	})
	if i < 0 {
		return Built{}, false
	}
	return built[i], true
}

// imageID is what the runtime says the container runs; "" if it has not started.
func imageID(pod *corev1.Pod, container string) string {
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if s.Name == container && (s.State.Running != nil || s.State.Terminated != nil) {
			return s.ImageID
		}
	}
	return ""
}

// digestIn finds the digest in an image reference or image ID, of which runtimes write several forms: "name@sha256:...",
// "docker-pullable://name@sha256:...", "sha256:...".
func digestIn(s string) string {
	i := strings.LastIndex(s, "sha256:")
	if i < 0 {
		return ""
	}
	return s[i:]
}

// ProofErrors takes the containers that differ out of what Prove returns.
func ProofErrors(err error) []*ProofError {
	var all []*ProofError
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // before As, which would find the first of them
		for _, e := range joined.Unwrap() {
			all = append(all, ProofErrors(e)...)
		}
		return all
	}
	if proof, ok := errors.AsType[*ProofError](err); ok {
		all = append(all, proof)
	}
	return all
}
