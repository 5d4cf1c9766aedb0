package validate

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template/parse"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/model"
)

// artifacts checks what concerns one artifact and its builder.
func (r *rules) artifacts() {
	for i, a := range r.c.Model.Build.Artifacts {
		if a == nil {
			continue
		}
		at := []any{"build", "artifacts", i}
		switch b := a.Builder.(type) {
		case *model.Docker:
			r.network(b, at)
		case *model.Jib:
			if t := strings.ToLower(b.Type); t != "" && t != "maven" && t != "gradle" {
				r.add(fmt.Sprintf("artifact %q has an unknown jib type %q", a.Image, b.Type), "write maven or gradle, or leave it out", append(at, "jib", "type")...)
			}
		case *model.Custom:
			if d := b.Dependencies; d != nil && d.Ignore != nil && (d.Dockerfile != nil || d.Command != "") {
				r.add(fmt.Sprintf("artifact %q ignores files that are not listed by paths", a.Image), "use ignore with paths only", append(at, "custom", "dependencies", "ignore")...)
			}
		}
		r.sync(a, at)
		r.builderFits(a, at)
	}
}

// network checks the name after "container:"; other modes are the Docker Engine's to judge.
func (r *rules) network(d *model.Docker, at []any) {
	mode, name, found := strings.Cut(d.Network, ":")
	if !found || !strings.EqualFold(mode, "container") || strings.Contains(name, "{{") {
		return
	}
	if !regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`).MatchString(name) {
		r.add(fmt.Sprintf("%q is not a container's name", name), "write network: container:NAME", append(at, "docker", "network")...)
	}
}

func (r *rules) sync(a *model.Artifact, at []any) {
	if a.Sync == nil {
		return
	}
	switch mode := a.Sync.Mode.(type) {
	case model.SyncManual:
		for j, rule := range mode {
			if rule != nil && !strings.HasPrefix(rule.Src, rule.Strip) {
				r.add(fmt.Sprintf("sync strips %q from %q, which does not start with it", rule.Strip, rule.Src), "strip what src starts with, or leave strip out", append(at, "sync", "manual", j, "strip")...)
			}
		}
	case model.SyncInfer:
		ko, ok := a.Builder.(*model.Ko)
		if !ok {
			return
		}
		if strings.Contains(ko.Main, "...") {
			r.add("sync cannot infer destinations where ko.main holds a wildcard", "name one main package", append(at, "ko", "main")...)
		}
		for j, pattern := range mode {
			if !strings.Contains(pattern, "kodata") {
				r.add(fmt.Sprintf("ko can sync static files only, and %q is not below kodata", pattern), "write a pattern such as kodata/**/*", append(at, "sync", "infer", j)...)
			}
		}
	}
}

// builderFits checks that an artifact can be built where build says it is.
func (r *rules) builderFits(a *model.Artifact, at []any) {
	kind := model.Name(a.Builder)
	where, next := "", ""
	switch r.c.Model.Build.Environment.(type) {
	case *model.LocalBuild:
		if kind == "kaniko" {
			where, next = "build.local", "add build.cluster, or build it with docker"
		}
	case *model.GoogleCloudBuild:
		if kind == "bazel" || kind == "custom" {
			where, next = "build.googleCloudBuild", "build it locally: remove build.googleCloudBuild"
		}
	case *model.ClusterBuild:
		if kind != "kaniko" && kind != "custom" {
			where, next = "build.cluster", "build it with kaniko, or remove build.cluster"
		}
	}
	if where != "" {
		r.add(fmt.Sprintf("%s cannot build artifact %q with %s", where, a.Image, kind), next, append(at, kind)...)
	}
}

func (r *rules) build() {
	b := r.c.Model.Build
	switch t := b.TagPolicy.Tagger.(type) {
	case *model.EnvTemplate:
		r.tagTemplate(t.Template, "build", "tagPolicy", "envTemplate", "template")
	case *model.CustomTemplate:
		r.tagTemplate(t.Template, "build", "tagPolicy", "customTemplate", "template")
		for i, component := range t.Components {
			if component.Tagger == nil {
				r.add(fmt.Sprintf("component %q names no tag policy", component.Name), "add gitCommit, dateTime, envTemplate, sha256 or inputDigest", "build", "tagPolicy", "customTemplate", "components", i)
			}
		}
	}
	_, sha := b.TagPolicy.Tagger.(*model.Sha256)
	if local, ok := b.Environment.(*model.LocalBuild); ok && local.TryImportMissing && sha {
		r.add("build.tagPolicy.sha256 tags everything with latest, so tryImportMissing would take any old image", "choose another tag policy, or remove tryImportMissing", "build", "tagPolicy", "sha256")
	}
	if cloud, ok := b.Environment.(*model.GoogleCloudBuild); ok && cloud.WorkerPool != "" {
		if !regexp.MustCompile(`projects/[^/]*/locations/[^/]*/workerPools/[^/]*`).MatchString(cloud.WorkerPool) {
			r.add(fmt.Sprintf("%q is not a worker pool", cloud.WorkerPool), "write projects/PROJECT/locations/LOCATION/workerPools/POOL", "build", "googleCloudBuild", "workerPool")
		}
	}
}

// tagTemplate checks that a template can be read. Its functions are not known here.
func (r *rules) tagTemplate(text string, at ...any) {
	t := parse.New("template")
	t.Mode = parse.SkipFuncCheck
	if _, err := t.Parse(text, "", "", map[string]*parse.Tree{}); err != nil {
		r.add(fmt.Sprintf("the template cannot be read: %s", strings.TrimPrefix(err.Error(), "template: template:")), "mend it, such as {{.VERSION}}", at...)
	}
}

func (r *rules) portForward() {
	kinds := []string{"container", "pod", "deployment", "service", "replicaset", "replicationcontroller", "statefulset", "daemonset", "cronjob", "job"}
	for i, p := range r.c.Model.PortForward {
		if p != nil && !slices.Contains(kinds, strings.ToLower(p.Type)) {
			r.add(fmt.Sprintf("%q is not a resource type whose ports can be forwarded", p.Type), suggest(strings.ToLower(p.Type), kinds), "portForward", i, "resourceType")
		}
	}
}

func (r *rules) logs() {
	prefixes := []string{"auto", "container", "podAndContainer", "none"}
	if p := r.c.Model.Deploy.Logs.Prefix; p != "" && !slices.Contains(prefixes, p) {
		r.add(fmt.Sprintf("%q is not a way to prefix logs", p), suggest(p, prefixes), "deploy", "logs", "prefix")
	}
}

func (r *rules) tests() {
	for i, t := range r.c.Model.Test {
		if t == nil {
			continue
		}
		for j, c := range t.Custom {
			d := c.Dependencies
			if d != nil && d.Paths == nil && d.Ignore != nil {
				r.add("files are ignored that are not listed by paths", "use ignore with paths only", "test", i, "custom", j, "dependencies", "ignore")
			}
		}
	}
}

// uniqueNames checks the names of verify tests, custom actions and their containers over all configs.
func uniqueNames(configs []*config.Config) diag.List {
	var errs diag.List
	tests, containers := map[string]bool{}, map[string]bool{}
	actions, parts := map[string]bool{}, map[string]bool{}
	once := func(seen map[string]bool, c *config.Config, what, name string, path ...any) {
		if seen[name] && name != "" {
			errs = append(errs, c.Error(fmt.Sprintf("two %s are named %q", what, name), "give each its own name", path...))
		}
		seen[name] = true
	}
	for _, c := range configs {
		for i, v := range c.Model.Verify {
			if v != nil {
				once(tests, c, "verify tests", v.Name, "verify", i, "name")
				once(containers, c, "containers of verify tests", v.Container.Name, "verify", i, "container", "name")
			}
		}
		for i, a := range c.Model.CustomActions {
			once(actions, c, "custom actions", a.Name, "customActions", i, "name")
			if a.ExecutionMode.Local != nil && a.ExecutionMode.KubernetesCluster != nil {
				errs = append(errs, c.Error(fmt.Sprintf("custom action %q has two execution modes", a.Name), "remove local or kubernetesCluster", "customActions", i, "executionMode"))
			}
			if len(a.Containers) == 0 {
				errs = append(errs, c.Error(fmt.Sprintf("custom action %q has no containers", a.Name), "give it at least one", "customActions", i, "containers"))
			}
			for j, part := range a.Containers {
				once(parts, c, "containers of custom actions", part.Name, "customActions", i, "containers", j, "name")
			}
		}
	}
	return errs
}

// Manifests checks that the manifest files of the configs exist, for commands that read them. A
// config from a repository and the pattern that every config gets by default are left alone.
func Manifests(configs []*config.Config) diag.List {
	var errs diag.List
	for _, c := range configs {
		files := c.Model.Manifests.RawYAML
		if c.Remote || len(files) == 1 && files[0] == model.DefaultManifests {
			continue
		}
		for i, pattern := range files {
			if strings.Contains(pattern, "://") {
				continue
			}
			path := pattern
			if !filepath.IsAbs(path) {
				path = filepath.Join(c.Dir, path)
			}
			found, err := filepath.Glob(path)
			switch {
			case err != nil:
				errs = append(errs, c.Error(fmt.Sprintf("%q is not a pattern for files: %v", pattern, err), "write a path, with * for any letters of a name", "manifests", "rawYaml", i))
			case len(found) == 0:
				errs = append(errs, c.Error(fmt.Sprintf("no manifest file matches %q", pattern), "paths are relative to "+c.Dir, "manifests", "rawYaml", i))
			}
		}
	}
	return errs
}
