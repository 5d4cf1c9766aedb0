// Package cloudrun deploys services, jobs and worker pools to Google Cloud Run: what `deploy.cloudrun` of a config asks for.
//
// What was written carries the manifest in an annotation. An object that was made of the same manifest, and that still has all of its values, is left alone: no new
// revision comes of a run without changes.
package cloudrun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	"google.golang.org/api/run/v1"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
)

// annotationManifest holds what davit wrote last, as JSON: what is not in the manifest any more is known by it.
const annotationManifest = "davit.dev/manifest"

// Target says where a config deploys to.
type Target struct {
	Project  string        // empty: the namespaces of the manifests name it
	Region   string        // "europe-west1"
	Wait     bool          // until all is ready
	Deadline time.Duration // of that; 0: ten minutes
	Tolerate bool          // failures count at the deadline only
}

const defaultDeadline = 10 * time.Minute

// Object is one manifest.
type Object struct {
	Fields map[string]any
	Origin string // "k8s/service.yaml:1", for people
}

// Deployer deploys with one user's rights.
type Deployer struct {
	HTTP     *http.Client  // sends the user's token
	Endpoint string        // in place of the regions' own; empty: those
	Poll     time.Duration // how long to wait between two looks at what gets ready
	Now      func() time.Time
	Sink     event.Sink
}

// Applied are objects that were deployed.
type Applied struct {
	target Target
	items  []*item
}

// item is one object on its way.
type item struct {
	Object
	kind    *kind
	name    string
	project string
	path    string // as the API names it
	body    any    // *run.Service, *run.Job or *run.WorkerPool
	verb    string
	service *run.APIService
	began   time.Time
}

func (it *item) resource() string { return it.kind.resource + "/" + it.name }

func (it *item) fail(doing string, err error) error {
	return fmt.Errorf("%s %s (%s) in project %s: %w", doing, it.resource(), it.Origin, it.project, explain(err))
}

// Apply brings the objects into Cloud Run, side by side. All are tried; the errors are joined.
func (d *Deployer) Apply(ctx context.Context, t Target, objects []Object) (*Applied, error) {
	items, err := d.items(ctx, t, objects)
	if err != nil {
		return nil, err
	}
	err = forAll(items, func(it *item) error { return d.apply(ctx, it) })
	for _, it := range items {
		if it.verb != "" {
			d.Sink.Emit(event.ObjectApplied{Resource: it.resource(), Namespace: it.project, Verb: it.verb})
		}
	}
	return &Applied{t, items}, err
}

// items reads the manifests; what is wrong with any of them is said before anything is written.
func (d *Deployer) items(ctx context.Context, t Target, objects []Object) ([]*item, error) {
	endpoint := d.Endpoint
	if endpoint == "" {
		endpoint = "https://" + t.Region + "-run.googleapis.com/"
	}
	service, err := run.NewService(ctx, option.WithHTTPClient(d.HTTP), option.WithEndpoint(endpoint))
	if err != nil {
		return nil, fmt.Errorf("connecting to Cloud Run: %w", err)
	}
	var items []*item
	var errs []error
	for _, o := range objects {
		it, err := d.item(t, o)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		it.service = service
		items = append(items, it)
	}
	return items, errors.Join(errs...)
}

func (d *Deployer) item(t Target, o Object) (*item, error) {
	var head struct {
		APIVersion, Kind string
		Metadata         struct{ Name, Namespace string }
	}
	text, err := json.Marshal(o.Fields)
	if err == nil {
		err = json.Unmarshal(text, &head)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", o.Origin, err)
	}
	it := &item{Object: o, name: head.Metadata.Name, project: t.Project}
	if it.kind = kindOf(head.APIVersion, head.Kind); it.kind == nil {
		return nil, fmt.Errorf("%s: Cloud Run has no %s of %s: it takes Service of serving.knative.dev/v1, and Job and WorkerPool of run.googleapis.com/v1", o.Origin, head.Kind, head.APIVersion)
	}
	if it.project == "" {
		it.project = head.Metadata.Namespace
	}
	if it.project == "" {
		return nil, fmt.Errorf("%s: the project of %s is not known: set deploy.cloudrun.projectid, --cloud-run-project, or metadata.namespace", o.Origin, it.resource())
	}
	it.path = it.kind.parent(it.project, t.Region) + "/" + it.kind.plural + "/" + it.name
	it.body = it.kind.empty()
	unknown, err := decode(o.Fields, it.body)
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", it.resource(), o.Origin, err)
	}
	for _, field := range unknown {
		d.Sink.Emit(event.Warning{Message: fmt.Sprintf("%s (%s): Cloud Run knows no field %s: it is left out", it.resource(), o.Origin, field)})
	}
	meta := it.kind.meta(it.body)
	meta.Namespace = it.project
	text, err = json.Marshal(it.body)
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", it.resource(), o.Origin, err)
	}
	if meta.Annotations == nil {
		meta.Annotations = map[string]string{}
	}
	meta.Annotations[annotationManifest] = string(text)
	return it, nil
}

