package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

const lastAppliedAnnotation = "kubectl.kubernetes.io/last-applied-configuration"

// clientSide lists the managers that applied an object on the client's side.
func clientSide(live *unstructured.Unstructured) []string {
	if live == nil {
		return nil
	}
	annotation := fieldpath.NewSet(fieldpath.MakePathOrDie("metadata", "annotations", lastAppliedAnnotation))
	var managers []string
	for _, e := range csaupgrade.FindFieldsOwners(live.GetManagedFields(), metav1.ManagedFieldsOperationUpdate, annotation) {
		managers = append(managers, e.Manager)
	}
	return managers
}

// formerManagers are those whose fields an apply takes over: whoever applied the object on the client's side, and the manager itself where it did that, as
// Helm 3 does without a trace of it.
func (a *applier) formerManagers(live *unstructured.Unstructured) []string {
	managers := clientSide(live)
	if live == nil {
		return managers
	}
	for _, e := range live.GetManagedFields() {
		if e.Manager == a.options.manager() && e.Operation == metav1.ManagedFieldsOperationUpdate && e.Subresource == "" {
			managers = append(managers, e.Manager)
		}
	}
	return managers
}

// migrate hands to davit the fields of whoever applied the object on the client's side, which is known by its owning the
// annotation last-applied-configuration. Without it, fields that leave the manifest would stay, owned by a manager that
// never writes again. The annotation itself goes with the apply that follows: kept, it would tell a later client-side apply
// to remove what has been added since.
func (a *applier) migrate(ctx context.Context, it *item) error {
	for range 5 {
		managers := sets.New(a.formerManagers(it.live)...)
		if len(managers) == 0 {
			return nil
		}
		patch, err := csaupgrade.UpgradeManagedFieldsPatch(it.live, managers, a.options.manager())
		if err != nil || patch == nil {
			return err
		}
		var now *unstructured.Unstructured
		err = a.client.ask(ctx, func() (err error) {
			now, err = a.client.in(it.resource, it.GetNamespace()).Patch(ctx, it.GetName(), types.JSONPatchType, patch,
				metav1.PatchOptions{FieldManager: a.options.manager()})
			return err
		})
		if err == nil {
			it.live = now
			return nil
		}
		if !apierrors.IsConflict(err) {
			return err
		}
		// Somebody wrote in between: look again.
		if it.live, err = a.client.get(ctx, it.resource, it.GetNamespace(), it.GetName()); err != nil || it.live == nil {
			return err
		}
	}
	return errors.New("it is written to all the time by others")
}

// conflictsIn gives the fields that others own, by owner, if that is what err says.
func conflictsIn(err error) map[string][]string {
	status := statusOf(err)
	if status == nil || !apierrors.IsConflict(err) || status.Details == nil {
		return nil
	}
	owners := map[string][]string{}
	for _, cause := range status.Details.Causes {
		if cause.Type == metav1.CauseTypeFieldManagerConflict {
			owner := strings.TrimPrefix(cause.Message, "conflict with ")
			owners[owner] = append(owners[owner], cause.Field)
		}
	}
	return owners
}

func conflictError(owners map[string][]string) error {
	var parts []string
	for _, owner := range slices.Sorted(maps.Keys(owners)) {
		parts = append(parts, fmt.Sprintf("%s owned by %s", strings.Join(owners[owner], ", "), owner))
	}
	return errors.New(strings.Join(parts, "; "))
}
