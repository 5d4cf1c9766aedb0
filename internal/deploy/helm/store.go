package helm

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/internal/kube"
)

// fieldManager owns what releases write. It is the helm command's: whichever of the two writes next is the same owner, and takes away what it no
// longer wants.
const fieldManager = "helm"

// store keeps the records of releases where the helm command does.
type store struct {
	kube   *kube.Client
	kind   string // Secret or ConfigMap
	now    func() time.Time
	claims *claims
}

// newStore follows HELM_DRIVER.
func newStore(k *kube.Client, o Options) (store, error) {
	s := store{kube: k, now: o.Now, claims: &claims{dir: o.Claims, held: map[string]*flock.Flock{}}}
	switch o.Driver {
	case "", "secret", "secrets":
		s.kind = "Secret"
	case "configmap", "configmaps":
		s.kind = "ConfigMap"
	default:
		return s, fmt.Errorf("HELM_DRIVER is %s, and davit keeps releases in Secrets or ConfigMaps only: set it to secret or configmap", o.Driver)
	}
	return s, nil
}

func (s store) gvk() schema.GroupVersionKind {
	return schema.GroupVersionKind{Version: "v1", Kind: s.kind}
}

// latest reads the records of releases that are of interest: all but those that are superseded. One request serves a namespace.
func (s store) latest(ctx context.Context, namespace string, names []string) (map[string][]*record, error) {
	return s.read(ctx, namespace, "owner=helm,status!="+statusSuperseded+",name in ("+strings.Join(names, ",")+")")
}

// history reads all records of a release, the oldest first.
func (s store) history(ctx context.Context, namespace, name string) ([]*record, error) {
	all, err := s.read(ctx, namespace, "owner=helm,name="+name)
	return all[name], err
}

func (s store) read(ctx context.Context, namespace, selector string) (map[string][]*record, error) {
	found, err := s.kube.Find(ctx, s.gvk(), namespace, selector)
	if err != nil {
		return nil, fmt.Errorf("reading the releases in namespace %s: %w", namespace, err)
	}
	all := map[string][]*record{}
	for _, o := range found {
		r, err := s.decode(o)
		if err != nil {
			return nil, fmt.Errorf("reading the release record %s/%s in namespace %s: %w", strings.ToLower(s.kind), o.GetName(), namespace, err)
		}
		all[r.Name] = append(all[r.Name], r)
	}
	for _, records := range all {
		slices.SortFunc(records, func(a, b *record) int { return cmp.Compare(a.Version, b.Version) })
	}
	return all, nil
}

// ownLabels are those that Helm sets itself.
var ownLabels = []string{"name", "owner", "status", "version", "createdAt", "modifiedAt"}

func (s store) decode(o kube.Object) (*record, error) {
	data, _ := o.Object["data"].(map[string]any)
	text, _ := data["release"].(string)
	if s.kind == "Secret" {
		plain, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, err
		}
		text = string(plain)
	}
	r, err := decode(text)
	if err != nil {
		return nil, err
	}
	r.labels = o.GetLabels()
	maps.DeleteFunc(r.labels, func(name, _ string) bool { return slices.Contains(ownLabels, name) })
	return r, nil
}

// errTaken says that a revision is there already.
var errTaken = errors.New("the revision exists already")

// create writes a new revision, which keeps others from working on the release. The error is errTaken when somebody else was faster.
func (s store) create(ctx context.Context, r *record) error {
	s.claims.take(r)
	o, err := s.object(r, "createdAt")
	if err == nil {
		err = s.kube.Create(ctx, o, fieldManager)
	}
	if err != nil {
		s.claims.drop(r)
	}
	if apierrors.IsAlreadyExists(err) {
		return errTaken
	}
	return s.explain("writing", r, err)
}

// update writes a revision that is there, whatever has become of it.
func (s store) update(ctx context.Context, r *record) error {
	o, err := s.object(r, "modifiedAt")
	if err == nil {
		err = s.kube.Replace(ctx, o, fieldManager)
	}
	if err == nil && !r.pending() {
		s.claims.drop(r)
	}
	return s.explain("writing", r, err)
}

func (s store) remove(ctx context.Context, r *record) error {
	o, err := s.object(r, "modifiedAt")
	if err == nil {
		err = s.kube.Remove(ctx, o)
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return s.explain("deleting", r, err)
}

func (s store) explain(doing string, r *record, err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err) && strings.Contains(err.Error(), "namespaces"):
		return &missingError{fmt.Errorf("namespace %q does not exist: set createNamespace for the release, or create it", r.Namespace)}
	case apierrors.IsInvalid(err) && strings.Contains(err.Error(), "Too long"):
		err = errors.New("the chart with what it renders to is larger than the megabyte that the cluster keeps: leave files out by .helmignore")
	}
	if next := kube.NextStep(err); next != "" {
		err = fmt.Errorf("%w: %s", err, next)
	}
	return fmt.Errorf("%s the record of release %s, revision %d, in namespace %s: %w", doing, r.Name, r.Version, r.Namespace, err)
}

// missingError is about something that another release may bring.
type missingError struct{ err error }

func (e *missingError) Error() string { return e.err.Error() }
func (e *missingError) Unwrap() error { return e.err }

// object is the Secret or ConfigMap of a revision. stamp names the label with the time of writing.
func (s store) object(r *record, stamp string) (kube.Object, error) {
	text, err := r.encode()
	if err != nil {
		return kube.Object{}, fmt.Errorf("packing the record of release %s: %w", r.Name, err)
	}
	labels := map[string]any{}
	for name, value := range r.labels {
		labels[name] = value
	}
	labels["name"], labels["owner"], labels["status"], labels["version"] = r.Name, "helm", r.Info.Status, strconv.Itoa(r.Version)
	labels[stamp] = strconv.FormatInt(s.now().Unix(), 10)
	fields := map[string]any{
		"apiVersion": "v1", "kind": s.kind,
		"metadata": map[string]any{"name": fmt.Sprintf("sh.helm.release.v1.%s.v%d", r.Name, r.Version), "namespace": r.Namespace, "labels": labels},
	}
	if s.kind == "Secret" {
		fields["type"] = "helm.sh/release.v1"
		text = base64.StdEncoding.EncodeToString([]byte(text))
	}
	fields["data"] = map[string]any{"release": text}
	return kube.NewObject(fields, "")
}

// forget deletes the oldest revisions until there is room for one more below most; the deployed one stays. 0: no limit.
func (s store) forget(ctx context.Context, namespace, name string, most int) error {
	if most <= 0 {
		return nil
	}
	all, err := s.history(ctx, namespace, name)
	if err != nil {
		return err
	}
	deployed := -1
	for i, r := range all {
		if r.Info.Status == statusDeployed {
			deployed = i
		}
	}
	left := len(all)
	for i, r := range all {
		if left < most {
			break
		}
		if i == deployed {
			continue
		}
		if err := s.remove(ctx, r); err != nil {
			return err
		}
		left--
	}
	return nil
}