// apply creates an object or replaces what is there, unless that is the same.
func (d *Deployer) apply(ctx context.Context, it *item) error {
	it.began = d.Now()
	_, action, err := it.compare(ctx)
	switch {
	case err != nil:
		return err
	case action == kube.ActionCreate:
		if err := it.kind.create(ctx, it.service, it.parent(), it.body); err != nil {
			return it.fail("creating", err)
		}
		it.verb = "created"
		return nil
	case action == kube.ActionUnchanged:
		it.verb = "unchanged"
		return nil
	}
	if err := it.kind.replace(ctx, it.service, it.path, it.body); err != nil {
		return it.fail("changing", err)
	}
	it.verb = "configured"
	return nil
}

// compare looks what is there, and says what has to be done. live is nil when there is nothing.
func (it *item) compare(ctx context.Context) (live any, action string, err error) {
	live, err = it.kind.get(ctx, it.service, it.path)
	if isNotFound(err) {
		return nil, kube.ActionCreate, nil
	}
	if err != nil {
		return nil, "", it.fail("reading", err)
	}
	same, err := unchanged(it.body, live)
	if err != nil {
		return nil, "", it.fail("comparing", err)
	}
	if same {
		return live, kube.ActionUnchanged, nil
	}
	return live, kube.ActionChange, nil
}

// Delete takes the objects away and waits until they are gone. Those that are not there are fine.
func (d *Deployer) Delete(ctx context.Context, t Target, objects []Object) error {
	items, err := d.items(ctx, t, objects)
	if err != nil {
		return err
	}
	return forAll(items, func(it *item) error {
		err := it.kind.remove(ctx, it.service, it.path)
		if isNotFound(err) {
			return nil
		}
		if err != nil {
			return it.fail("deleting", err)
		}
		ctx, cancel := context.WithTimeout(ctx, defaultDeadline)
		defer cancel()
		for {
			if _, err := it.kind.get(ctx, it.service, it.path); isNotFound(err) {
				break
			} else if err != nil {
				return it.fail("waiting until it is gone:", err)
			}
			if err := d.pause(ctx); err != nil {
				return it.fail("waiting until it is gone:", err)
			}
		}
		d.Sink.Emit(event.ObjectApplied{Resource: it.resource(), Namespace: it.project, Verb: "deleted"})
		return nil
	})
}

// pause waits from one look to the next.
func (d *Deployer) pause(ctx context.Context) error {
	timer := time.NewTimer(d.Poll)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func isNotFound(err error) bool {
	answer, ok := errors.AsType[*googleapi.Error](err)
	return ok && answer.Code == http.StatusNotFound
}

// explain puts what Google answered into a line, and says what to do where rights are missing.
func explain(err error) error {
	answer, ok := errors.AsType[*googleapi.Error](err)
	if !ok {
		return err
	}
	text := fmt.Sprintf("%d %s", answer.Code, http.StatusText(answer.Code))
	if answer.Message != "" {
		text += ": " + answer.Message
	}
	switch answer.Code {
	case http.StatusUnauthorized:
		text += "; run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
	case http.StatusForbidden:
		text += "; the account needs the role Cloud Run Developer and may have to act as the service account (role Service Account User)"
	}
	return errors.New(text)
}

// forAll calls do for each side by side and joins their errors, in order.
func forAll[T any](all []T, do func(T) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, t := range all {
		wg.Go(func() { errs[i] = do(t) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
