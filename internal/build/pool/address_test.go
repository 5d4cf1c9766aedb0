package pool

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	plain := Options{Name: "davit-builder", Replicas: 1, Image: defaultImage, Wait: 5 * time.Minute,
		Requests: map[string]string{}, Limits: map[string]string{}, NodeSelector: map[string]string{}}
	with := func(change func(*Options)) Options {
		o := plain
		change(&o)
		return o
	}
	for address, want := range map[string]Options{
		"kubernetes://":         plain,
		"kubernetes://builders": with(func(o *Options) { o.Namespace = "builders" }),
		"kubernetes://b?rootless=true": with(func(o *Options) {
			o.Namespace, o.Rootless, o.Image = "b", true, defaultImage+"-rootless"
		}),
		"kubernetes://b?name=team-a&replicas=3&image=registry.example.com:5000/buildkit@sha256:" + strings.Repeat("a", 64): with(func(o *Options) {
			o.Namespace, o.Name, o.Replicas, o.Image = "b", "team-a", 3, "registry.example.com:5000/buildkit@sha256:"+strings.Repeat("a", 64)
		}),
		"kubernetes://b?network=host&insecure=a:5000,b&insecure=c&cache=registry.example.com/cache/&keep=50%25&storage=10Gi&wait=90s": with(func(o *Options) {
			o.Namespace, o.HostNetwork, o.Insecure = "b", true, []string{"a:5000", "b", "c"}
			o.Cache, o.Keep, o.Storage, o.Wait = "registry.example.com/cache", "50%", "10Gi", 90*time.Second
		}),
		"kubernetes://b?requests.cpu=500m&limits.memory=4Gi&nodeselector=disk=ssd,kubernetes.io/arch=amd64&serviceaccount=builder": with(func(o *Options) {
			o.Namespace, o.Requests, o.Limits = "b", map[string]string{"cpu": "500m"}, map[string]string{"memory": "4Gi"}
			o.NodeSelector, o.ServiceAccount = map[string]string{"disk": "ssd", "kubernetes.io/arch": "amd64"}, "builder"
		}),
	} {
		if o, err := Parse(address); err != nil || !reflect.DeepEqual(o, want) {
			t.Errorf("%s is\n%+v (%v), want\n%+v", address, o, err, want)
		}
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	for address, says := range map[string][]string{
		"builders":                              {`"builders"`, "kubernetes://NAMESPACE"},
		"kubernetes://b/web":                    {"namespace alone", "b/web"},
		"kubernetes://b:80":                     {"namespace alone"},
		"kubernetes://Big":                      {`"Big"`, "namespace"},
		"kubernetes://b?replica=2":              {"replica=2", "no such option", "replicas"},
		"kubernetes://b?replicas=0":             {"replicas=0", "from 1"},
		"kubernetes://b?replicas=two":           {"replicas=two", "number"},
		"kubernetes://b?image=Not%20an%20image": {"image=Not an image", "want an image"},
		"kubernetes://b?image=":                 {"image=", "no value"},
		"kubernetes://b?rootless=maybe":         {"rootless=maybe", "true or false"},
		"kubernetes://b?network=none":           {"network=none", "host or pod"},
		"kubernetes://b?cache=r.io/c:tag":       {"cache=r.io/c:tag", "without a tag"},
		"kubernetes://b?insecure=http://r":      {"insecure=http://r", "no registry"},
		"kubernetes://b?storage=big":            {"storage=big", "an amount"},
		"kubernetes://b?limits.memory=-1":       {"limits.memory=-1", "an amount"},
		"kubernetes://b?limits.gpu=1":           {"limits.gpu=1", "no such option"},
		"kubernetes://b?keep=lots":              {"keep=lots", "want a size"},
		"kubernetes://b?nodeselector=ssd":       {"nodeselector=ssd", "label=value"},
		"kubernetes://b?name=A":                 {"name=A", "lower case"},
		"kubernetes://b?wait=5":                 {"wait=5", "a time"},
		"kubernetes://b?a=%zz":                  {"kubernetes://b?a=%zz", "invalid URL escape"},
	} {
		_, err := Parse(address)
		if err == nil {
			t.Errorf("%s passes", address)
			continue
		}
		for _, text := range says {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: the error does not say %q: %v", address, text, err)
			}
		}
	}
}
