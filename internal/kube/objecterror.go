package kube

import (
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ObjectError says which object could not be brought into the cluster, or out of it, and why.
type ObjectError struct {
	Resource  string // "deployment.apps/web"
	Namespace string
	Origin    string // "k8s/web.yaml:12", where known
	Doing     string // "applying", "deleting"
	Next      string // what to do about it, where known
	Err       error
}

func (e *ObjectError) Error() string {
	var b strings.Builder
	if e.Origin != "" {
		b.WriteString(e.Origin + ": ")
	}
	b.WriteString(e.Doing + " " + e.Resource)
	if e.Namespace != "" {
		b.WriteString(" in namespace " + e.Namespace)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.Next != "" {
		b.WriteString(": " + e.Next)
	}
	return b.String()
}

func (e *ObjectError) Unwrap() error { return e.Err }

func (it *item) fail(doing string, err error, next string) error {
	var unreachable *UnreachableError
	if errors.As(err, &unreachable) {
		return err // not this object's fault
	}
	return &ObjectError{Resource: it.ref.String(), Namespace: it.GetNamespace(), Origin: it.Origin, Doing: doing, Next: next, Err: err}
}

// statusOf gives what the API server answered; nil when err is something else.
func statusOf(err error) *metav1.Status {
	var status apierrors.APIStatus
	if err == nil || !errors.As(err, &status) {
		return nil
	}
	s := status.Status()
	return &s
}

// isImmutable says whether the server refused the change of a field that cannot change. The server has no code for it:
// validation says so in one of a few fixed phrases.
func isImmutable(err error) bool {
	status := statusOf(err)
	if status == nil || !apierrors.IsInvalid(err) {
		return false
	}
	for _, phrase := range []string{
		"immutable", "updates to ", "pod updates may not change fields other than", "may not change once set", "may not be changed in an update", "cannot change roleRef",
	} {
		if strings.Contains(status.Message, phrase) {
			return true
		}
	}
	return false
}

func missingNamespace(err error) bool {
	status := statusOf(err)
	return status != nil && apierrors.IsNotFound(err) && status.Details != nil && status.Details.Kind == "namespaces"
}

func noNamespace(name string) error {
	return fmt.Errorf("namespace %q does not exist: create it (kubectl create namespace %s), add a Namespace to the manifests, or name another with --namespace",
		name, name)
}

// NextStep is what to do about an error of the API server, for those that are met most; empty for others.
func NextStep(err error) string {
	switch {
	case apierrors.HasStatusCause(err, "NamespaceTerminating"):
		return "the namespace is being deleted: wait until it is gone, then run again"
	case strings.Contains(err.Error(), "duplicate entries for key"):
		return "remove one of the two: the server cannot tell which one is meant"
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return "ask for less, or raise the quota"
	case strings.Contains(err.Error(), "denied the request"), strings.Contains(err.Error(), "denied request"):
		return "an admission webhook of the cluster refuses it, or a policy: change the object as it says, or ask whoever runs it"
	case apierrors.IsTooManyRequests(err):
		return "the cluster has more to do than it can: run again later, what was done stays"
	case apierrors.IsRequestEntityTooLargeError(err), strings.Contains(err.Error(), "etcdserver: request is too large"), strings.Contains(err.Error(), "Too long: may not be more than"):
		return "split it, or bring large files by an image or a volume"
	case apierrors.IsForbidden(err):
		return "the user of this context may not do this: use another context, or ask for the permission"
	}
	return ""
}
