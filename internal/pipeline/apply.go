package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/davit-dev/davit/internal/command"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/plan"
)

// sets are the objects of the deployments of a run, by their places among all; nil for those that put none into the cluster.
type sets []*deployedSet

// deployedSet is the objects of one deployment, and what became of them.
type deployedSet struct {
	plan.Deployment
	set      kube.Set
	objects  []kube.Object
	releases []kube.Release
	result   *kube.ApplyResult // nil: it was not begun
}

func (p *Pipeline) sets(rendered []Rendered) (sets, error) {
	all := make(sets, len(rendered))
	for i, r := range rendered {
		if r.Elsewhere {
			continue
		}
		objects, err := p.objects(r)
		if err != nil {
			return nil, err
		}
		all[i] = &deployedSet{Deployment: r.Deployment, set: p.set(r.Deployment), objects: objects}
	}
	return all, nil
}

// siblings are the other sets.
func (all sets) siblings(of *deployedSet) []kube.Sibling {
	var others []kube.Sibling
	for _, s := range all {
		if s != nil && s != of {
			others = append(others, kube.Sibling{Set: s.set, Objects: s.objects})
		}
	}
	return others
}

// applySet puts the objects of a deployment into the cluster.
func (p *Pipeline) applySet(ctx context.Context, all sets, i int) (applied []kube.Applied, err error) {
	s := all[i]
	for _, note := range s.Notes {
		p.Sink.Emit(event.Note{Message: note})
	}
	o := p.applyOptions(s.Deployment)
	o.Siblings = all.siblings(s)
	if s.result, err = p.Kube.Apply(ctx, s.set, s.objects, o, p.Sink); err != nil {
		return s.result.Objects, fmt.Errorf("deploying: %w", err)
	}
	for _, orphan := range s.result.Orphans {
		why := "it stays without --prune"
		if orphan.Kept {
			why = "its annotation keeps it"
		}
		p.warn("%s in namespace %s was deployed before and is not in the config any more: %s", orphan.Resource, orphan.Namespace, why)
	}
	return s.result.Objects, nil
}

func (p *Pipeline) applyOptions(d plan.Deployment) kube.ApplyOptions {
	o := kube.ApplyOptions{
		Force: d.Force, Prune: d.Prune, NoForceConflicts: d.NoForceConflicts, Validation: d.Validation, Manager: d.Manager, Deletion: deletion(d.Replaced, false),
	}
	if d.ByKubectl != nil && d.ByKubectl.Apply != nil {
		o.By = p.kubectl(d, d.ByKubectl.Apply)
	}
	return o
}

// deletion says how to delete. foreground is whether what objects own is waited for when nothing else was said.
func deletion(d plan.Deletion, foreground bool) kube.DeleteOptions {
	return kube.DeleteOptions{
		Foreground: d.Cascade == "foreground" || d.Cascade == "" && foreground, Orphan: d.Cascade == "orphan", Deadline: d.Timeout, Grace: d.Grace, NoWait: d.NoWait,
	}
}

func (p *Pipeline) deleteOptions(d plan.Deployment) kube.DeleteOptions {
	o := deletion(d.Deleted, true)
	if d.ByKubectl != nil && d.ByKubectl.Delete != nil {
		o.By = p.kubectl(d, d.ByKubectl.Delete)
	}
	return o
}

// clusterFlags lead another command to the same cluster; ofContext is its flag for the context.
func (p *Pipeline) clusterFlags(ofContext string) []string {
	var flags []string
	if name := p.Kube.Context(); name != "" {
		flags = append(flags, ofContext, name)
	}
	if p.Deploying.Kubeconfig != "" {
		flags = append(flags, "--kubeconfig", p.Deploying.Kubeconfig)
	}
	return flags
}

// kubectl gives objects to the kubectl command, for the flags that only that knows.
func (p *Pipeline) kubectl(d plan.Deployment, args []string) func(context.Context, []kube.Object) error {
	return func(ctx context.Context, objects []kube.Object) error {
		path, err := p.Rendering.LookPath("kubectl")
		if err != nil {
			return d.ByKubectl.Missing
		}
		list := map[string]any{"apiVersion": "v1", "kind": "List"}
		items := make([]any, len(objects))
		for i, o := range objects {
			items[i] = o.Object
		}
		list["items"] = items
		text, err := json.Marshal(list)
		if err != nil {
			return err
		}
		shown := "kubectl " + strings.Join(args, " ")
		p.Sink.Emit(event.Note{Message: "Running " + shown + ", as deploy.kubectl.flags has flags that only kubectl knows"})
		var said []string
		err = command.Command{
			Args: slices.Concat([]string{path}, p.clusterFlags("--context"), args, []string{"-f", "-"}), Dir: d.Dir, Environ: p.Environ, Stdin: bytes.NewReader(text),
			Line: func(line string) {
				said = append(said, line)
				p.Sink.Emit(event.Info{Message: line})
			},
		}.Run(ctx)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("%s: %w\n%s", shown, err, strings.Join(said[max(0, len(said)-event.LastLines):], "\n"))
		}
		return err
	}
}
