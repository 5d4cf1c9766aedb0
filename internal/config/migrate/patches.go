package migrate

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/config/ynode"
)

// movePatches points the patches of profiles at where their targets moved to. A patch of a helm
// release is done twice, since releases now stand below manifests and below deploy.
func movePatches(p *Pass) {
	for _, profile := range ynode.Items(ynode.Get(p.Doc, "profiles")) {
		patches := ynode.Get(profile, "patches")
		if ynode.IsNull(patches) || patches.Kind != yaml.SequenceNode {
			continue
		}
		var again []*yaml.Node
		for _, patch := range patches.Content {
			path := ynode.Get(patch, "path")
			if path == nil || ofOverride(path.Value) || strings.Contains(path.Value, "/deploy/helm/hooks") {
				continue
			}
			if strings.Contains(path.Value, "/deploy/helm") {
				again = append(again, ynode.Clone(patch))
			}
			if strings.Contains(path.Value, "/deploy/kpt") {
				p.warn(path, "profiles.patches", "move it by hand", "the patch of %s is not converted", path.Value)
			}
			path.Value = movePath(path.Value)
		}
		patches.Content = append(patches.Content, again...)
	}
}

func movePath(path string) string {
	for _, move := range [][2]string{
		{"/deploy/kubectl/manifests", "/manifests/rawYaml"},
		{"/deploy/kustomize/paths", "/manifests/kustomize/paths"},
		{"/deploy/kustomize/buildArgs", "/manifests/kustomize/buildArgs"},
		{"/deploy/helm", "/manifests/helm"},
	} {
		if strings.Contains(path, move[0]) {
			return strings.ReplaceAll(path, move[0], move[1])
		}
	}
	return path
}

// overrideRelease gives the release that a patch of an image override is about; -1 for other patches.
func overrideRelease(path string) int {
	_, rest, found := strings.Cut(path, "/deploy/helm/releases/")
	number, rest, more := strings.Cut(rest, "/")
	n, err := strconv.Atoi(number)
	if !found || !more || err != nil || n < 0 || !strings.HasPrefix(rest, "artifactOverrides/image") {
		return -1
	}
	return n
}

func ofOverride(path string) bool { return overrideRelease(path) >= 0 }

// moveOverridePatches turns patches of helm's image overrides into patches of the value templates that
// replace them.
func (p *Pass) moveOverridePatches(helm *yaml.Node) {
	releases := ynode.Items(ynode.Get(helm, "releases"))
	for _, profile := range ynode.Items(ynode.Get(p.Doc, "profiles")) {
		patches := ynode.Get(profile, "patches")
		for _, patch := range ynode.Items(patches) {
			path, value := ynode.Get(patch, "path"), ynode.Get(patch, "value")
			if path == nil || value == nil || value.Kind != yaml.ScalarNode {
				continue
			}
			n := overrideRelease(path.Value)
			if n < 0 || n >= len(releases) {
				continue
			}
			target := strings.ReplaceAll(strings.ReplaceAll(path.Value, "/deploy/helm", "/manifests/helm"), "artifactOverrides", "setValueTemplates")
			templates := overrideTemplates(model.Text(value), ynode.Path(releases[n], "imageStrategy", "helm"))
			for i, t := range templates {
				to := patch
				if i > 0 {
					to = ynode.Clone(patch)
					patches.Content = append(patches.Content, to)
				}
				ynode.Set(to, "path", ynode.String(target+t.suffix, path))
				ynode.Set(to, "value", ynode.String(t.template, value))
			}
		}
	}
}
