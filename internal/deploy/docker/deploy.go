// Package docker runs images as containers of a Docker Engine: what `deploy.docker` of a config asks for.
//
// Containers carry labels that say which set they are of, for which image, and how they were made. One that runs, of the very image that is wanted and made
// as is wanted, is left alone; whatever else there is for an image of the set makes room for a new one: an older version, one that ended, what a
// run that was killed left, what Skaffold started. So a run repairs what came before it.
package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/event"
)

// Labels of containers and networks.
const (
	labelSet      = "davit.dev/set"      // Set.Name
	labelImage    = "davit.dev/image"    // Container.Image
	labelSettings = "davit.dev/settings" // how the container was made
	labelNetwork  = "davit.dev/network"  // on networks
	labelSkaffold = "skaffold.dev/run-id"
)

// Set is what one config runs.
type Set struct {
	Name       string // its containers are found by it
	Network    string // the name of the network that its containers share with those of the project's other sets
	Labels     map[string]string
	Containers []Container
	Wait       bool          // until all run, and are healthy if their images say what that is
	Deadline   time.Duration // of that; 0: ten minutes
}

// Images are the artifacts of a set; a set that is nil has none.
func (s *Set) Images() iter.Seq[string] {
	return func(yield func(string) bool) {
		if s == nil {
			return
		}
		for _, c := range s.Containers {
			if !yield(c.Image) {
				return
			}
		}
	}
}

const defaultDeadline = 10 * time.Minute

// Container is one image to run.
type Container struct {
	Image string // the artifact's name in the config
	Ports []Port
}

// Port is a TCP port of a container that this machine offers as well.
type Port struct {
	Container uint16     `json:"container"`
	Address   netip.Addr `json:"address"` // of this machine
	Local     uint16     `json:"local"`   // when it is taken, one close by; 0: any
}

// Image is what an artifact became.
type Image struct {
	Ref string // as the Engine or a registry knows it
	ID  string // "sha256:...", as the Engine names it; empty: what Ref means, which a digest or the Engine has to pin
}

// Deployer runs containers in one Engine.
type Deployer struct {
	Client *client.Client
	Config string // the folder of the docker command's configuration, for credentials
	Now    func() time.Time
	Sink   event.Sink

	StaysUp time.Duration // how long a container that says nothing about its health must run to count as started; 1 s when 0
}

// Started are the containers of a set that Start found or started.
type Started struct {
	set   Set
	tasks []task
}

// Start makes the containers of a set run, and starts what it has to in the set's order. images are by the artifacts' names; a container whose image is not
// among them is left out, with a Warning.
func (d *Deployer) Start(ctx context.Context, set Set, images map[string]Image) (*Started, error) {
	ids, err := d.bring(ctx, set, images)
	if err != nil {
		return nil, err
	}
	r, err := d.look(ctx, set, ids)
	if err != nil {
		return nil, err
	}
	for _, c := range r.orphans {
		d.warn("container/%s was run before and is not in the config any more: it stays", nameOf(c))
	}
	if err := d.remove(ctx, r.stale); err != nil {
		return nil, err
	}
	if err := d.leave(ctx, r.stale, r.others, set.Network); err != nil {
		return nil, err
	}
	if err := d.network(ctx, set); err != nil {
		return nil, err
	}
	for i := range r.tasks {
		if err := d.start(ctx, set, &r.tasks[i], images); err != nil {
			return nil, err
		}
	}
	return &Started{set, r.tasks}, nil
}

// bring makes the Engine have the images and gives their ids, by the artifacts' names.
func (d *Deployer) bring(ctx context.Context, set Set, images map[string]Image) (map[string]string, error) {
	ids, err := d.find(ctx, set, images)
	if err != nil {
		return nil, err
	}
	for _, c := range set.Containers {
		if id, known := ids[c.Image]; known && id == "" {
			if ids[c.Image], err = d.pull(ctx, images[c.Image]); err != nil {
				return nil, err
			}
		}
	}
	return ids, nil
}

// find gives the ids of the images, by the artifacts' names; "" for one that the Engine does not have.
func (d *Deployer) find(ctx context.Context, set Set, images map[string]Image) (map[string]string, error) {
	ids := map[string]string{}
	for _, c := range set.Containers {
		i, ok := images[c.Image]
		if !ok {
			d.warn("deploy.docker names the image %s, which no artifact has: nothing is run for it", c.Image)
			continue
		}
		ref := i.Ref
		if i.ID != "" {
			ref = i.ID
		}
		id, err := engine.ImageID(ctx, d.Client, ref)
		if err != nil {
			return nil, err
		}
		ids[c.Image] = id
	}
	return ids, nil
}

