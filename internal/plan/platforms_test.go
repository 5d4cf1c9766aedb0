package plan

import (
	"reflect"
	"strings"
	"testing"
)

func TestPlatforms(t *testing.T) {
	for name, c := range map[string]struct {
		build, artifact string // YAML lists
		facts           PlatformFacts
		want            []string
		warning, err    string // parts
	}{
		"nothing said is the builder's own":       {},
		"the builder's own where it is known":     {facts: PlatformFacts{Builder: "linux/amd64"}, want: []string{"linux/amd64"}},
		"the nodes say it":                        {facts: PlatformFacts{Nodes: []string{"linux/amd64", "linux/arm64"}}, want: []string{"linux/amd64", "linux/arm64"}},
		"the nodes narrow the flag":               {facts: PlatformFacts{Flag: []string{"linux/s390x", "linux/arm64"}, Nodes: []string{"linux/amd64", "linux/arm64"}}, want: []string{"linux/arm64"}},
		"the nodes narrow the config":             {build: "[linux/amd64, linux/arm64]", facts: PlatformFacts{Nodes: []string{"linux/amd64"}}, want: []string{"linux/amd64"}},
		"a node does not tell its variant":        {build: "[linux/arm/v6]", facts: PlatformFacts{Nodes: []string{"linux/arm"}}, want: []string{"linux/arm/v6"}},
		"no node fits":                            {build: "[linux/s390x]", facts: PlatformFacts{Nodes: []string{"linux/amd64"}}, want: []string{"linux/s390x"}, warning: "built for linux/s390x, and the cluster's nodes are linux/amd64"},
		"the flag comes before the config":        {build: "[linux/amd64]", facts: PlatformFacts{Flag: []string{"linux/arm64"}}, want: []string{"linux/arm64"}},
		"all is what the nodes have":              {facts: PlatformFacts{Flag: []string{"ALL"}, Nodes: []string{"linux/arm64"}}, want: []string{"linux/arm64"}},
		"all is what the artifact has":            {artifact: "[linux/arm64]", facts: PlatformFacts{Flag: []string{"all"}}, want: []string{"linux/arm64"}},
		"all of nothing":                          {facts: PlatformFacts{Flag: []string{"all"}}, err: "skaffold.yaml:7:5: web is to be built for all platforms, and nothing says which there are"},
		"the artifact narrows":                    {build: "[linux/amd64, linux/arm64]", artifact: "[linux/arm64]", want: []string{"linux/arm64"}},
		"the artifact alone":                      {artifact: "[linux/arm64]", want: []string{"linux/arm64"}},
		"an artifact that nothing fits":           {artifact: "[linux/arm64]", facts: PlatformFacts{Flag: []string{"linux/amd64"}}, err: "skaffold.yaml:8:16: web is built for linux/arm64 only, and not for linux/amd64, which --platform says"},
		"an artifact that no node fits":           {artifact: "[linux/arm64]", facts: PlatformFacts{Nodes: []string{"linux/amd64"}}, err: "not for linux/amd64, which the cluster's nodes are"},
		"only one of all":                         {facts: PlatformFacts{Flag: []string{"all"}, OneOnly: true, Host: "linux/amd64"}, want: []string{"linux/amd64"}},
		"only one, this machine's":                {build: "[linux/arm64, linux/amd64]", facts: PlatformFacts{OneOnly: true, Host: "linux/amd64"}, want: []string{"linux/amd64"}},
		"only one, and none is this machine's":    {build: "[linux/arm64, linux/s390x]", facts: PlatformFacts{OneOnly: true, Host: "linux/amd64"}, want: []string{"linux/arm64"}},
		"other names of the same, each once":      {build: "[linux/aarch64, linux/arm64/v8, linux/x86_64]", want: []string{"linux/arm64", "linux/amd64"}},
		"a system that is not known":              {build: "[linux/amd64, beos/amd64]", err: `skaffold.yaml:4:28: the operating system "beos" is not known`},
		"an architecture that is not known":       {facts: PlatformFacts{Flag: []string{"linux/z80"}}, err: `--platform linux/z80: the architecture "z80" is not known: use one such as linux/amd64`},
		"what is no platform at all":              {artifact: `["a/b/c/d"]`, err: `"a/b/c/d" is no platform`},
		"an architecture alone has this system's": {facts: PlatformFacts{Flag: []string{"linux/386"}}, want: []string{"linux/386"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.build == "" {
				c.build = "[]"
			}
			if c.artifact == "" {
				c.artifact = "[]"
			}
			text := "apiVersion: skaffold/v4beta14\nkind: Config\nbuild:\n  platforms: " + c.build + "\n  artifacts:\n  - image: other\n  - image: web\n    platforms: " + c.artifact + "\n"
			got, warning, err := Platforms(configs(t, text)[0], 1, c.facts)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v", err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, %v", got, err)
			}
			if (c.warning == "") != (warning == "") || !strings.Contains(warning, c.warning) {
				t.Errorf("warning %q", warning)
			}
		})
	}
}
