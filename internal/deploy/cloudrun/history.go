package cloudrun

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"google.golang.org/api/googleapi"
	"google.golang.org/api/run/v1"

	"github.com/davit-dev/davit/internal/event"
)

// Revision is a revision of a service, as Cloud Run keeps it.
type Revision struct {
	Number  int       `json:"revision"` // of the change of the service that it came of
	Name    string    `json:"name"`     // "web-00003-fob"
	Created time.Time `json:"time"`
	Ready   bool      `json:"ready"`
	Percent int       `json:"percent"` // of the requests that go to it
	Images  []string  `json:"images"`
}

// ServiceHistory is what Cloud Run keeps of a service.
type ServiceHistory struct {
	Name      string     `json:"name"`
	Project   string     `json:"project"`
	Region    string     `json:"region"`
	Revisions []Revision `json:"revisions"` // the newest first
}

// Labels of revisions: https://cloud.google.com/run/docs/reference/rest/v1/namespaces.revisions.
const (
	labelService    = "serving.knative.dev/service"
	labelGeneration = "serving.knative.dev/configurationGeneration"
)

// History lists the revisions of the services among the objects. Jobs and worker pools have none that one could go back to.
func (d *Deployer) History(ctx context.Context, t Target, objects []Object) ([]ServiceHistory, error) {
	items, err := d.services(ctx, t, objects)
	if err != nil {
		return nil, err
	}
	all := make([]ServiceHistory, len(items))
	for i, it := range items {
		all[i] = ServiceHistory{Name: it.name, Project: it.project, Region: t.Region}
		if all[i].Revisions, err = it.revisions(ctx); err != nil {
			return nil, it.fail("reading the revisions of", err)
		}
	}
	return all, nil
}

// services are the services among the objects.
func (d *Deployer) services(ctx context.Context, t Target, objects []Object) ([]*item, error) {
	items, err := d.items(ctx, t, objects)
	return slices.DeleteFunc(items, func(it *item) bool { return it.kind.name != "Service" }), err
}

// revisions are those of a service, the newest first; none of one that is not there.
func (it *item) revisions(ctx context.Context) ([]Revision, error) {
	live, err := it.service.Projects.Locations.Services.Get(it.path).Context(ctx).Do()
	if isNotFound(err) {
		return []Revision{}, nil
	}
	if err != nil {
		return nil, err
	}
	percents := map[string]int{}
	if live.Status != nil {
		for _, traffic := range live.Status.Traffic {
			percents[traffic.RevisionName] += int(traffic.Percent)
		}
	}
	all := []Revision{}
	list := it.service.Projects.Locations.Revisions.List(it.parent()).LabelSelector(labelService + "=" + it.name)
	for {
		page, err := list.Context(ctx).Do()
		if err != nil {
			return nil, err
		}
		for _, r := range page.Items {
			all = append(all, revisionOf(r, percents))
		}
		if page.Metadata == nil || page.Metadata.Continue == "" {
			break
		}
		list.Continue(page.Metadata.Continue)
	}
	slices.SortStableFunc(all, func(a, b Revision) int { return cmp.Or(cmp.Compare(b.Number, a.Number), b.Created.Compare(a.Created)) })
	return all, nil
}

func (it *item) parent() string { return it.path[:len(it.path)-len("/"+it.kind.plural+"/"+it.name)] }

func revisionOf(r *run.Revision, percents map[string]int) Revision {
	meta := made(&r.Metadata)
	one := Revision{Name: meta.Name, Percent: percents[meta.Name], Images: []string{}}
	one.Number, _ = strconv.Atoi(meta.Labels[labelGeneration])            // 0 where it is not said
	one.Created, _ = time.Parse(time.RFC3339Nano, meta.CreationTimestamp) // as well
	if r.Spec != nil {
		for _, c := range r.Spec.Containers {
			one.Images = append(one.Images, c.Image)
		}
	}
	if r.Status != nil {
		one.Ready = slices.ContainsFunc(r.Status.Conditions, func(c *run.GoogleCloudRunV1Condition) bool { return c.Type == "Ready" && c.Status == "True" })
	}
	return one
}

// RollBack leads all requests to an earlier revision of the services among the objects, and waits until that is done: to the one of that number or,
// with 0, to the last one before the one that most requests go to. The next deployment of the manifest leads them to its own again.
func (d *Deployer) RollBack(ctx context.Context, t Target, objects []Object, number int) error {
	items, err := d.services(ctx, t, objects)
	if err != nil {
		return err
	}
	targets := make([]Revision, len(items))
	for i, it := range items { // before anything is changed
		if targets[i], err = it.target(ctx, number); err != nil {
			return it.fail("rolling back", err)
		}
	}
	for i, it := range items {
		it.began = d.Now()
		if err := d.lead(ctx, it, targets[i].Name); err != nil {
			return it.fail("rolling back", err)
		}
		d.Sink.Emit(event.ObjectApplied{Resource: it.resource(), Namespace: it.project, Verb: "configured"})
		if _, err := d.await(ctx, t, it); err != nil {
			return err
		}
		d.Sink.Emit(event.Note{Message: fmt.Sprintf("%s is back at revision %d, %s", it.resource(), targets[i].Number, targets[i].Name)})
	}
	return nil
}

// target finds the revision to go back to.
func (it *item) target(ctx context.Context, number int) (Revision, error) {
	all, err := it.revisions(ctx)
	if err != nil {
		return Revision{}, err
	}
	serving := 0
	for i, r := range all {
		if r.Percent > all[serving].Percent {
			serving = i
		}
	}
	for i, r := range all {
		switch {
		case number != 0 && r.Number == number && !r.Ready:
			return r, fmt.Errorf("its revision %d, %s, is not ready: davit history lists all", number, r.Name)
		case number != 0 && r.Number == number, number == 0 && i > serving && r.Ready:
			return r, nil
		}
	}
	if number != 0 {
		return Revision{}, fmt.Errorf("it has no revision %d: davit history lists those that there are", number)
	}
	return Revision{}, errors.New("it has no earlier revision that was ready: davit history lists those that there are")
}

// lead writes the service as it is, but for where requests go. The client's structs would lose what is zero.
func (d *Deployer) lead(ctx context.Context, it *item, revision string) error {
	url := it.service.BasePath + "v1/" + it.path
	var live map[string]any
	if err := d.call(ctx, http.MethodGet, url, nil, &live); err != nil {
		return err
	}
	delete(live, "status")
	if meta, ok := live["metadata"].(map[string]any); ok {
		if annotations, ok := meta["annotations"].(map[string]any); ok {
			delete(annotations, annotationManifest) // the manifest is not what serves any more
		}
	}
	spec, ok := live["spec"].(map[string]any)
	if !ok {
		return errors.New("its spec is not known")
	}
	spec["traffic"] = []any{map[string]any{"revisionName": revision, "percent": 100}}
	text, err := json.Marshal(live)
	if err != nil {
		return err
	}
	return d.call(ctx, http.MethodPut, url, text, &live)
}

func (d *Deployer) call(ctx context.Context, method, url string, body []byte, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := d.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if err := googleapi.CheckResponse(answer); err != nil {
		return err
	}
	numbers := json.NewDecoder(answer.Body)
	numbers.UseNumber()
	return numbers.Decode(into)
}