func (d *Deployer) pull(ctx context.Context, i Image) (string, error) {
	auth, err := engine.Credentials(d.Config, i.Ref)
	if err != nil {
		return "", err
	}
	if err := engine.Pull(ctx, d.Client, i.Ref, auth); err != nil {
		return "", fmt.Errorf("pulling %s into the Docker Engine, which does not have it: %w", i.Ref, err)
	}
	id, err := engine.ImageID(ctx, d.Client, i.Ref)
	if err == nil && id == "" {
		err = fmt.Errorf("the Docker Engine pulled %s and does not have it", i.Ref)
	}
	return id, err
}

// task is one container of the set on its way.
type task struct {
	Container
	settings string // as its label says them
	image    string // id
	verb     string
	was      *container.Summary // what it replaces; nil: nothing
	name, id string             // of the container
	began    time.Time
}

func (t *task) resource() string { return "container/" + t.name }

// found is what there is to do.
type found struct {
	tasks         []task
	stale, others []container.Summary
	orphans       []container.Summary // those of the others that are the set's
}

// look compares what the Engine has with what is wanted.
func (d *Deployer) look(ctx context.Context, set Set, ids map[string]string) (*found, error) {
	all, err := d.Client.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, fmt.Errorf("asking the Docker Engine for its containers: %w", err)
	}
	r, taken := &found{}, map[string]bool{}
	for _, c := range set.Containers {
		id, ok := ids[c.Image]
		if !ok {
			continue
		}
		r.tasks = append(r.tasks, task{Container: c, image: id, settings: set.settings(c), verb: "created"})
	}
	for _, c := range all.Items {
		name := nameOf(c)
		i := slices.IndexFunc(r.tasks, func(t task) bool { return set.has(c, t.Image) })
		switch {
		case i < 0:
			taken[name] = true
			r.others = append(r.others, c)
			if c.Labels[labelSet] == set.Name {
				r.orphans = append(r.orphans, c)
			}
		case r.tasks[i].id == "" && c.State == container.StateRunning && c.ImageID == r.tasks[i].image && c.Labels[labelSettings] == r.tasks[i].settings:
			taken[name] = true
			r.tasks[i].id, r.tasks[i].name, r.tasks[i].verb = c.ID, name, "unchanged"
		default:
			r.stale = append(r.stale, c)
			if r.tasks[i].id == "" {
				r.tasks[i].verb, r.tasks[i].was = "replaced", &c
			}
		}
	}
	for i := range r.tasks {
		r.tasks[i].choose(taken)
	}
	return r, nil
}

// has says whether a container is the set's, for an image: by its labels, or because Skaffold made it and named it so.
func (s Set) has(c container.Summary, image string) bool {
	if c.Labels[labelSet] != "" {
		return c.Labels[labelSet] == s.Name && c.Labels[labelImage] == image
	}
	ours := regexp.MustCompile("^" + regexp.QuoteMeta(containerName(image)) + `(-\d+)?$`)
	return c.Labels[labelSkaffold] != "" && ours.MatchString(nameOf(c))
}

// settings is all that a container is made of beside its image, as JSON.
func (s Set) settings(c Container) string {
	text, _ := json.Marshal(struct { // of texts and numbers alone: it cannot fail
		Network string            `json:"network"`
		Labels  map[string]string `json:"labels,omitempty"`
		Ports   []Port            `json:"ports,omitempty"`
	}{s.Network, s.Labels, c.Ports})
	return string(text)
}

// choose gives the container a name that is not taken, unless it has one.
func (t *task) choose(taken map[string]bool) {
	if t.name != "" {
		return
	}
	t.name = containerName(t.Image)
	for n := 1; taken[t.name]; n++ {
		t.name = fmt.Sprintf("%s-%d", containerName(t.Image), n)
	}
	taken[t.name] = true
}

func nameOf(c container.Summary) string {
	if len(c.Names) == 0 {
		return c.ID
	}
	return strings.TrimPrefix(c.Names[0], "/")
}

// containerName is the image's name, with what may not be in a container's name replaced.
func containerName(image string) string {
	return strings.TrimLeft(regexp.MustCompile(`[^a-zA-Z0-9_.-]`).ReplaceAllString(image, "-"), "_.-")
}

// network makes the set's network, if there is none of its name.
func (d *Deployer) network(ctx context.Context, set Set) error {
	if there, err := d.hasNetwork(ctx, set.Network); there || err != nil {
		return err
	}
	_, err := d.Client.NetworkCreate(ctx, set.Network, client.NetworkCreateOptions{Labels: map[string]string{labelNetwork: set.Network}})
	if err != nil && !errdefs.IsConflict(err) { // then another davit was faster
		return fmt.Errorf("making the network %s in the Docker Engine: %w", set.Network, err)
	}
	return nil
}

