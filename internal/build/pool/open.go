package pool

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/internal/build/buildkit"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
)

var statefulSets = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "StatefulSet"}

// Local is what builds in a pool need of the machine that davit runs on.
type Local struct {
	BuildKit buildkit.Options
	Docker   engine.Endpoint // for images that are loaded instead of pushed
}

// Open makes the cluster hold the pool as o describes it, and waits until a replica answers. Errors are those of [kube.Client.Apply] and
// [kube.Client.Wait], which say what is in the way, such as a quota, a right that is missing, or an image that cannot be pulled.
func Open(ctx context.Context, client *kube.Client, o Options, local Local, sink event.Sink) (*Builder, error) {
	o = o.in(client.Namespace())
	b := &Builder{kube: client, options: o, local: local}
	if err := b.open(ctx, told(o, sink)); err != nil {
		return nil, fmt.Errorf("the pool %s: %w", o, err)
	}
	return b, nil
}

func (b *Builder) open(ctx context.Context, sink event.Sink) error {
	objects, err := b.options.objects()
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := b.mine(ctx, o); err != nil {
			return err
		}
	}
	// What the server lets nobody change, such as the size of volumes, is changed by a StatefulSet that is made anew.
	result, err := b.kube.Apply(ctx, kube.Set{}, objects, kube.ApplyOptions{Force: true}, sink)
	if err != nil {
		return err
	}
	b.applied = result.Objects
	for _, a := range result.Objects {
		if a.Verb != kube.VerbUnchanged {
			return b.wait(ctx, sink)
		}
	}
	_, err = b.replica(ctx, "", nil, sink)
	return err
}

// mine makes sure that an object of this name, if there is one, is davit's.
func (b *Builder) mine(ctx context.Context, o kube.Object) error {
	there, err := b.kube.Get(ctx, o.GroupVersionKind(), o.GetNamespace(), o.GetName())
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("%w; ask for the rights that docs/pool.md lists", err)
	}
	if err != nil || there == nil {
		return err
	}
	if !isOurs(there) {
		return fmt.Errorf("there is a %s %s in namespace %s that is not a pool of davit's: give the pool another name (name=...)",
			o.GetKind(), o.GetName(), o.GetNamespace())
	}
	return nil
}

func isOurs(u *unstructured.Unstructured) bool {
	labels := u.GetLabels()
	return labels[labelManagedBy] == managedBy && labels[labelPool] == u.GetName()
}

// wait waits until all replicas answer. If some do and others cannot, the pool is used as it is.
func (b *Builder) wait(ctx context.Context, sink event.Sink) error {
	_, err := b.kube.Wait(ctx, b.applied, kube.WaitOptions{Deadline: b.options.Wait}, sink)
	if err == nil || ctx.Err() != nil {
		return err
	}
	pods, podsErr := b.ready(ctx)
	if podsErr != nil || len(pods) == 0 {
		return errors.Join(err, podsErr)
	}
	sink.Emit(event.Warning{Message: fmt.Sprintf("the pool %s has %d of %d replicas: %v", b.options, len(pods), b.options.Replicas, err)})
	return nil
}

// refresh reads the pool's objects anew, to wait for them as they are now.
func (b *Builder) refresh(ctx context.Context) error {
	for i, a := range b.applied {
		u, err := b.kube.Get(ctx, a.Live.GroupVersionKind(), a.Live.GetNamespace(), a.Live.GetName())
		if err != nil {
			return err
		}
		if u == nil {
			return fmt.Errorf("its %s was deleted; run again to make it anew", a.Resource)
		}
		b.applied[i].Live, b.applied[i].Verb = u, kube.VerbUnchanged
	}
	return nil
}

// told says what happens to the pool in lines of its own: what the run itself deploys is told elsewhere.
func told(o Options, sink event.Sink) event.Sink {
	say := func(format string, args ...any) {
		sink.Emit(event.Note{Message: fmt.Sprintf("Builder pool %s: ", o) + fmt.Sprintf(format, args...)})
	}
	return event.SinkFunc(func(e event.Event) {
		switch e := e.(type) {
		case event.ObjectApplied:
			if e.Verb != kube.VerbUnchanged {
				say("%s %s", e.Resource, e.Verb)
			}
		case event.RolloutProgress:
			if e.Pod != "" {
				say("pod/%s: %s", e.Pod, e.Message)
			} else {
				say("%s", e.Message)
			}
		case event.WorkloadReady:
			say("ready")
		default:
			sink.Emit(e)
		}
	})
}
