package helm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/render/helm"
)

type settings = helm.Deployment

var podKind = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}

// Policies of hooks, for their deletion and for what they print.
const (
	beforeCreation = "before-hook-creation"
	onSuccess      = "hook-succeeded"
	onFailure      = "hook-failed"
)

// hooksOf are the hooks of a moment in their order, by weight and name.
func (r *record) hooksOf(moment string) []*hook {
	var hooks []*hook
	for _, h := range r.Hooks {
		if slices.Contains(h.Events, moment) {
			hooks = append(hooks, h)
		}
	}
	slices.SortStableFunc(hooks, func(a, b *hook) int { return cmp.Or(cmp.Compare(a.Weight, b.Weight), cmp.Compare(a.Name, b.Name)) })
	return hooks
}

// runHooks runs the hooks of a moment one after the other. Each must have ended well before the next starts.
func (d *Deployer) runHooks(ctx context.Context, r *record, moment string, s settings) error {
	if s.NoHooks {
		return nil
	}
	hooks := r.hooksOf(moment)
	for i, h := range hooks {
		if err := d.runHook(ctx, r, h, s); err != nil {
			cleanup := context.WithoutCancel(ctx)
			err = errors.Join(fmt.Errorf("%s hook %s: %w", moment, h.Name, err), d.dropHook(cleanup, r, h, onFailure, s))
			for _, before := range hooks[:i] {
				err = errors.Join(err, d.dropHook(cleanup, r, before, onSuccess, s))
			}
			return err
		}
	}
	for _, h := range slices.Backward(hooks) {
		if err := d.dropHook(ctx, r, h, onSuccess, s); err != nil {
			return err
		}
	}
	return nil
}

func (d *Deployer) runHook(ctx context.Context, r *record, h *hook, s settings) error {
	if len(h.DeletePolicies) == 0 {
		h.DeletePolicies = []string{beforeCreation}
	}
	if err := d.dropHook(ctx, r, h, beforeCreation, s); err != nil {
		return err
	}
	h.LastRun = run{Started: moment{d.options.Now()}, Phase: "Running"}
	if err := d.store.update(ctx, r); err != nil {
		return err
	}
	applied, err := d.applyHook(ctx, r, h)
	if err == nil {
		err = d.awaitHook(ctx, applied, s)
	}
	h.LastRun.Completed, h.LastRun.Phase = moment{d.options.Now()}, "Succeeded"
	policy := onSuccess
	if err != nil {
		h.LastRun.Phase, policy = "Failed", onFailure
	}
	if slices.Contains(h.OutputLogPolicies, policy) {
		d.tellLogs(context.WithoutCancel(ctx), r, h, applied)
	}
	return err
}

func (d *Deployer) hookObjects(r *record, h *hook) ([]kube.Object, error) {
	objects, err := manifest.ParseMade("release "+r.Name+": "+h.Path, []byte(h.Manifest))
	if err != nil {
		return nil, err
	}
	return clusterObjects(r.Name, r.Namespace, objects, false)
}

func (d *Deployer) applyHook(ctx context.Context, r *record, h *hook) ([]kube.Applied, error) {
	objects, err := d.hookObjects(r, h)
	if err != nil {
		return nil, err
	}
	result, err := d.kube.Apply(ctx, kube.Set{}, objects, kube.ApplyOptions{Manager: fieldManager}, d.sink)
	return result.Objects, err
}

// awaitHook waits until a Job or Pod has ended; all else is done once it is there.
func (d *Deployer) awaitHook(ctx context.Context, applied []kube.Applied, s settings) error {
	for _, a := range applied {
		kind := a.Live.GetKind()
		if kind != "Job" && kind != "Pod" {
			continue
		}
		if _, err := d.kube.Wait(ctx, []kube.Applied{a}, kube.WaitOptions{Deadline: s.Timeout}, d.sink); err != nil {
			return err
		}
		if kind == "Job" {
			continue
		}
		var phase corev1.PodPhase
		err := d.kube.UntilPod(ctx, a.Live.GetNamespace(), a.Live.GetName(), s.Timeout, func(p *corev1.Pod) bool {
			if p != nil {
				phase = p.Status.Phase
			}
			return p == nil || phase == corev1.PodSucceeded || phase == corev1.PodFailed
		})
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("pod %s has not ended after %s", a.Live.GetName(), s.Timeout)
		case err != nil:
			return err
		case phase == corev1.PodFailed: // the wait says why
			if _, err := d.kube.Wait(ctx, []kube.Applied{a}, kube.WaitOptions{Deadline: s.Timeout}, d.sink); err != nil {
				return err
			}
			return fmt.Errorf("pod %s failed", a.Live.GetName())
		case phase != corev1.PodSucceeded:
			return fmt.Errorf("pod %s was deleted while it ran", a.Live.GetName())
		}
	}
	return nil
}

// dropHook deletes a hook's object if that is its policy.
func (d *Deployer) dropHook(ctx context.Context, r *record, h *hook, policy string, s settings) error {
	if h.Kind == "CustomResourceDefinition" || !slices.Contains(h.DeletePolicies, policy) {
		return nil
	}
	objects, err := d.hookObjects(r, h)
	if err == nil {
		err = d.kube.Delete(ctx, kube.Set{}, objects, kube.DeleteOptions{Deadline: max(s.Timeout, time.Second)}, d.sink)
	}
	if err != nil {
		return fmt.Errorf("clearing hook %s away: %w", h.Name, err)
	}
	return nil
}

// tellLogs shows what a hook printed. Without it, what the hook did still counts.
func (d *Deployer) tellLogs(ctx context.Context, r *record, h *hook, applied []kube.Applied) {
	for _, a := range applied {
		selector := ""
		switch a.Live.GetKind() {
		case "Job":
			selector = "job-name=" + a.Live.GetName()
		case "Pod":
		default:
			continue
		}
		pods, err := d.kube.Pods(ctx, a.Live.GetNamespace(), selector)
		for _, p := range pods {
			if err == nil && (selector != "" || p.Name == a.Live.GetName()) {
				err = d.kube.Logs(ctx, p, func(container, text string) {
					d.sink.Emit(event.Note{Message: fmt.Sprintf("release %s, hook %s, %s: %s", r.Name, h.Name, container, text)})
				})
			}
		}
		if err != nil {
			d.sink.Emit(event.Warning{Message: fmt.Sprintf("release %s: %v", r.Name, err)})
		}
	}
}
