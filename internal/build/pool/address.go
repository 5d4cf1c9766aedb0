// Package pool builds with BuildKits that davit runs in a Kubernetes cluster: a StatefulSet that is made, changed and waited for when
// a build needs it, and stays until it is removed.
//
// An address says everything about a pool (address.go); objects.go turns it into objects, open.go brings them into the cluster. A build goes
// to the replica that rendezvous hashing gives its artifact (replica.go), over a program that runs in the pod: no port is open. When
// the replica dies in mid-build, the build goes on at the next one, with the cache that the pool keeps in the registry (builder.go).
package pool

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/reference"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Scheme begins a pool's address.
const Scheme = "kubernetes://"

// What an address stands for when it does not say.
const (
	DefaultName  = "davit-builder"
	DefaultWait  = 5 * time.Minute
	defaultImage = "moby/buildkit:v0.34.2"
	rootlessTag  = "-rootless"
	cacheOff     = "off"
)

// Options is a pool as its address describes it.
type Options struct {
	Namespace   string // empty: the kubeconfig's
	Name        string // of its objects
	Replicas    int
	Image       string // has buildkitd as its entrypoint, and buildctl
	Rootless    bool   // as a user without privileges, where the nodes let users have namespaces; else privileged
	HostNetwork bool   // in the network of its node, for registries that only nodes reach
	// Cache is a repository for the layers that replicas share, "off", or empty: beside each image.
	Cache    string
	Insecure []string // registries that replicas pull from in plain HTTP or with any certificate
	Storage  string   // size of a volume for each replica's cache; empty: the node's disk, lost with the pod
	Keep     string   // how much cache a replica keeps; empty: as BuildKit sees fit
	Requests map[string]string
	Limits   map[string]string // cpu, memory, ephemeral-storage

	NodeSelector   map[string]string
	ServiceAccount string
	Wait           time.Duration // how long it may take until it is ready
}

// Is says whether the address of a builder is that of a pool.
func Is(address string) bool { return strings.HasPrefix(address, Scheme) }

// Parse reads a pool's address, kubernetes://NAMESPACE?replicas=2&image=REF&... Errors name the part that is wrong.
func Parse(address string) (Options, error) {
	u, err := url.Parse(address)
	if err != nil || !Is(address) {
		return Options{}, fmt.Errorf("the builder %q is not of the form %sNAMESPACE?replicas=2&image=REF", address, Scheme)
	}
	o := Options{Namespace: u.Host, Name: DefaultName, Replicas: 1, Wait: DefaultWait,
		Requests: map[string]string{}, Limits: map[string]string{}, NodeSelector: map[string]string{}}
	if strings.Trim(u.Path, "/") != "" || u.User != nil || u.Fragment != "" || u.Port() != "" {
		return o, fmt.Errorf("the builder %q: what is before the ? must be a namespace alone, not %q", address, strings.TrimPrefix(strings.SplitN(address, "?", 2)[0], Scheme))
	}
	if o.Namespace != "" && !isName(o.Namespace) {
		return o, fmt.Errorf("the builder %q: %q is no name of a namespace", address, o.Namespace)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return o, fmt.Errorf("the builder %q: %w", address, err)
	}
	for _, key := range slices.Sorted(maps.Keys(query)) {
		for _, value := range query[key] {
			if err := o.set(key, value); err != nil {
				return o, fmt.Errorf("the builder %q: %s=%s: %w", address, key, value, err)
			}
		}
	}
	if o.Image == "" {
		o.Image = defaultImage
		if o.Rootless {
			o.Image += rootlessTag
		}
	}
	return o, nil
}

// settings are the options of an address, in the order in which they are shown.
var settings = []string{"name", "replicas", "image", "rootless", "network", "cache", "insecure", "storage", "keep", "requests.cpu", "requests.memory",
	"requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage", "nodeselector", "serviceaccount", "wait"}

