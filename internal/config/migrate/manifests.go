package migrate

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/config/ynode"
)

// kubectlManifests moves deploy.kubectl.manifests to manifests.rawYaml.
func kubectlManifests(_ *Pass, pipeline *yaml.Node) {
	kubectl := ynode.Path(pipeline, "deploy", "kubectl")
	if files := ynode.Get(kubectl, "manifests"); len(ynode.Items(files)) > 0 {
		ynode.Move(kubectl, "manifests", ynode.Before(pipeline, "manifests", "deploy", files), "rawYaml")
	}
}

// kustomizeIntoManifests moves rendering to manifests.kustomize and applying to deploy.kubectl.
func kustomizeIntoManifests(p *Pass, pipeline *yaml.Node) {
	deploy := ynode.Get(pipeline, "deploy")
	old := ynode.Get(deploy, "kustomize")
	if ynode.IsNull(old) {
		return
	}
	render := ynode.Mapping(old)
	if len(ynode.Items(ynode.Get(old, "paths"))) > 0 {
		ynode.Move(old, "paths", render, "paths")
	} else {
		ynode.Take(old, "paths")
		ynode.Set(render, "paths", ynode.Sequence(old, ynode.String(".", old)))
	}
	ynode.Move(old, "buildArgs", render, "buildArgs")
	manifests := ynode.Before(pipeline, "manifests", "deploy", old)
	ynode.Move(deploy, "kustomize", manifests, "kustomize")
	ynode.Set(manifests, "kustomize", render)

	kubectl := ynode.Get(deploy, "kubectl")
	if ynode.IsNull(kubectl) {
		ynode.Set(deploy, "kubectl", old)
		return
	}
	p.mergeDeployers(kubectl, old)
}

// mergeDeployers adds what the kustomize deployer was told to the kubectl deployer, which now does both.
func (p *Pass) mergeDeployers(kubectl, kustomize *yaml.Node) {
	const next = "make both equal, or remove one of them"
	if ns := ynode.Get(kustomize, "defaultNamespace"); !ynode.IsNull(ns) {
		if other := ynode.Get(kubectl, "defaultNamespace"); !ynode.IsNull(other) && other.Value != ns.Value {
			p.fail(ns, "deploy.kustomize.defaultNamespace", next, "deploy.kustomize.defaultNamespace %q differs from deploy.kubectl.defaultNamespace %q, and both become one", ns.Value, other.Value)
		}
		ynode.Set(kubectl, "defaultNamespace", ns)
	}
	flags := ynode.Get(kustomize, "flags")
	if truth(ynode.Path(kubectl, "flags", "disableValidation")) != truth(ynode.Get(flags, "disableValidation")) {
		p.fail(kustomize, "deploy.kustomize.flags", next, "flags.disableValidation differs between deploy.kustomize and deploy.kubectl, and both become one")
	}
	appendLists(kubectl, kustomize, "flags", "global", "apply", "delete")
	appendLists(kubectl, kustomize, "hooks", "before", "after")
}

func appendLists(to, from *yaml.Node, group string, keys ...string) {
	for _, key := range keys {
		more := ynode.Path(from, group, key)
		if len(ynode.Items(more)) == 0 {
			continue
		}
		into := ynode.Child(to, group, more)
		if list := ynode.Get(into, key); len(ynode.Items(list)) > 0 {
			list.Content = append(list.Content, more.Content...)
		} else {
			ynode.Set(into, key, more)
		}
	}
}

func truth(n *yaml.Node) bool {
	var b bool
	return n != nil && n.Decode(&b) == nil && b
}

func noKptDeploy(p *Pass, pipeline *yaml.Node) {
	if kpt := ynode.Path(pipeline, "deploy", "kpt"); !ynode.IsNull(kpt) {
		p.fail(ynode.Key(ynode.Get(pipeline, "deploy"), "kpt"), "deploy.kpt", "write manifests.kpt and deploy.kpt as skaffold/v4beta1 has them, and change apiVersion", "deploy.kpt of this version cannot be converted")
	}
}

