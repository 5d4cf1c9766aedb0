// Package cache remembers which image came of which inputs, so that nothing is built twice: by anyone.
//
// There are two places. On disk, a file per content key says where its image is, and a file per artifact what it was last made of, for "why". In
// the registry, each pushed image has a second tag derived from its key, so that one HEAD request tells any machine that may read the repository
// whether the key was built, and as which digest.
//
// Lookups ask both, Record fills both. What is on disk is never believed alone: the image must still be in the registry, or in the Docker Engine.
// Nothing here fails a run: a registry that does not answer costs one short time-out and a warning, and a disk that cannot be written a warning.
package cache

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/inputs"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"
)

// Options are what a Cache needs from outside. Now and Sink are required.
type Options struct {
	Folder string // made when it is missing; empty: nothing is kept on disk
	Now    func() time.Time
	Sink   event.Sink

	Transport http.RoundTripper // remote.DefaultTransport when nil
	Keychain  authn.Keychain    // anonymous when nil
	Insecure  []string          // registries to talk to in plain HTTP, beside those on loopback

	Engine Engine // nil where there is no Docker Engine

	Timeout     time.Duration // for a registry's answer to a look-up; 3 s when 0; five times that to store something, or for what only the registry can say
	Concurrency int           // of requests; 16 when 0
}

// Engine is the part of a Docker Engine that images without a push are kept in.
type Engine interface {
	// ImageID is the id of the image that a reference or an id names; empty when there is none.
	ImageID(ctx context.Context, ref string) (string, error)
	// Tag gives an image, by its id, one more name.
	Tag(ctx context.Context, id, ref string) error
	// Pull brings an image from its registry.
	Pull(ctx context.Context, ref string) error
}

// Query asks for one artifact.
type Query struct {
	Image    string // as in the config
	Identity string // what names the artifact over time; Image when empty
	Key      inputs.Key
	Manifest inputs.Manifest // for "why"
	Ref      string          // name:tag that the image is to have
	Push     bool            // it is to be in Ref's registry; otherwise in the Docker Engine
	// Import takes an image that has Ref already for it when nothing else is known, whatever it was made of.
	Import bool
}

// The places where an image is found.
const (
	InRegistry = "registry"
	InEngine   = "docker engine"
)

// Hit is the answer to a Query.
type Hit struct {
	Found    bool
	Where    string // InRegistry or InEngine
	Digest   string // of the manifest or index; of an image in the engine only when it was pushed as well
	ImageID  string // of an image in the engine
	NeedsTag bool   // the image is there, but not under the reference's tag: see Retag

	Why []string // when not found: short phrases
}

// Cache is both places. It is safe for concurrent use, in one process and several.
type Cache struct {
	o        Options
	disk     disk
	registry *registries
}

// New returns a Cache. Nothing is read or written yet.
func New(o Options) *Cache {
	if o.Transport == nil {
		o.Transport = remote.DefaultTransport
	}
	if o.Keychain == nil {
		o.Keychain = authn.NewMultiKeychain()
	}
	if o.Timeout == 0 {
		o.Timeout = 3 * time.Second
	}
	if o.Concurrency == 0 {
		o.Concurrency = 16
	}
	return &Cache{o: o, disk: disk{folder: o.Folder, sink: o.Sink, failed: new(sync.Once)}, registry: newRegistries(o)}
}

// Lookups are look-ups that belong together: each registry is asked with one handshake, and given up after its first failure. It is safe for
// concurrent use.
type Lookups struct {
	*Cache
	remote *batch
	slots  chan struct{}
}

// Lookups begins look-ups for references, with or without tags, that images are to be pushed to: their registries are greeted at once, while the caller
// finds out what to ask for. Whoever is done calls Close.
func (c *Cache) Lookups(ctx context.Context, refs []string) *Lookups {
	l := &Lookups{Cache: c, remote: c.registry.open(ctx, refs, false), slots: make(chan struct{}, c.o.Concurrency)}
	for _, s := range l.remote.sessions {
		go s.greet()
	}
	return l
}

// Close ends what is still under way.
func (l *Lookups) Close() { l.remote.close() }

