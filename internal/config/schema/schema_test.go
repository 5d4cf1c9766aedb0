package schema_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/davit-dev/davit/internal/config/schema"
)

func TestHistoryIsInOrder(t *testing.T) {
	versions := schema.New().Versions()
	if len(versions) != 72 || versions[0] != "v1alpha1" || versions[len(versions)-1] != schema.Newest {
		t.Errorf("got %d versions, %s to %s", len(versions), versions[0], versions[len(versions)-1])
	}
	if !slices.IsSortedFunc(versions, schema.CompareVersions) {
		t.Errorf("not in order: %v", versions)
	}
	for i, v := range []string{"v1beta17", "v1", "v2alpha1"} {
		if got := slices.Index(versions, v); got != 21+i {
			t.Errorf("%s is number %d", v, got)
		}
	}
}

func TestFieldsOverTime(t *testing.T) {
	table := schema.New()
	for _, test := range []struct {
		typ, field, version string
		want                bool
	}{
		{"Artifact", "imageName", "v1alpha3", true},
		{"Artifact", "imageName", "v1alpha4", false},
		{"Artifact", "platforms", "v2beta26", false},
		{"Artifact", "platforms", "v2beta27", true},
		{"HelmRelease", "chartPath", "v2beta10", true},
		{"DeployConfig", "kustomize", "v2beta29", true},
		{"DeployConfig", "kustomize", "v3alpha1", false},
	} {
		if got := table.Type(test.typ).Field(test.field, table.Index(test.version)) != nil; got != test.want {
			t.Errorf("%s.%s in %s: %v", test.typ, test.field, test.version, got)
		}
	}
}

func TestSchemaOfEveryVersion(t *testing.T) {
	table := schema.New()
	for _, v := range table.List() {
		text, err := table.JSON(v)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Definitions map[string]struct {
				Properties map[string]struct {
					Ref string `json:"$ref"`
				}
			}
		}
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatalf("%s: %v", v, err)
		}
		if len(doc.Definitions[schema.Root].Properties) < 4 {
			t.Errorf("%s: the root has only %v", v, doc.Definitions[schema.Root].Properties)
		}
		for name, d := range doc.Definitions {
			for field, p := range d.Properties {
				if p.Ref == "" {
					continue
				}
				if _, ok := doc.Definitions[p.Ref[len("#/definitions/"):]]; !ok {
					t.Errorf("%s: %s.%s refers to %s, which is not there", v, name, field, p.Ref)
				}
			}
		}
	}
	_, err := table.JSON("v4beta99")
	if err == nil || err.Error() != "unknown apiVersion \"v4beta99\"\n  see schema list" {
		t.Errorf("got %v", err)
	}
}
