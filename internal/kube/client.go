package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/klog/v2"
)

// FieldManager is the name under which davit owns the fields that it applies.
const FieldManager = "davit"

// dialTimeout bounds the wait for a server that does not answer at all.
const dialTimeout = 5 * time.Second

// Options says which cluster, and how to speak to it.
type Options struct {
	Kubeconfig []string // files, the first that says something wins; see [KubeconfigPaths]
	Context    string   // empty: the kubeconfig's current context
	Namespace  string   // for objects that name none; empty: the context's, else "default"
	CacheDir   string   // where discovery is remembered per cluster; empty: nowhere
	UserAgent  string   // as the server's audit log shows it, "davit/v1.2.3 (linux/amd64)"

	// Warnings gets what the server warns of, such as a deprecated API version: once per text, from many goroutines.
	Warnings func(message string)
	// Wrap goes around the connection, for those who count or record requests.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// KubeconfigPaths says which files hold the kubeconfig, by the rules of kubectl: the flag alone, else the list in the
// environment variable KUBECONFIG, else .kube/config in the home folder.
func KubeconfigPaths(flag, env, home string) []string {
	switch {
	case flag != "":
		return []string{flag}
	case env != "":
		return filepath.SplitList(env)
	case home != "":
		return []string{filepath.Join(home, ".kube", "config")}
	}
	return nil
}

// Client speaks to one cluster over one connection. It is safe for many goroutines.
type Client struct {
	context   string
	cluster   string
	namespace string
	config    *rest.Config
	http      *http.Client
	dyn       dynamic.Interface
	raw       *rest.RESTClient
	discovery *discovery
	answered  atomic.Bool  // the server has answered once: what fails now may pass
	skew      atomic.Int64 // nanoseconds by which the server's clock is ahead of ours
}

// Connect reads the kubeconfig; nothing is sent to the cluster before the first call that needs it. Errors are
// [*NoKubeconfigError] or say what is wrong with the file.
func Connect(o Options) (*Client, error) {
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{Precedence: o.Kubeconfig, WarnIfAllMissing: false},
		&clientcmd.ConfigOverrides{CurrentContext: o.Context, Context: clientcmdapi.Context{Namespace: o.Namespace}},
	)
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) || errors.Is(err, rest.ErrNotInCluster) {
		return nil, &NoKubeconfigError{Looked: o.Kubeconfig}
	}
	if err != nil {
		return nil, explainKubeconfig(err, loader, o)
	}
	c := &Client{config: config, context: o.Context}
	if rawConfig, err := loader.RawConfig(); err == nil {
		c.context = cmp.Or(c.context, rawConfig.CurrentContext)
		if named := rawConfig.Contexts[c.context]; named != nil {
			c.cluster = named.Cluster
		}
	}
	if c.namespace, _, err = loader.Namespace(); err != nil {
		return nil, fmt.Errorf("reading the namespace of context %q: %w", c.context, err)
	}
	return c, c.open(o)
}

// open makes the HTTP client: no limit of our own on requests per second, because the server's priority and fairness
// limits better, and answers 429 when it is too much (see limiter).
func (c *Client) open(o Options) (err error) {
	config := c.config
	config.QPS = -1
	config.UserAgent = o.UserAgent
	config.WarningHandler = newWarnings(o.Warnings)
	config.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	if o.Wrap != nil {
		config.Wrap(o.Wrap)
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return newLimiter(next, c.noteAnswer) })
	if c.http, err = rest.HTTPClientFor(config); err != nil {
		return fmt.Errorf("preparing the connection to %s: %w", config.Host, err)
	}
	if c.dyn, err = dynamic.NewForConfigAndClient(config, c.http); err != nil {
		return fmt.Errorf("preparing the connection to %s: %w", config.Host, err)
	}
	rawConfig := dynamic.ConfigFor(config)
	rawConfig.GroupVersion = &schema.GroupVersion{}
	rawConfig.APIPath = "/"
	if c.raw, err = rest.RESTClientForConfigAndClient(rawConfig, c.http); err != nil {
		return fmt.Errorf("preparing the connection to %s: %w", config.Host, err)
	}
	c.discovery = newDiscovery(c, o.CacheDir)
	return nil
}

func (c *Client) noteAnswer(resp *http.Response) {
	c.answered.Store(true)
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		c.skew.Store(int64(time.Until(date)))
	}
}

// Context is the name of the kubeconfig's context in use; empty inside a cluster.
func (c *Client) Context() string { return c.context }

// ClusterName is the name of the context's cluster in the kubeconfig; empty inside a cluster.
func (c *Client) ClusterName() string { return c.cluster }

// AuthorityFile is the path of the API server's certificate authority; empty when the kubeconfig holds the certificate itself.
func (c *Client) AuthorityFile() string { return c.config.CAFile }

// Namespace is where objects go that name none.
func (c *Client) Namespace() string { return c.namespace }

// Server is the URL of the API server.
func (c *Client) Server() string { return c.config.Host }

// quiet keeps client-go from writing to stderr what its errors say anyway.
func quiet(ctx context.Context) context.Context { return klog.NewContext(ctx, klog.Logger{}) }

// in gives the requests for a resource in a namespace; the namespace is ignored for resources that have none.
func (c *Client) in(r Resource, namespace string) dynamic.ResourceInterface {
	if r.Namespaced {
		return c.dyn.Resource(r.GVR()).Namespace(namespace)
	}
	return c.dyn.Resource(r.GVR())
}
