package buildkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc/codes"
)

// State is what a BuildKit says of itself.
type State struct {
	Version string   `json:"version,omitempty"` // empty where it does not say
	Workers []Worker `json:"workers"`
	Cache   Usage    `json:"cache"`
}

// Worker is a part of a BuildKit that runs steps.
type Worker struct {
	ID        string            `json:"id"`
	Platforms []string          `json:"platforms"` // "linux/amd64"; its own first
	Labels    map[string]string `json:"labels,omitempty"`
	GC        []GCRule          `json:"gc"`
}

// GCRule bounds a part of the cache. The rules are applied in their order. Sizes are in bytes, 0 where there is no bound.
type GCRule struct {
	All      bool          `json:"all,omitempty"` // what BuildKit keeps for itself too
	Filters  []string      `json:"filters,omitempty"`
	KeepFor  time.Duration `json:"keepFor,omitempty"` // nanoseconds
	Reserved int64         `json:"reserved,omitempty"`
	MaxUsed  int64         `json:"maxUsed,omitempty"`
	MinFree  int64         `json:"minFree,omitempty"`
}

// Usage is how large a cache, or a part of it, is.
type Usage struct {
	Records int   `json:"records"`
	Bytes   int64 `json:"bytes"`
	Free    int64 `json:"free,omitempty"` // bytes that no build holds on to
}

// Inspect asks the BuildKit that b builds with what it is. The carried one is started when need be.
func (b *Builder) Inspect(ctx context.Context) (State, error) {
	var s State
	err := b.with(ctx, func(c *client.Client) error {
		info, err := c.Info(ctx)
		switch {
		case err == nil:
			s.Version = info.BuildkitVersion.Version
		case grpcerrors.Code(err) != codes.Unimplemented: // as before 0.11
			return fmt.Errorf("asking for the version: %w", err)
		}
		workers, err := c.ListWorkers(ctx)
		if err != nil {
			return fmt.Errorf("asking for the workers: %w", err)
		}
		for _, w := range workers {
			s.Workers = append(s.Workers, asWorker(w))
		}
		records, err := c.DiskUsage(ctx)
		if err != nil {
			return fmt.Errorf("asking for the size of the cache: %w", err)
		}
		for _, r := range records {
			s.Cache.Records++
			s.Cache.Bytes += r.Size
			if !r.InUse {
				s.Cache.Free += r.Size
			}
		}
		return nil
	})
	return s, err
}

func asWorker(w *client.WorkerInfo) Worker {
	out := Worker{ID: w.ID, Labels: w.Labels}
	for _, p := range w.Platforms {
		out.Platforms = append(out.Platforms, platforms.Format(platforms.Normalize(p)))
	}
	for _, r := range w.GCPolicy {
		out.GC = append(out.GC, GCRule{All: r.All, Filters: r.Filter, KeepFor: r.KeepDuration, Reserved: r.ReservedSpace, MaxUsed: r.MaxUsedSpace, MinFree: r.MinFreeSpace})
	}
	return out
}

// PruneOptions says how much of a cache is freed.
type PruneOptions struct {
	Keep      int64         // bytes that may stay; the least recently used goes first
	OlderThan time.Duration // only what was not used for so long
	All       bool          // what BuildKit keeps for itself too, such as pulled frontends
	DryRun    bool
}

// Prune frees cache, and says how much. A dry run estimates: BuildKit frees no layer before those on top of it.
func (b *Builder) Prune(ctx context.Context, o PruneOptions, now time.Time) (freed Usage, err error) {
	err = b.with(ctx, func(c *client.Client) error {
		if o.DryRun {
			records, err := c.DiskUsage(ctx)
			freed = o.estimate(records, now)
			return err
		}
		gone := make(chan client.UsageInfo)
		counted := make(chan struct{})
		go func() {
			defer close(counted)
			for r := range gone {
				freed.Records++
				freed.Bytes += r.Size
			}
		}()
		opts := []client.PruneOption{client.WithKeepOpt(o.OlderThan, o.Keep, 0, 0)}
		if o.All {
			opts = append(opts, client.PruneAll)
		}
		err := c.Prune(ctx, gone, opts...)
		close(gone)
		<-counted
		return err
	})
	if err != nil {
		return freed, fmt.Errorf("freeing cache: %w", err)
	}
	return freed, nil
}

// estimate says what Prune would free of these records.
func (o PruneOptions) estimate(records []*client.UsageInfo, now time.Time) Usage {
	var total int64
	for _, r := range records {
		total += r.Size
	}
	used := func(r *client.UsageInfo) time.Time {
		if r.LastUsedAt != nil {
			return *r.LastUsedAt
		}
		return r.CreatedAt
	}
	free := slices.DeleteFunc(slices.Clone(records), func(r *client.UsageInfo) bool {
		own := r.RecordType == client.UsageRecordTypeInternal || r.RecordType == client.UsageRecordTypeFrontend || r.Shared
		return r.InUse || own && !o.All || o.OlderThan > 0 && now.Sub(used(r)) < o.OlderThan
	})
	slices.SortFunc(free, func(a, b *client.UsageInfo) int { return cmp.Or(used(a).Compare(used(b)), cmp.Compare(a.ID, b.ID)) })
	var u Usage
	for _, r := range free {
		if o.Keep > 0 && total <= o.Keep {
			break
		}
		u.Records++
		u.Bytes += r.Size
		total -= r.Size
	}
	return u
}

// with connects for the time of a call.
func (b *Builder) with(ctx context.Context, do func(*client.Client) error) error {
	conn, err := b.connect(ctx, nil)
	if err != nil {
		return err
	}
	return errors.Join(do(conn.Client), conn.Close())
}