// Find answers a query. A hit that this machine did not know yet is remembered, so that it is found by its digest next time, and "why" has
// something to compare with. An error is only that of ctx.
func (l *Lookups) Find(ctx context.Context, q Query) (Hit, error) {
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		return Hit{}, ctx.Err()
	}
	defer func() { <-l.slots }()
	hit := l.lookup(ctx, l.remote, q)
	if hit.Found {
		l.learn(q, hit)
	}
	return hit, ctx.Err()
}

func (c *Cache) lookup(ctx context.Context, remote *batch, q Query) Hit {
	e, known := c.disk.entry(q.Key)
	var hit Hit
	var gone bool
	if q.Push {
		hit, gone = lookupRegistry(remote, q, e)
	} else if known && e.ImageID != "" && c.o.Engine != nil {
		hit, gone = c.lookupEngine(ctx, q, e)
	}
	if hit.Found {
		return hit
	}
	if q.Import && !known {
		if hit := c.importTag(ctx, remote, q); hit.Found {
			return hit
		}
	}
	if last, ok := c.disk.lastManifest(q.identity()); ok {
		hit.Why = inputs.Why(last, q.Manifest)
	} else {
		hit.Why = []string{inputs.NoEntry}
	}
	if len(hit.Why) == 0 && gone {
		hit.Why = []string{"the image is gone from the " + map[bool]string{true: InRegistry, false: InEngine}[q.Push]}
	} else if len(hit.Why) == 0 {
		hit.Why = []string{"it was not built for " + q.Ref + " yet"}
	}
	return hit
}

// learn remembers a hit.
func (c *Cache) learn(q Query, h Hit) {
	last, _ := c.disk.last(q.identity())
	if last.Key == q.Key {
		c.disk.used(q.Key, q.identity(), c.o.Now())
		return
	}
	c.Remember(Built{Image: q.Image, Identity: q.Identity, Key: q.Key, Manifest: q.Manifest, Products: last.Products,
		Ref: q.Ref, Digest: h.Digest, ImageID: h.ImageID, Pushed: q.Push})
}

func (c *Cache) lookupEngine(ctx context.Context, q Query, e Entry) (hit Hit, gone bool) {
	hit = Hit{Found: true, Where: InEngine, ImageID: e.ImageID, Digest: e.digestIn(repository(q.Ref))}
	if id, err := c.o.Engine.ImageID(ctx, q.Ref); err == nil && id == e.ImageID {
		return hit, false
	}
	if id, err := c.o.Engine.ImageID(ctx, e.ImageID); err == nil && id == e.ImageID {
		hit.NeedsTag = true
		return hit, false
	}
	return Hit{}, true
}

// InEngine says whether the Docker Engine has an image, by its id.
func (c *Cache) InEngine(ctx context.Context, id string) (bool, error) {
	if c.o.Engine == nil {
		return false, nil
	}
	found, err := c.o.Engine.ImageID(ctx, id)
	return found == id, err
}

func lookupRegistry(remote *batch, q Query, e Entry) (hit Hit, gone bool) {
	found := func(digest string, needsTag bool) Hit {
		return Hit{Found: true, Where: InRegistry, Digest: digest, ImageID: e.ImageID, NeedsTag: needsTag}
	}
	if known := e.digestIn(repository(q.Ref)); known != "" {
		tagged, err := remote.head(q.Ref)
		if err != nil {
			return found(known, false), false // nobody to ask: by the record on disk
		}
		if tagged == known {
			return found(known, false), false
		}
		switch is, err := remote.head(repository(q.Ref) + "@" + known); {
		case err != nil:
			return found(known, false), false
		case is == known:
			return found(known, true), false
		}
		gone = true
	}
	byKey, err := remote.head(keyRef(q.Ref, q.Key))
	if err != nil || byKey == "" {
		return Hit{}, gone
	}
	tagged, err := remote.head(q.Ref)
	return found(byKey, err == nil && tagged != byKey), false
}

