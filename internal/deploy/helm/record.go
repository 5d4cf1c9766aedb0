package helm

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/davit-dev/davit/internal/render/helm"
	"github.com/davit-dev/davit/internal/render/helm/chart"
)

// The states of a revision, as the helm command names them.
const (
	statusDeployed        = "deployed"
	statusUninstalled     = "uninstalled"
	statusSuperseded      = "superseded"
	statusFailed          = "failed"
	statusUninstalling    = "uninstalling"
	statusPendingInstall  = "pending-install"
	statusPendingUpgrade  = "pending-upgrade"
	statusPendingRollback = "pending-rollback"
)

// record is one revision of a release, in the form that Helm 3 and 4 keep: https://helm.sh/docs/topics/advanced/#storage-backends.
type record struct {
	Name      string          `json:"name,omitempty"`
	Info      info            `json:"info"`
	Chart     json.RawMessage `json:"chart,omitempty"` // as it came: of a chart that helm stored nothing gets lost
	Config    map[string]any  `json:"config,omitempty"`
	Manifest  string          `json:"manifest,omitempty"`
	Hooks     []*hook         `json:"hooks,omitempty"`
	Version   int             `json:"version,omitempty"`
	Namespace string          `json:"namespace,omitempty"`
	Method    string          `json:"apply_method,omitempty"` // "ssa"; anything else is client-side apply

	labels map[string]string // of the object that keeps it, less those that are Helm's own
}

type info struct {
	FirstDeployed moment          `json:"first_deployed,omitzero"`
	LastDeployed  moment          `json:"last_deployed,omitzero"`
	Deleted       moment          `json:"deleted,omitzero"`
	Description   string          `json:"description,omitempty"`
	Status        string          `json:"status,omitempty"`
	RolledBackTo  int             `json:"rollback_revision,omitempty"`
	Notes         string          `json:"notes,omitempty"`
	Resources     json.RawMessage `json:"resources,omitempty"`
}

type hook struct {
	helm.Hook
	LastRun run `json:"last_run"`
}

type run struct {
	Started   moment `json:"started_at,omitzero"`
	Completed moment `json:"completed_at,omitzero"`
	Phase     string `json:"phase"` // Unknown, Running, Succeeded, Failed
}

// moment is a time that Helm 3 writes as "" when there is none.
type moment struct{ time.Time }

// UnmarshalJSON reads a time, or none.
func (m *moment) UnmarshalJSON(data []byte) error {
	if string(data) == `""` || string(data) == "null" {
		return nil
	}
	return json.Unmarshal(data, &m.Time)
}

func (r *record) pending() bool {
	return slices.Contains([]string{statusPendingInstall, statusPendingUpgrade, statusPendingRollback}, r.Info.Status)
}

func (r *record) set(status, description string) {
	r.Info.Status, r.Info.Description = status, description
}

// chart gives the chart that the revision was made of, without subcharts, which Helm does not keep.
func (r *record) chart() (*chart.Chart, error) {
	c := &chart.Chart{}
	if err := json.Unmarshal(r.Chart, c); err != nil {
		return nil, fmt.Errorf("reading the chart of release %s, revision %d: %w", r.Name, r.Version, err)
	}
	return c, nil
}

// chartText is a chart as records keep it: the same text for the same chart.
func chartText(c *chart.Chart) (json.RawMessage, error) {
	kept := *c
	byName := func(a, b chart.File) int { return cmp.Compare(a.Name, b.Name) }
	kept.Templates, kept.Files = slices.SortedFunc(slices.Values(c.Templates), byName), slices.SortedFunc(slices.Values(c.Files), byName)
	if c.Lock != nil {
		lock := *c.Lock
		if _, err := time.Parse(time.RFC3339, lock.Generated); err != nil {
			lock.Generated = time.Time{}.Format(time.RFC3339) // helm reads nothing of a record in which it is no time
		}
		kept.Lock = &lock
	}
	return json.Marshal(kept)
}

// encode gives the text that Helm's drivers keep.
func (r *record) encode() (string, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	var packed bytes.Buffer
	zip, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := zip.Write(text); err != nil {
		return "", err
	}
	if err := zip.Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(packed.Bytes()), nil
}

func decode(text string) (*record, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b, 0x08}) { // early ones are not packed
		zip, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		if data, err = io.ReadAll(zip); err != nil {
			return nil, err
		}
	}
	r := &record{}
	return r, json.Unmarshal(data, r)
}