func (o *Options) set(key, value string) (err error) {
	kind, resourceName, _ := strings.Cut(key, ".")
	switch {
	case !slices.Contains(settings, key):
		return fmt.Errorf("there is no such option; there are %s", strings.Join(settings, ", "))
	case value == "":
		return errors.New("it has no value")
	case kind == "requests":
		o.Requests[resourceName], err = value, quantity(value)
		return err
	case kind == "limits":
		o.Limits[resourceName], err = value, quantity(value)
		return err
	}
	switch key {
	case "name":
		o.Name, err = value, mustBeName(value)
	case "replicas":
		if o.Replicas, err = strconv.Atoi(value); err != nil || o.Replicas < 1 {
			err = errors.New("want a number from 1")
		}
	case "image":
		o.Image = value
		if _, parseErr := reference.ParseNormalizedNamed(value); parseErr != nil {
			err = fmt.Errorf("want an image: %w", parseErr)
		}
	case "rootless":
		if o.Rootless, err = strconv.ParseBool(value); err != nil {
			err = errors.New("want true or false")
		}
	case "network":
		if o.HostNetwork = value == "host"; !o.HostNetwork && value != "pod" {
			err = errors.New("want host or pod")
		}
	case "cache":
		o.Cache = strings.TrimRight(value, "/")
		err = mustBeRepository(o.Cache)
	case "insecure":
		o.Insecure = append(o.Insecure, strings.Split(value, ",")...)
		err = mustBeRegistries(o.Insecure)
	case "storage":
		o.Storage, err = value, quantity(value)
	case "keep":
		o.Keep, err = value, diskSpace(value)
	case "nodeselector":
		for pair := range strings.SplitSeq(value, ",") {
			k, v, ok := strings.Cut(pair, "=")
			if !ok || k == "" {
				return errors.New("want label=value,label=value")
			}
			o.NodeSelector[k] = v
		}
	case "serviceaccount":
		o.ServiceAccount, err = value, mustBeName(value)
	case "wait":
		if o.Wait, err = time.ParseDuration(value); err != nil || o.Wait <= 0 {
			err = errors.New("want a time such as 90s or 5m")
		}
	}
	return err
}

// String is the address of the pool alone, without what describes it: enough to find it again.
func (o Options) String() string {
	address := Scheme + o.Namespace
	if o.Name != DefaultName {
		address += "?name=" + url.QueryEscape(o.Name)
	}
	return address
}

// in gives the pool its namespace.
func (o Options) in(namespace string) Options {
	o.Namespace = cmp.Or(o.Namespace, namespace)
	return o
}

// matches compiles its pattern at each use: no start of davit shall pay for it.
func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

// isName says whether a text can name a namespace or a pool: an RFC 1123 label, short enough for what is made of it.
func isName(s string) bool { return len(s) <= 52 && matches(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`, s) }

func mustBeName(s string) error {
	if !isName(s) {
		return errors.New("want a name of lower case letters, digits and dashes, of 52 at most")
	}
	return nil
}

func mustBeRepository(s string) error {
	if s == cacheOff {
		return nil
	}
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return fmt.Errorf("want a repository or off: %w", err)
	}
	if !reference.IsNameOnly(named) {
		return errors.New("want a repository without a tag: each artifact gets a tag of its own there")
	}
	return nil
}

func mustBeRegistries(names []string) error {
	for _, name := range names {
		if !matches(`^[A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?(:[0-9]+)?$`, name) {
			return fmt.Errorf("%q is no registry: want host or host:port", name)
		}
	}
	return nil
}

func quantity(s string) error {
	if q, err := resource.ParseQuantity(s); err != nil || q.Sign() <= 0 {
		return errors.New("want an amount such as 500m, 2 or 4Gi")
	}
	return nil
}

func diskSpace(s string) error {
	if !matches(`^[0-9]+(%|[KMGT]?B?)$`, s) {
		return errors.New("want a size such as 20GB, or a part of the disk such as 50%25 (that is 50%)")
	}
	return nil
}
