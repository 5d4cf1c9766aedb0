package kube

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// The labels and annotations of an ApplySet, as KEP-3659 specifies them.
const (
	labelSetID           = "applyset.kubernetes.io/id"
	labelPartOf          = "applyset.kubernetes.io/part-of"
	annotationTooling    = "applyset.kubernetes.io/tooling"
	annotationKinds      = "applyset.kubernetes.io/contains-group-kinds"
	annotationNamespaces = "applyset.kubernetes.io/additional-namespaces"
	tooling              = "davit/v1"
)

// Set names an ApplySet: what one module of one configuration put into one namespace. Its parent object is a ConfigMap
// of that name: it holds nothing secret, and whoever may deploy may nearly always write ConfigMaps, which is not so for Secrets.
// The zero Set keeps no inventory.
type Set struct{ Name, Namespace string }

// ID is the identity of the set in the form V1 of the KEP: "applyset-<hash>-v1".
func (s Set) ID() string {
	sum := sha256.Sum256([]byte(s.Name + "." + s.Namespace + ".ConfigMap."))
	return "applyset-" + base64.RawURLEncoding.EncodeToString(sum[:]) + "-v1"
}

func (s Set) isZero() bool { return s.Name == "" }

func (s Set) selector() string { return labelPartOf + "=" + s.ID() }

var configMaps = Resource{Version: "v1", Kind: "ConfigMap", Name: "configmaps", Namespaced: true}

// scope is where members of a set may be.
type scope struct {
	kinds      []schema.GroupKind
	namespaces []string // beside the parent's own
}

// scopeOf reads the annotations of a parent; nil parent: an empty scope.
func scopeOf(parent *unstructured.Unstructured) scope {
	var s scope
	if parent == nil {
		return s
	}
	for kind := range strings.SplitSeq(parent.GetAnnotations()[annotationKinds], ",") {
		if kind != "" {
			s.kinds = append(s.kinds, schema.ParseGroupKind(kind))
		}
	}
	for ns := range strings.SplitSeq(parent.GetAnnotations()[annotationNamespaces], ",") {
		if ns != "" {
			s.namespaces = append(s.namespaces, ns)
		}
	}
	return s
}

// scopeFor is the scope that holds these members.
func (s Set) scopeFor(members []ref) scope {
	kinds, namespaces := map[schema.GroupKind]bool{}, map[string]bool{}
	for _, m := range members {
		kinds[m.gk] = true
		if m.namespace != "" && m.namespace != s.Namespace {
			namespaces[m.namespace] = true
		}
	}
	return scope{kinds: slices.Collect(maps.Keys(kinds)), namespaces: slices.Collect(maps.Keys(namespaces))}
}

// with is the scope that holds what both hold.
func (s scope) with(other scope) scope {
	return scope{kinds: append(slices.Clone(s.kinds), other.kinds...), namespaces: append(slices.Clone(s.namespaces), other.namespaces...)}
}

func (s scope) annotations() map[string]any {
	kinds := make([]string, 0, len(s.kinds))
	for _, gk := range s.kinds {
		kinds = append(kinds, gk.String())
	}
	a := map[string]any{annotationTooling: tooling, annotationKinds: sortedList(kinds)}
	if namespaces := sortedList(s.namespaces); namespaces != "" {
		a[annotationNamespaces] = namespaces
	}
	return a
}

func sortedList(all []string) string {
	all = slices.Clone(all)
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}

// inventoryError says that the parent of a set cannot be read or written.
type inventoryError struct {
	doing string
	set   Set
	err   error
}

func (e *inventoryError) Error() string {
	return fmt.Sprintf("%s the inventory configmap/%s in namespace %s: %v", e.doing, e.set.Name, e.set.Namespace, e.err)
}

func (e *inventoryError) Unwrap() error { return e.err }

// writeParent makes the parent say scope; it sends nothing when it says so already. It gives the parent as it is now.
func (c *Client) writeParent(ctx context.Context, set Set, parent *unstructured.Unstructured, s scope) (*unstructured.Unstructured, error) {
	if set.isZero() || saysAlready(set, parent, s) {
		return parent, nil
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{
			"name": set.Name, "namespace": set.Namespace,
			"labels":      map[string]any{labelSetID: set.ID()},
			"annotations": s.annotations(),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("writing the inventory: %w", err)
	}
	force := true
	err = c.ask(ctx, func() (err error) {
		parent, err = c.in(configMaps, set.Namespace).Patch(ctx, set.Name, types.ApplyPatchType, body,
			metav1.PatchOptions{FieldManager: FieldManager, Force: &force})
		return err
	})
	if missingNamespace(err) {
		return nil, noNamespace(set.Namespace)
	}
	if err != nil {
		return nil, &inventoryError{"writing", set, err}
	}
	return parent, nil
}

func saysAlready(set Set, parent *unstructured.Unstructured, s scope) bool {
	if parent == nil || parent.GetLabels()[labelSetID] != set.ID() {
		return false
	}
	have, want := parent.GetAnnotations(), s.annotations()
	for _, name := range []string{annotationTooling, annotationKinds, annotationNamespaces} {
		value, _ := want[name].(string)
		if have[name] != value {
			return false
		}
	}
	return true
}

// readParent gives nil when there is none. A ConfigMap of that name that is no parent is somebody else's: an error.
func (c *Client) readParent(ctx context.Context, set Set) (*unstructured.Unstructured, error) {
	parent, err := c.get(ctx, configMaps, set.Namespace, set.Name)
	if err != nil {
		return nil, &inventoryError{"reading", set, err}
	}
	if parent != nil && parent.GetLabels()[labelSetID] == "" {
		return nil, fmt.Errorf("configmap/%s in namespace %s, where davit would keep its inventory, exists and is not an inventory: "+
			"rename it, or give the configuration another name", set.Name, set.Namespace)
	}
	return parent, nil
}

// get reads one object; nil when it does not exist.
func (c *Client) get(ctx context.Context, r Resource, namespace, name string) (u *unstructured.Unstructured, err error) {
	err = c.ask(ctx, func() (err error) {
		u, err = c.in(r, namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return u, err
}

// setExists says whether a set with this ID still has a parent, as far as that can be seen: in doubt it does.
func (c *Client) setExists(ctx context.Context, id string, namespaces []string) bool {
	secrets := Resource{Version: "v1", Kind: "Secret", Name: "secrets", Namespaced: true}
	for _, ns := range namespaces {
		for _, r := range []Resource{configMaps, secrets} {
			found, err := c.in(r, ns).List(ctx, metav1.ListOptions{LabelSelector: labelSetID + "=" + id, Limit: 1})
			if err != nil || len(found.Items) > 0 {
				return true
			}
		}
	}
	return false
}