// start creates and starts the container of a task, unless it runs already.
func (d *Deployer) start(ctx context.Context, set Set, t *task, images map[string]Image) error {
	if t.verb != "unchanged" {
		if err := d.create(ctx, set, t, images[t.Image].Ref); err != nil {
			return err
		}
		if _, err := d.Client.ContainerStart(ctx, t.id, client.ContainerStartOptions{}); err != nil {
			return fmt.Errorf("starting %s of image %s: %w", t.resource(), t.Image, err)
		}
	}
	t.began = d.Now()
	d.Sink.Emit(event.ObjectApplied{Resource: t.resource(), Verb: t.verb})
	return nil
}

func (d *Deployer) create(ctx context.Context, set Set, t *task, ref string) error {
	exposed, bindings, err := d.bind(t)
	if err != nil {
		return err
	}
	labels := maps.Clone(set.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[labelSet], labels[labelImage], labels[labelSettings] = set.Name, t.Image, t.settings
	made, err := d.Client.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name:       t.name,
		Config:     &container.Config{Image: ref, Labels: labels, ExposedPorts: exposed},
		HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode(set.Network), PortBindings: bindings},
		// Others find it by the image's name, whatever the container had to be called.
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
			set.Network: {Aliases: []string{containerName(t.Image)}},
		}},
	})
	if err != nil {
		return fmt.Errorf("creating %s of image %s: %w", t.resource(), t.Image, err)
	}
	t.id = made.ID
	return nil
}

// Delete takes away the containers of a set and what Skaffold runs for its images, and the networks that nobody is in any more.
func (d *Deployer) Delete(ctx context.Context, set Set) error {
	all, err := d.Client.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return fmt.Errorf("asking the Docker Engine for its containers: %w", err)
	}
	var doomed, others []container.Summary
	for _, c := range all.Items {
		if c.Labels[labelSet] == set.Name || slices.ContainsFunc(set.Containers, func(w Container) bool { return set.has(c, w.Image) }) {
			doomed = append(doomed, c)
		} else {
			others = append(others, c)
		}
	}
	if err := d.remove(ctx, doomed); err != nil {
		return err
	}
	for _, c := range doomed {
		d.Sink.Emit(event.ObjectApplied{Resource: "container/" + nameOf(c), Verb: "deleted"})
	}
	// A run that was killed may have made the network and nothing in it.
	var own container.Summary
	own.HostConfig.NetworkMode = set.Network
	return d.leave(ctx, append(doomed, own), others, "")
}

// removeNetwork takes away a network.
func (d *Deployer) removeNetwork(ctx context.Context, name string) error {
	if _, err := d.Client.NetworkRemove(ctx, name, client.NetworkRemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing the network %s from the Docker Engine: %w", name, err)
	}
	d.Sink.Emit(event.ObjectApplied{Resource: "network/" + name, Verb: "deleted"})
	return nil
}

// remove stops and removes containers side by side: each may take its time to end.
func (d *Deployer) remove(ctx context.Context, all []container.Summary) error {
	return forAll(all, func(c container.Summary) error {
		_, err := d.Client.ContainerStop(ctx, c.ID, client.ContainerStopOptions{})
		if err == nil || ctx.Err() == nil && !errdefs.IsNotFound(err) {
			_, err = d.Client.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true})
		}
		if err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("removing container/%s: %w", nameOf(c), err)
		}
		return nil
	})
}

// leave takes away the networks of containers that are gone, but for those that others are in and the one to keep.
func (d *Deployer) leave(ctx context.Context, gone, others []container.Summary, keep string) error {
	networks, err := d.leaving(ctx, gone, others, keep)
	for _, network := range networks {
		if err == nil {
			err = d.removeNetwork(ctx, network)
		}
	}
	return err
}

// leaving are the networks that davit or Skaffold made and nobody is in any more once these containers are gone, but for the one to keep. A container that ended
// is in its network as well, and the network does not say so.
func (d *Deployer) leaving(ctx context.Context, gone, others []container.Summary, keep string) ([]string, error) {
	seen, going := map[string]bool{keep: true}, map[string]bool{}
	for _, c := range others {
		seen[c.HostConfig.NetworkMode] = true
	}
	for _, c := range gone {
		going[c.ID] = true
	}
	var networks []string
	for _, c := range gone {
		name := c.HostConfig.NetworkMode
		if seen[name] {
			continue
		}
		seen[name] = true
		found, err := d.Client.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("asking the Docker Engine for the network %s: %w", name, err)
		}
		made := found.Network.Labels[labelNetwork] != "" || found.Network.Labels[labelSkaffold] != ""
		stay := slices.ContainsFunc(slices.Collect(maps.Keys(found.Network.Containers)), func(id string) bool { return !going[id] })
		if made && !stay {
			networks = append(networks, name)
		}
	}
	return networks, nil
}

func (d *Deployer) warn(format string, args ...any) {
	d.Sink.Emit(event.Warning{Message: fmt.Sprintf(format, args...)})
}
