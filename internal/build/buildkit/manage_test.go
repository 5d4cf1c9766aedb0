package buildkit

import (
	"testing"
	"time"

	"github.com/moby/buildkit/client"
)

func TestEstimateOfPrune(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	records := []*client.UsageInfo{
		{ID: "old", Size: 100, LastUsedAt: ago(72 * time.Hour)},
		{ID: "older", Size: 50, LastUsedAt: ago(96 * time.Hour)},
		{ID: "new", Size: 10, LastUsedAt: ago(time.Hour)},
		{ID: "never used", Size: 5, CreatedAt: *ago(48 * time.Hour)},
		{ID: "in use", Size: 1000, InUse: true, LastUsedAt: ago(200 * time.Hour)},
		{ID: "frontend", Size: 7, RecordType: client.UsageRecordTypeFrontend, LastUsedAt: ago(200 * time.Hour)},
	}
	for name, c := range map[string]struct {
		options PruneOptions
		want    Usage
	}{
		"everything that is not in use":    {PruneOptions{}, Usage{Records: 4, Bytes: 165}},
		"BuildKit's own too":               {PruneOptions{All: true}, Usage{Records: 5, Bytes: 172}},
		"only what was not used":           {PruneOptions{OlderThan: 24 * time.Hour}, Usage{Records: 3, Bytes: 155}},
		"until little enough is left":      {PruneOptions{Keep: 1100}, Usage{Records: 2, Bytes: 150}},
		"nothing, when little is there":    {PruneOptions{Keep: 1 << 20}, Usage{}},
		"old, until little enough is left": {PruneOptions{OlderThan: 80 * time.Hour, Keep: 1}, Usage{Records: 1, Bytes: 50}},
	} {
		if got := c.options.estimate(records, now); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
