package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/clientcmd"
)

// NoKubeconfigError says that nothing names a cluster.
type NoKubeconfigError struct{ Looked []string }

func (e *NoKubeconfigError) Error() string {
	where := "nowhere, as neither KUBECONFIG nor a home folder is set"
	if len(e.Looked) > 0 {
		where = strings.Join(e.Looked, ", ")
	}
	return fmt.Sprintf("no Kubernetes cluster is configured (looked in: %s): "+
		"set KUBECONFIG or --kubeconfig to the file that your cluster gave you", where)
}

// UnreachableError says that the cluster does not answer, or does not let us in.
type UnreachableError struct {
	Context, Server string
	Next            string // what to do about it
	Err             error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("cannot reach the Kubernetes cluster of context %q at %s: %v: %s", e.Context, e.Server, e.Err, e.Next)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// explainKubeconfig says what is wrong with the kubeconfig, and which contexts there are.
func explainKubeconfig(err error, loader clientcmd.ClientConfig, o Options) error {
	raw, rawErr := loader.RawConfig()
	if rawErr != nil || o.Context == "" || raw.Contexts[o.Context] != nil {
		return fmt.Errorf("reading the kubeconfig (%s): %w", strings.Join(o.Kubeconfig, ", "), err)
	}
	names := make([]string, 0, len(raw.Contexts))
	for name := range raw.Contexts {
		names = append(names, name)
	}
	if len(names) == 0 {
		return &NoKubeconfigError{Looked: o.Kubeconfig}
	}
	slices.Sort(names)
	return fmt.Errorf("the kubeconfig (%s) has no context %q: use one of %s", strings.Join(o.Kubeconfig, ", "), o.Context,
		strings.Join(names, ", "))
}

// explain turns an error of the connection itself into one that names the cluster and the next step. What the API server
// answered is left as it is, but for a refusal of who we are.
func (c *Client) explain(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	unreachable := func(next string) error {
		return &UnreachableError{Context: c.context, Server: c.config.Host, Next: next, Err: rootCause(err)}
	}
	var (
		already *UnreachableError
		asked   *url.Error
		unknown x509.UnknownAuthorityError
		expired x509.CertificateInvalidError
		name    x509.HostnameError
		verify  *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &already):
		return err
	case apierrors.IsUnauthorized(err):
		return unreachable("the credentials are refused, perhaps they expired: log in to the cluster again")
	case errors.As(err, &unknown), errors.As(err, &expired), errors.As(err, &name), errors.As(err, &verify):
		return unreachable("the server's certificate is not the one the kubeconfig expects: fetch a new kubeconfig, or check its date and server name")
	case !errors.As(err, &asked):
		return err
	case strings.Contains(err.Error(), "getting credentials"):
		return unreachable("the kubeconfig's credential command failed: run it by hand, or install it")
	}
	return unreachable("check that the cluster is running and that the context is the one you mean")
}

// rootCause drops the verb and the long URL that url.Error puts in front.
func rootCause(err error) error {
	var asked *url.Error
	if errors.As(err, &asked) {
		return asked.Err
	}
	return err
}

// passing says whether an error may go away by asking again: the connection broke, in one of the many ways that HTTP/2 has
// to say so, or the server is (re)starting. What client-go repeats by itself (429 and Retry-After) does not arrive here.
func passing(err error) bool {
	if apierrors.IsServiceUnavailable(err) || apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) {
		return true
	}
	if apierrors.IsInternalError(err) { // what the database behind the server could not do in time
		return strings.Contains(err.Error(), "etcdserver: ") && !strings.Contains(err.Error(), "too large")
	}
	var (
		asked *url.Error
		dns   *net.DNSError
		cert  *tls.CertificateVerificationError
	)
	// The last two are within the body of an answer; client-go has no type for what it says of most of them.
	broken := errors.As(err, &asked) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "when reading response body")
	return broken && !errors.As(err, &dns) && !errors.As(err, &cert) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// outage is how long the server may be away in the midst of a run.
const outage = time.Minute

// again calls do until it succeeds, or its error is not one that passes (as retry says), or patience is over.
func again(ctx context.Context, patience time.Duration, retry func(error) bool, do func() error) error {
	start, pause := time.Now(), 100*time.Millisecond
	for {
		err := do()
		if err == nil || !retry(err) || time.Since(start)+pause > patience {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(pause*2, 2*time.Second)
	}
}

// maxRefusals is how often credentials may be refused in a row: a refusal makes client-go fetch new ones, which the next request brings.
const maxRefusals = 2

// ask sends one request that may be sent twice: it is repeated while the server restarts, once it has ever answered, and when the credentials have
// expired.
func (c *Client) ask(ctx context.Context, do func() error) error {
	refusals := 0
	err := again(ctx, outage, func(err error) bool {
		if apierrors.IsUnauthorized(err) {
			refusals++
			return refusals <= maxRefusals
		}
		return c.answered.Load() && passing(err)
	}, do)
	return c.explain(err)
}
