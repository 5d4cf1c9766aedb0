package cache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/image/registry"
	"github.com/davit-dev/davit/internal/inputs"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// keyTagPrefix begins the tag that a key gives an image.
const keyTagPrefix = "davit-"

// keyRef is the reference that names an image by its key, in the repository of ref.
//
// It is a plain tag on the image itself, not an OCI referrer: a referrer is found from the image, but what is known here is the key. The tag is found
// by one HEAD request, whose answer has the digest, works in every registry, and keeps the image from being collected as long as the tag is kept. All
// 64 digits of the key are in it, so that nobody can make another tree with the same tag.
func keyRef(ref string, k inputs.Key) string { return repository(ref) + ":" + keyTagPrefix + string(k) }

// repository is a reference without tag and digest.
func repository(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref = ref[:i]
	}
	return ref
}

// registries knows how to reach registries.
type registries struct{ o Options }

func newRegistries(o Options) *registries { return &registries{o: o} }

// batch is the registries of one call, each with one handshake, and given up after its first failure, so that one that hangs costs one time-out.
type batch struct {
	*registries
	sessions map[string]*session // by registry
}

// session is one registry in a batch.
type session struct {
	o        Options
	registry name.Registry
	scopes   []string
	timeout  time.Duration
	inner    http.RoundTripper
	ctx      context.Context // ends when the registry is given up
	cancel   context.CancelCauseFunc
	failed   sync.Once // to say it once

	connect   sync.Once
	transport http.RoundTripper
	err       error
}

// errUnreachable says that a registry was given up.
var errUnreachable = errors.New("the registry does not answer")

// open prepares a batch for references. Nothing is sent yet.
func (r *registries) open(ctx context.Context, refs []string, push bool) *batch {
	scope, timeout, inner := transport.PullScope, r.o.Timeout, r.o.Transport
	if push {
		// What is not looked up is built; what is not stored is missed by all, so that it is worth some patience.
		scope, timeout, inner = transport.PushScope, 5*r.o.Timeout, registry.Patient(inner)
	}
	b := &batch{registries: r, sessions: map[string]*session{}}
	for _, ref := range refs {
		parsed, err := r.parse(ref)
		if err != nil {
			continue // said when it is asked for
		}
		repo := parsed.Context()
		s := b.sessions[repo.RegistryStr()]
		if s == nil {
			s = &session{o: r.o, registry: repo.Registry, timeout: timeout, inner: inner}
			s.ctx, s.cancel = context.WithCancelCause(ctx)
			b.sessions[repo.RegistryStr()] = s
		}
		if sc := repo.Scope(scope); !slices.Contains(s.scopes, sc) {
			s.scopes = append(s.scopes, sc)
		}
	}
	return b
}

// patiently lets answers take as long as those to writes: without them something fails, or is not proven, and is not just built again.
func (b *batch) patiently() *batch {
	for _, s := range b.sessions {
		s.timeout = 5 * b.o.Timeout
	}
	return b
}

func (b *batch) close() {
	for _, s := range b.sessions {
		s.cancel(nil)
	}
}

func (r *registries) parse(ref string) (name.Reference, error) {
	opts := []name.Option{name.WeakValidation}
	if host, _, ok := strings.Cut(ref, "/"); ok && slices.Contains(r.o.Insecure, host) {
		opts = append(opts, name.Insecure)
	}
	return name.ParseReference(ref, opts...)
}

// head is the digest of what a reference names, empty when there is no such thing, or none for these credentials. An error means that nobody could
// be asked; it was a warning already.
func (b *batch) head(ref string) (string, error) {
	parsed, err := b.parse(ref)
	if err != nil {
		return "", err
	}
	s := b.sessions[parsed.Context().RegistryStr()]
	opts, done, err := s.options()
	if err != nil {
		s.warn(err)
		return "", err
	}
	defer done()
	d, err := remote.Head(parsed, opts...)
	var refused *transport.Error
	switch {
	case err == nil:
		return d.Digest.String(), nil
	case errors.As(err, &refused) && slices.Contains([]int{http.StatusNotFound, http.StatusUnauthorized, http.StatusForbidden}, refused.StatusCode):
		b.o.Sink.Emit(event.Debug{Message: fmt.Sprintf("looking for %s: %v", ref, err)})
		return "", nil
	}
	s.giveUp()
	s.warn(err)
	return "", err
}

// put makes ref, a tag, name what from names.
func (b *batch) put(from, ref string) error {
	source, err := b.parse(from)
	if err != nil {
		return err
	}
	target, err := b.parse(ref)
	if err != nil {
		return err
	}
	tag, ok := target.(name.Tag)
	if !ok {
		return fmt.Errorf("%s has no tag", ref)
	}
	s := b.sessions[tag.RegistryStr()]
	opts, done, err := s.options()
	if err != nil {
		return err
	}
	defer done()
	d, err := remote.Get(source, opts...)
	if err == nil {
		err = remote.Tag(tag, d, opts...)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		s.giveUp()
	}
	return err
}

// putKey stores a key. That it does not succeed is a warning, once per registry.
func (b *batch) putKey(digest, ref string, k inputs.Key) {
	err := b.put(repository(ref)+"@"+digest, keyRef(ref, k))
	if err == nil {
		return
	}
	if parsed, parseErr := b.parse(ref); parseErr == nil {
		s := b.sessions[parsed.Context().RegistryStr()]
		s.say(fmt.Sprintf("other machines will build %s again, as its key cannot be stored in the registry: %v", repository(ref), err))
	}
}

// greet does the handshake with the registry, once.
func (s *session) greet() {
	s.connect.Do(func() {
		ctx, cancel := context.WithTimeout(s.ctx, s.timeout)
		defer cancel()
		auth, err := authn.Resolve(ctx, s.o.Keychain, s.registry)
		if err == nil {
			s.transport, err = transport.NewWithContext(ctx, s.registry, auth, s.inner, s.scopes)
		}
		if s.err = err; err != nil {
			s.giveUp()
		}
	})
}

// options are those of one exchange, which ends with the time-out and when the registry is given up.
func (s *session) options() ([]remote.Option, context.CancelFunc, error) {
	s.greet()
	if s.err != nil {
		return nil, nil, s.err
	}
	if s.ctx.Err() != nil {
		return nil, nil, context.Cause(s.ctx)
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.timeout)
	return []remote.Option{remote.WithTransport(s.transport), remote.WithContext(ctx)}, cancel, nil
}

func (s *session) giveUp() { s.cancel(errUnreachable) }

func (s *session) warn(err error) {
	s.say(fmt.Sprintf("%s cannot be asked for images, so what is known on this machine counts: %v", s.registry, err))
}

// say emits a warning, the first time, unless it is the user who ended the call.
func (s *session) say(message string) {
	if cause := context.Cause(s.ctx); cause != nil && !errors.Is(cause, errUnreachable) {
		return
	}
	s.failed.Do(func() { s.o.Sink.Emit(event.Warning{Message: message}) })
}
