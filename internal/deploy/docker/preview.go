package docker

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/deploy/preview"
	"github.com/davit-dev/davit/internal/kube"
)

// Engine says which Engine the containers run in: its address, and an id that no other has.
func (d *Deployer) Engine(ctx context.Context) (address, id string, err error) {
	found, err := d.Client.Info(ctx, client.InfoOptions{})
	if err != nil {
		return "", "", fmt.Errorf("asking the Docker Engine who it is: %w", err)
	}
	return d.Client.DaemonHost(), found.Info.ID, nil
}

// Preview finds out what Start would do with the same arguments, and does nothing of it. No image is pulled: a container of one that the Engine lacks would be
// another.
func (d *Deployer) Preview(ctx context.Context, set Set, images map[string]Image) ([]preview.Object, error) {
	ids, err := d.find(ctx, set, images)
	if err != nil {
		return nil, err
	}
	r, err := d.look(ctx, set, ids)
	if err != nil {
		return nil, err
	}
	leaving, err := d.leaving(ctx, r.stale, r.others, set.Network)
	if err != nil {
		return nil, err
	}
	var all []preview.Object
	if there, err := d.hasNetwork(ctx, set.Network); err != nil {
		return nil, err
	} else if !there {
		all = append(all, preview.Object{Resource: "network/" + set.Network, Action: kube.ActionCreate})
	}
	replaced := map[string]bool{}
	for _, t := range r.tasks {
		o := set.preview(t, images[t.Image])
		all, replaced[o.ID] = append(all, o), true
	}
	for _, c := range r.stale {
		if !replaced[c.ID] {
			all = append(all, preview.Object{Resource: "container/" + nameOf(c), Action: preview.Prune, ID: c.ID, Notes: []string{"it is another container of its image"}})
		}
	}
	for _, network := range leaving {
		all = append(all, preview.Object{Resource: "network/" + network, Action: preview.Prune, Notes: []string{"no container is left in it"}})
	}
	for _, c := range r.orphans {
		all = append(all, preview.Object{Resource: "container/" + nameOf(c), Action: preview.Orphan, ID: c.ID})
	}
	return all, nil
}

// preview says what Start would do for one image.
func (s Set) preview(t task, image Image) preview.Object {
	o := preview.Object{Resource: t.resource(), Action: kube.ActionCreate, Fields: fieldsOf(t.settings)}
	o.Fields["image"] = image.Ref
	switch {
	case t.verb == "unchanged":
		o.Action, o.ID = kube.ActionUnchanged, t.id
		return o
	case t.image == "" && image.ID == "":
		o.Notes = []string{"the image is pulled first"}
	}
	if t.was == nil {
		return o
	}
	o.Action, o.ID = kube.ActionReplace, t.was.ID
	before, after := fieldsOf(t.was.Labels[labelSettings]), fieldsOf(t.settings)
	if len(before) == 0 {
		o.Notes = append(o.Notes, "davit did not make it")
		before = fieldsOf(t.settings)
	}
	before["image"], after["image"] = t.was.Image, image.Ref
	if t.was.Image == image.Ref && t.image != "" {
		before["image"], after["image"] = t.was.ImageID, t.image // the same name, of another image by now
	}
	before["state"], after["state"] = string(t.was.State), string(container.StateRunning)
	o.Changes = kube.Between(before, after)
	return o
}

// fieldsOf reads settings; there are none in what is none.
func fieldsOf(settings string) map[string]any {
	fields := map[string]any{}
	if err := json.Unmarshal([]byte(settings), &fields); err != nil {
		return map[string]any{}
	}
	return fields
}

func (d *Deployer) hasNetwork(ctx context.Context, name string) (bool, error) {
	_, err := d.Client.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking the Docker Engine for the network %s: %w", name, err)
	}
	return true, nil
}