// importTag finds the image that has the reference: in its registry, or in the Docker Engine, which pulls it if need be.
func (c *Cache) importTag(ctx context.Context, remote *batch, q Query) Hit {
	if q.Push {
		digest, err := remote.head(q.Ref)
		return Hit{Found: err == nil && digest != "", Where: InRegistry, Digest: digest}
	}
	if c.o.Engine == nil {
		return Hit{}
	}
	id, err := c.o.Engine.ImageID(ctx, q.Ref)
	if err == nil && id == "" {
		if err = c.o.Engine.Pull(ctx, q.Ref); err == nil {
			id, err = c.o.Engine.ImageID(ctx, q.Ref)
		}
	}
	if err != nil {
		c.o.Sink.Emit(event.Debug{Message: fmt.Sprintf("%s cannot be taken over, so it is built: %v", q.Ref, err)})
	}
	return Hit{Found: err == nil && id != "", Where: InEngine, ImageID: id}
}

func (q Query) identity() string {
	if q.Identity != "" {
		return q.Identity
	}
	return q.Image
}

// Built is what came of a build, or of a hit that is worth remembering.
type Built struct {
	Image, Identity string // as in Query
	Key             inputs.Key
	Manifest        inputs.Manifest
	Products        []inputs.Product

	Ref     string // name:tag
	Digest  string // of the manifest or index; empty for an image that is only in the Docker Engine
	ImageID string // of the image in the Docker Engine, if it is there
	Pushed  bool
}

// Record remembers builds on disk and, for those that were pushed, in the registry. What cannot be remembered is a warning.
func (c *Cache) Record(ctx context.Context, built []Built) {
	var refs []string
	for _, b := range built {
		if b.Pushed {
			refs = append(refs, b.Ref)
		}
	}
	remote := c.registry.open(ctx, refs, true)
	defer remote.close()

	var g errgroup.Group
	g.SetLimit(c.o.Concurrency)
	var once sync.Once
	for _, b := range built {
		g.Go(func() error {
			if err := c.remember(b); err != nil {
				once.Do(func() {
					c.o.Sink.Emit(event.Warning{Message: fmt.Sprintf("what was built is not remembered on this machine: %v", err)})
				})
			}
			if b.Pushed {
				remote.putKey(b.Digest, b.Ref, b.Key)
			}
			return nil
		})
	}
	_ = g.Wait()
}

// Remember writes what was built or found to disk alone. That it cannot be is a warning.
func (c *Cache) Remember(b Built) {
	if err := c.remember(b); err != nil {
		c.o.Sink.Emit(event.Warning{Message: fmt.Sprintf("what was found is not remembered on this machine: %v", err)})
	}
}

func (c *Cache) remember(b Built) error {
	now := c.o.Now().UTC()
	e, _ := c.disk.entry(b.Key)
	e = e.with(b, now)
	if err := c.disk.putEntry(e); err != nil {
		return err
	}
	identity := Query{Image: b.Image, Identity: b.Identity}.identity()
	return c.disk.putLast(Last{Identity: identity, Image: b.Image, Key: b.Key, When: now, Products: b.Products}, b.Manifest)
}

// Last is what is known on this machine of the last build of an artifact, if anything is.
func (c *Cache) Last(identity string) (Last, bool) { return c.disk.last(identity) }

// Manifest is what an artifact was last made of, if that is known on this machine.
func (c *Cache) Manifest(identity string) (inputs.Manifest, bool) {
	return c.disk.lastManifest(identity)
}

// Tag puts a tag on an image that is there already.
type Tag struct {
	Digest  string // in the registry; empty for one in the Docker Engine
	ImageID string // in the Docker Engine
	Ref     string // name:tag
}

// Retag puts tags on images, in parallel. All are tried; the first error is returned.
func (c *Cache) Retag(ctx context.Context, tags []Tag) error {
	var refs []string
	for _, t := range tags {
		if t.Digest != "" {
			refs = append(refs, t.Ref)
		}
	}
	remote := c.registry.open(ctx, refs, true)
	defer remote.close()
	var g errgroup.Group
	g.SetLimit(c.o.Concurrency)
	for _, t := range tags {
		g.Go(func() error {
			if t.Digest == "" {
				return c.o.Engine.Tag(ctx, t.ImageID, t.Ref)
			}
			if err := remote.put(repository(t.Ref)+"@"+t.Digest, t.Ref); err != nil {
				return fmt.Errorf("tagging %s as %s: %w", t.Digest, t.Ref, err)
			}
			return nil
		})
	}
	return g.Wait()
}
