package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/davit-dev/davit/internal/event"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Preflight is what was found out about a cluster before anything is written to it.
type Preflight struct {
	Version    string           `json:"version"`              // "v1.34.4"
	Namespaces []NamespaceState `json:"namespaces,omitempty"` // that objects go to
	Findings   []Finding        `json:"findings,omitempty"`   // none: nothing stands in the way
}

// NamespaceState is one namespace that objects go to. State is "exists", "created" (it is among the objects), "missing", "terminating", or
// "unknown" where we may not look.
type NamespaceState struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

// The states of a namespace.
const (
	NamespaceExists      = "exists"
	NamespaceCreated     = "created"
	NamespaceMissing     = "missing"
	NamespaceTerminating = "terminating"
	NamespaceUnknown     = "unknown"
)

// Finding is one thing that stands in the way of a deployment. Fatal ones end it; without what the others ask for, something is left out.
type Finding struct {
	Message string `json:"message"`
	Fatal   bool   `json:"fatal"`
}

// Err joins the fatal findings; nil when there are none.
func (p *Preflight) Err() error {
	var errs []error
	for _, f := range p.Findings {
		if f.Fatal {
			errs = append(errs, errors.New(f.Message))
		}
	}
	return errors.Join(errs...)
}

func (p *Preflight) find(fatal bool, format string, args ...any) {
	f := Finding{Message: fmt.Sprintf(format, args...), Fatal: fatal}
	if !slices.Contains(p.Findings, f) {
		p.Findings = append(p.Findings, f)
	}
}

// PreflightOptions says what a deployment is going to do beside applying.
type PreflightOptions struct {
	Delete  bool // it may prune or replace objects
	Wait    bool // it waits for workloads
	History bool // it keeps revisions
}

// Preflight asks a cluster whether a deployment of the objects would be let in: its version, the namespaces, the kinds and the permissions. It writes nothing.
// The error is for a cluster that cannot be asked.
func (c *Client) Preflight(ctx context.Context, set Set, objects []Object, o PreflightOptions) (*Preflight, error) {
	ctx = quiet(ctx)
	version, err := c.Version(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking the cluster for its version: %w", err)
	}
	p := &Preflight{Version: version}
	known, unknown, err := c.splitKnown(ctx, objects)
	if err != nil {
		return nil, oneIfUnreachable(err)
	}
	for _, u := range unknown {
		_, err := c.discovery.kind(ctx, u.GroupVersionKind())
		p.find(true, "%s: %s: %v", u.Origin, refOf(u.Unstructured), err)
	}
	items, err := c.resolve(ctx, known, event.SinkFunc(func(event.Event) {}))
	if err != nil {
		return nil, oneIfUnreachable(err)
	}
	if err := c.preflightNamespaces(ctx, set, items, p); err != nil {
		return nil, err
	}
	return p, oneIfUnreachable(c.preflightAccess(ctx, set, items, o, p))
}

