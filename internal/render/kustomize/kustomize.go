// Package kustomize renders kustomizations in this process, through the library that the kustomize command is made of, and
// gives each object the file it came from. What the library cannot do goes to the kustomize command, where there is one.
package kustomize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/render/helm"
)

// Options says what to render.
type Options struct {
	// Dir is the absolute folder that relative paths start from.
	Dir string
	// Path is the kustomization: a folder, absolute or below Dir, or the address of a git repository as kustomize takes it.
	Path string
	// Args are flags of `kustomize build`, as in the config's buildArgs; one may hold several words.
	Args []string
	// Environ is what commands see: git for remote bases, the kustomize command, plugins. "NAME=value".
	Environ []string
	// LookPath finds a command, as [os/exec.LookPath]; nil means that there are none.
	LookPath func(name string) (string, error)
	// Helm is for charts in kustomizations, with --enable-helm.
	Helm helm.Options
	// Values are of parameters, as [manifest.SetValues] has them; they are set in the files that a kustomization is made of, where the comments are.
	Values map[string]string
	// Several says that others are rendered at the same time. For one alone, not reading the schema early may save that altogether.
	Several bool
}

// Build renders one kustomization. The objects come in the order in which `kustomize build` prints them; their File is the
// file each was read or made from, as seen from Dir. An error names the kustomization, the file and the cause.
func Build(ctx context.Context, o Options, sink event.Sink) ([]manifest.Object, error) {
	s, err := parseArgs(o.Args)
	if errors.Is(err, errForeign) {
		return o.byCommand(ctx, err, sink)
	}
	if err != nil {
		return nil, fmt.Errorf("kustomize.buildArgs of %s: %w", o.Path, err)
	}
	return o.byLibrary(ctx, s, sink)
}

// processSchema guards the OpenAPI schema that the library keeps for the whole process: kustomizations without a schema of their own share the
// built-in one; one that brings its own must neither meet another's nor leave its own behind.
var processSchema sync.RWMutex

func (o Options) byLibrary(ctx context.Context, s settings, sink event.Sink) ([]manifest.Object, error) {
	files := o.files(ctx, s, sink)
	files.shared = o.Several
	m, err := o.run(files, s)
	if files.ownSchema && files.shared {
		files = o.files(ctx, s, sink) // once more, alone
		m, err = o.run(files, s)
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("kustomization %s: %w", o.Path, o.explain(cmp.Or(files.broken, err)))
	}
	return o.objects(m, files.origins)
}

func (o Options) run(files *files, s settings) (resmap.ResMap, error) {
	if files.shared {
		processSchema.RLock()
		defer processSchema.RUnlock()
		openapi.SchemaForResourceType(kyaml.TypeMeta{}) // from here on the schema is only read, which the library does without a lock
	} else {
		processSchema.Lock()
		defer processSchema.Unlock()
	}
	m, err := krusty.MakeKustomizer(s.options()).Run(files, o.root())
	if files.ownSchema && !files.shared {
		openapi.ResetOpenAPI()
	}
	return m, err
}

// root is the path as the library wants it.
func (o Options) root() string {
	if isRemote(o.Path) || filepath.IsAbs(o.Path) {
		return o.Path
	}
	return filepath.Join(o.Dir, filepath.FromSlash(o.Path))
}

// isRemote tells addresses of git repositories from folders, less strictly than the library: what it says yes to is not a
// sensible name for a folder.
func isRemote(path string) bool {
	return strings.Contains(path, "://") || strings.HasPrefix(path, "git@") || strings.HasPrefix(path, "git::") || strings.HasPrefix(path, "github.com/")
}

func (s settings) options() *krusty.Options {
	k := krusty.MakeDefaultOptions()
	k.Reorder = krusty.ReorderOption(s.reorder)
	k.AddManagedbyLabel = s.managedBy
	if s.loadRestrictor == types.LoadRestrictionsNone.String() || s.loadRestrictor == "none" {
		k.LoadRestrictions = types.LoadRestrictionsNone
	}
	if s.plugins {
		k.PluginConfig = types.EnabledPluginConfig(types.BploUseStaticallyLinked)
		k.PluginConfig.FnpLoadingOptions = s.functions
	}
	k.PluginConfig.HelmConfig = types.HelmConfig{
		Enabled: s.helm.enabled, Command: s.helm.command, ApiVersions: s.helm.apiVersions, KubeVersion: s.helm.kubeVersion, Debug: s.helm.debug,
	}
	return k
}

// objects reads the result back as YAML, as the kustomize command prints it.
func (o Options) objects(m resmap.ResMap, keepOrigins bool) ([]manifest.Object, error) {
	var objects []manifest.Object
	for _, r := range m.Resources() {
		origin := o.origin(r)
		if !keepOrigins {
			if err := r.SetOrigin(nil); err != nil {
				return nil, fmt.Errorf("kustomization %s: %w", o.Path, err)
			}
		}
		text, err := r.AsYAML()
		if err != nil {
			return nil, fmt.Errorf("kustomization %s: writing what comes from %s: %w", o.Path, origin, err)
		}
		parsed, err := manifest.ParseMade(origin, text)
		if err != nil {
			return nil, err
		}
		objects = append(objects, parsed...)
	}
	return objects, nil
}