// helmIntoManifests gives releases to the renderer as well as to the deployer, and writes image
// overrides as the value templates they stand for.
func helmIntoManifests(p *Pass, pipeline *yaml.Node) {
	helm := ynode.Path(pipeline, "deploy", "helm")
	if ynode.IsNull(helm) {
		return
	}
	p.moveOverridePatches(helm)
	for _, r := range releases(pipeline) {
		p.overridesIntoTemplates(r)
	}
	render := ynode.Mapping(helm)
	for _, key := range []string{"flags", "releases"} {
		if n := ynode.Get(helm, key); n != nil {
			ynode.Set(render, key, ynode.Clone(n))
		}
	}
	ynode.Uncomment(render)
	ynode.Set(ynode.Before(pipeline, "manifests", "deploy", helm), "helm", render)
}

// overridesIntoTemplates replaces a release's artifactOverrides and imageStrategy by setValueTemplates.
func (p *Pass) overridesIntoTemplates(release *yaml.Node) {
	var comments []string
	for _, name := range []string{"artifactOverrides", "imageStrategy"} {
		comments = append(append(comments, ynode.Comments(ynode.Key(release, name))...), ynode.Comments(ynode.Get(release, name))...)
	}
	overrides, strategy := ynode.Take(release, "artifactOverrides"), ynode.Take(release, "imageStrategy")
	if !ynode.IsNull(overrides) && overrides.Kind != yaml.MappingNode {
		p.fail(overrides, "deploy.helm.releases.artifactOverrides", `write "value: image" pairs`, "artifactOverrides must map helm values to images")
	}
	convention := ynode.Get(strategy, "helm")
	templates := ynode.Get(release, "setValueTemplates")
	set := func(key, value string, at *yaml.Node) {
		if ynode.IsNull(templates) {
			templates = ynode.Mapping(at)
			ynode.Set(release, "setValueTemplates", templates)
		}
		ynode.Set(templates, key, ynode.String(value, at))
	}
	flatten(overrides, "", func(key string, image *yaml.Node) {
		for _, v := range overrideTemplates(model.Printed(image), convention) {
			set(key+v.suffix, v.template, image)
		}
	})
	// The reference text writes templates here; they count as the release's own.
	flatten(ynode.Get(convention, "setValueTemplates"), "", func(key string, value *yaml.Node) {
		set(key, value.Value, value)
	})
	if key := ynode.Key(release, "setValueTemplates"); key != nil && len(comments) > 0 {
		key.HeadComment = strings.TrimPrefix(key.HeadComment+"\n"+strings.Join(comments, "\n"), "\n")
	}
}

type override struct{ suffix, template string }

// overrideTemplates gives the values that an image override stood for: one with the whole reference,
// or, in helm's own convention, tag, repository and perhaps registry apart.
func overrideTemplates(image string, convention *yaml.Node) []override {
	name := templateName(image)
	switch {
	case ynode.IsNull(convention):
		return []override{{"", "{{.IMAGE_FULLY_QUALIFIED_" + name + "}}"}}
	case truth(ynode.Get(convention, "explicitRegistry")):
		return []override{
			{".tag", "{{.IMAGE_TAG_" + name + "}}@{{.IMAGE_DIGEST_" + name + "}}"},
			{".registry", "{{.IMAGE_DOMAIN_" + name + "}}"},
			{".repository", "{{.IMAGE_REPO_NO_DOMAIN_" + name + "}}"},
		}
	}
	return []override{
		{".tag", "{{.IMAGE_TAG_" + name + "}}@{{.IMAGE_DIGEST_" + name + "}}"},
		{".repository", "{{.IMAGE_REPO_" + name + "}}"},
	}
}

// templateName replaces what a template variable's name cannot hold.
func templateName(image string) string {
	return strings.NewReplacer(".", "_", "-", "_", "/", "_", ":", "_").Replace(image)
}

// flatten calls f for every scalar below n, with its dotted key.
func flatten(n *yaml.Node, prefix string, f func(key string, value *yaml.Node)) {
	if n == nil {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			if prefix != "" {
				key = prefix + "." + key
			}
			flatten(n.Content[i+1], key, f)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			flatten(item, prefix+"["+strconv.Itoa(i)+"]", f)
		}
	case yaml.ScalarNode:
		if prefix != "" {
			f(prefix, n)
		}
	}
}
