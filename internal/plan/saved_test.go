package plan

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func savedPlan() Saved {
	return Saved{
		Document: NewDocument(&Cluster{Context: "dev", Server: "https://dev:6443"},
			[]PlannedArtifact{{Image: "web", Action: ArtifactBuild, Reference: "reg:5000/web:v1", Push: true, Inputs: "1"}, {Image: "child", Action: ArtifactUndecided, Reference: "reg:5000/child:v1", Inputs: "2"}},
			[]PlannedObject{
				{Resource: "deployment.apps/web", Namespace: "shop", Action: ObjectChange, Fingerprint: "1", UID: "u", Changes: []FieldChange{{Path: "spec.replicas", Before: int64(1), After: int64(2)}}},
				{Resource: "namespace/shop", Action: ObjectUnchanged},
			}),
		Flags:   map[string][]string{"tag": {"v1"}},
		Configs: map[string]string{"skaffold.yaml": "1"},
	}
}

// written is a plan after a way through a file.
func written(t *testing.T, s Saved) Saved {
	t.Helper()
	var file bytes.Buffer
	if err := s.Write(&file); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(file.String(), "hunter2") {
		t.Errorf("the file holds a secret: %s", &file)
	}
	read, err := ReadSaved(&file)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func TestMoved(t *testing.T) {
	saved := written(t, savedPlan())
	for _, tt := range []struct {
		want   string
		change func(*Saved)
	}{
		{"[]", func(*Saved) {}},
		{"[the config skaffold.yaml changed]", func(s *Saved) { s.Configs["skaffold.yaml"] = "2" }},
		{"[the config other.yaml is new the config skaffold.yaml is gone]", func(s *Saved) { s.Configs = map[string]string{"other.yaml": "1"} }},
		{"[the cluster was https://dev:6443 and is https://prod]", func(s *Saved) { s.Cluster = &Cluster{Context: "dev", Server: "https://prod"} }},
		{"[]", func(s *Saved) { s.Cluster = &Cluster{Context: "another name", Server: "https://dev:6443"} }},
		{"[artifact web: its inputs changed]", func(s *Saved) { s.Artifacts[0].Inputs = "3" }},
		{"[artifact web: its inputs changed: plan.json added]", func(s *Saved) { s.Artifacts[0].Inputs, s.Artifacts[0].Why = "3", []string{"plan.json added"} }},
		{"[artifact web: it was to be reg:5000/web:v1 and would be reg:5000/web:v2]", func(s *Saved) { s.Artifacts[0].Reference = "reg:5000/web:v2" }},
		{"[artifact web: the plan says build, and now it would be unchanged]", func(s *Saved) { s.Artifacts[0].Action = ArtifactUnchanged }},
		{"[artifact child is gone]", func(s *Saved) { s.Artifacts = s.Artifacts[:1] }},
		{"[deployment.apps/web in namespace shop: it changed in the cluster]", func(s *Saved) { s.Objects[0].Changes[0].Before = int64(3) }},
		{"[deployment.apps/web in namespace shop: it was deleted and made anew]", func(s *Saved) { s.Objects[0].UID = "v" }},
		{"[deployment.apps/web in namespace shop: its manifest changed]", func(s *Saved) { s.Objects[0].Fingerprint = "2" }},
		{"[namespace/shop: the plan says unchanged, and now it would be create]", func(s *Saved) { s.Objects[1].Action = ObjectCreate }},
	} {
		now := savedPlan()
		tt.change(&now)
		if got := fmt.Sprint(saved.Moved(now, nil)); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
	sealed := savedPlan()
	sealed.Secrets = NewSeal([]byte("hunter2"))
	saved = written(t, sealed)
	if got := saved.Moved(savedPlan(), []byte("hunter2")); len(got) > 0 {
		t.Errorf("the same secret: %q", got)
	}
	if got := saved.Moved(savedPlan(), []byte("hunter3")); !slices.Equal(got, []string{"the values in Secrets, or those of releases, changed"}) {
		t.Errorf("another secret: %q", got)
	}
	if got := saved.Moved(savedPlan(), nil); len(got) != 1 {
		t.Errorf("no secret: %q", got)
	}
}

func TestSeal(t *testing.T) {
	one, two := NewSeal([]byte("x")), NewSeal([]byte("x"))
	if bytes.Equal(one.Sum, two.Sum) {
		t.Error("the same text is sealed the same: it could be looked up")
	}
	if !one.Holds([]byte("x")) || one.Holds([]byte("y")) || one.Holds(nil) || !NewSeal(nil).Holds(nil) || NewSeal(nil).Holds([]byte("x")) {
		t.Error("a seal does not tell texts apart")
	}
}

func TestFilesThatAreNoPlans(t *testing.T) {
	for _, text := range []string{"", "x", "{}", `{"version": 2, "configs": {}}`, `{"version": 1}`} {
		if _, err := ReadSaved(strings.NewReader(text)); err == nil {
			t.Errorf("%q was read as a plan", text)
		}
	}
}

func TestTagsOfAPlan(t *testing.T) {
	s := savedPlan()
	if got := s.Tags(); got["web"] != "v1" || got["child"] != "v1" {
		t.Errorf("got %v", got)
	}
	if got := (*Saved)(nil).Tags(); got != nil {
		t.Errorf("without a plan: %v", got)
	}
}