func (c *Client) preflightNamespaces(ctx context.Context, set Set, items []*item, p *Preflight) error {
	brought := map[string]bool{}
	var names []string
	if !set.isZero() {
		names = append(names, set.Namespace)
	}
	for _, it := range items {
		if it.GetKind() == "Namespace" {
			brought[it.GetName()] = true
		}
		if ns := it.GetNamespace(); ns != "" {
			names = append(names, ns)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	p.Namespaces = make([]NamespaceState, len(names))
	places := make([]int, len(names))
	for i := range places {
		places[i] = i
	}
	err := forAll(places, func(i int) (err error) {
		p.Namespaces[i].Name = names[i]
		p.Namespaces[i].State, err = c.namespaceState(ctx, names[i], brought[names[i]])
		return err
	})
	for _, ns := range p.Namespaces {
		switch ns.State {
		case NamespaceMissing:
			p.find(true, "%v", noNamespace(ns.Name))
		case NamespaceTerminating:
			p.find(true, "namespace %q is being deleted: wait until it is gone, then run again", ns.Name)
		}
	}
	return err
}

func (c *Client) namespaceState(ctx context.Context, name string, brought bool) (string, error) {
	u, err := c.get(ctx, Resource{Version: "v1", Kind: "Namespace", Name: "namespaces"}, "", name)
	switch {
	case apierrors.IsForbidden(err):
		return NamespaceUnknown, nil
	case err != nil:
		return "", fmt.Errorf("asking for namespace %s: %w", name, err)
	case u != nil && u.GetDeletionTimestamp() != nil:
		return NamespaceTerminating, nil
	case u != nil:
		return NamespaceExists, nil
	case brought:
		return NamespaceCreated, nil
	}
	return NamespaceMissing, nil
}

// preflightAccess asks for the permissions that a deployment may need.
func (c *Client) preflightAccess(ctx context.Context, set Set, items []*item, o PreflightOptions, p *Preflight) error {
	verbs := []string{"get", "create", "patch"}
	if o.Delete {
		verbs = append(verbs, "delete")
	}
	var needs []need
	workloads := map[string]bool{}
	for _, it := range items {
		for _, verb := range verbs {
			needs = append(needs, need{access: access{verb, it.resource.Group, it.resource.Name, it.GetNamespace()}, name: it.GetName(), fatal: true})
		}
		if ownsPods(it.ref) || it.ref.gk.Kind == "Pod" {
			workloads[it.GetNamespace()] = true
			if o.Wait {
				needs = append(needs, need{access: access{"watch", it.resource.Group, it.resource.Name, it.GetNamespace()}, name: it.GetName(), why: "to wait for workloads", fatal: true})
			}
		}
	}
	for ns := range workloads {
		for _, verb := range []string{"list", "watch"} {
			needs = append(needs, need{access: access{verb, "", "pods", ns}, why: "to wait for workloads and prove what runs", fatal: true})
		}
	}
	if !set.isZero() {
		for _, verb := range []string{"get", "create", "patch"} {
			needs = append(needs, need{access: access{verb, "", "configmaps", set.Namespace}, name: set.Name, why: "so no inventory is kept"})
		}
		if o.History {
			for _, verb := range []string{"list", "create"} {
				needs = append(needs, need{access: access{verb, "", "secrets", set.Namespace}, why: "so no history is kept and nothing can be rolled back"})
			}
		}
	}
	denied, err := c.denied(ctx, needs)
	for _, d := range denied {
		p.find(d.fatal, "%s", d.sentence())
	}
	return err
}

// allowed asks, once it is known what is going to be written and before anything is, whether that may be written. It costs nothing when nothing is.
func (a *applier) allowed(ctx context.Context) error {
	var needs []need
	first := map[access]*item{}
	brought, fresh := map[string]bool{}, map[string]*item{}
	add := func(verb string, it *item) {
		at := access{verb, it.resource.Group, it.resource.Name, it.GetNamespace()}
		needs = append(needs, need{access: at, name: it.GetName(), fatal: true})
		if first[at] == nil {
			first[at] = it
		}
	}
	for _, it := range a.items {
		if it.GetKind() == "Namespace" {
			brought[it.GetName()] = true
		}
		switch {
		case a.unchanged(it):
			continue
		case it.live == nil:
			add("create", it)
			if ns := it.GetNamespace(); ns != "" && fresh[ns] == nil {
				fresh[ns] = it
			}
		}
		if it.GetName() != "" {
			add("patch", it)
		}
	}
	if len(needs) == 0 {
		return nil
	}
	var errs []error
	for ns, it := range fresh {
		if brought[ns] {
			continue
		}
		state, err := a.client.namespaceState(ctx, ns, false)
		switch {
		case err != nil:
			return err
		case state == NamespaceMissing:
			errs = append(errs, it.fail("applying", noNamespace(ns), ""))
		case state == NamespaceTerminating:
			errs = append(errs, it.fail("applying", fmt.Errorf("namespace %q is being deleted", ns), "the namespace is being deleted: wait until it is gone, then run again"))
		}
	}
	denied, err := a.client.denied(ctx, needs)
	if err != nil {
		return err
	}
	for _, d := range denied {
		errs = append(errs, first[d.access].fail("applying", errors.New(d.sentence()), "the user of this context may not do this: use another context, or ask for the permission"))
	}
	if len(errs) > 0 {
		return fmt.Errorf("nothing was written: %w", errors.Join(errs...))
	}
	return nil
}

// access is one thing to do to the objects of a resource.
type access struct{ verb, group, resource, namespace string }

// need is an access that is asked for.
type need struct {
	access
	name  string // of the object; empty: any
	why   string
	fatal bool
}

func (n need) sentence() string {
	resource := n.resource
	if n.group != "" {
		resource += "." + n.group
	}
	s := fmt.Sprintf("you may not %s %s", n.verb, resource)
	if n.namespace != "" {
		s += " in namespace " + n.namespace
	}
	if n.why != "" {
		s += ", " + n.why
	}
	return s
}

// denied gives the needs that are not met, one for each access. What the rules of a namespace (one request) do not allow by their words is asked for by itself, as
// a cluster may decide by other means than rules. A cluster that answers no such questions denies nothing here.
func (c *Client) denied(ctx context.Context, needs []need) ([]need, error) {
	rules := map[string][]rule{}
	var namespaces []string
	for _, n := range needs {
		if n.namespace != "" && !slices.Contains(namespaces, n.namespace) {
			namespaces = append(namespaces, n.namespace)
		}
	}
	found := make([][]rule, len(namespaces))
	places := make([]int, len(namespaces))
	for i := range places {
		places[i] = i
	}
	if err := forAll(places, func(i int) (err error) {
		found[i], err = c.rulesIn(ctx, namespaces[i])
		return err
	}); err != nil {
		return nil, ignoreStatus(err)
	}
	for i, ns := range namespaces {
		rules[ns] = found[i]
	}
	var open []need
	seen := map[access]bool{}
	for _, n := range needs {
		if seen[n.access] || slices.ContainsFunc(rules[n.namespace], func(r rule) bool { return r.allows(n) }) {
			continue
		}
		seen[n.access] = true
		open = append(open, n)
	}
	refused := make([]bool, len(open))
	places = places[:0]
	for i := range open {
		places = append(places, i)
	}
	err := forAll(places, func(i int) (err error) {
		refused[i], err = c.refuses(ctx, open[i])
		return err
	})
	var out []need
	for i, n := range open {
		if refused[i] {
			out = append(out, n)
		}
	}
	slices.SortStableFunc(out, func(a, b need) int {
		return cmp.Or(strings.Compare(a.namespace, b.namespace), strings.Compare(a.group, b.group), strings.Compare(a.resource, b.resource), strings.Compare(a.verb, b.verb))
	})
	return out, ignoreStatus(err)
}

// ignoreStatus drops what the API server answered and keeps what kept it from answering.
func ignoreStatus(err error) error {
	if statusOf(err) != nil {
		return nil
	}
	return err
}

// rule is one of those that a user has in a namespace.
type rule struct{ Verbs, APIGroups, Resources, ResourceNames []string }

func (r rule) allows(n need) bool {
	has := func(list []string, what string) bool {
		return slices.Contains(list, what) || slices.Contains(list, "*")
	}
	return has(r.Verbs, n.verb) && has(r.APIGroups, n.group) && has(r.Resources, n.resource) &&
		(len(r.ResourceNames) == 0 || n.name != "" && n.verb != "create" && slices.Contains(r.ResourceNames, n.name))
}

func (c *Client) rulesIn(ctx context.Context, namespace string) ([]rule, error) {
	var answer struct {
		Status struct{ ResourceRules []rule }
	}
	err := c.review(ctx, "selfsubjectrulesreviews", map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": map[string]any{"namespace": namespace},
	}, &answer)
	return answer.Status.ResourceRules, err
}

func (c *Client) refuses(ctx context.Context, n need) (bool, error) {
	var answer struct{ Status struct{ Allowed bool } }
	err := c.review(ctx, "selfsubjectaccessreviews", map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": map[string]any{"resourceAttributes": map[string]any{
			"namespace": n.namespace, "verb": n.verb, "group": n.group, "resource": n.resource, "name": n.name,
		}},
	}, &answer)
	return err == nil && !answer.Status.Allowed, err
}

func (c *Client) review(ctx context.Context, resource string, question map[string]any, answer any) error {
	text, err := json.Marshal(question)
	if err != nil {
		return err
	}
	return c.ask(ctx, func() error {
		body, err := c.raw.Post().AbsPath("/apis/authorization.k8s.io/v1", resource).SetHeader("Content-Type", "application/json").Body(text).Do(ctx).Raw()
		if err != nil {
			return err
		}
		return json.Unmarshal(body, answer)
	})
}
