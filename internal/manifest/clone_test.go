package manifest

import (
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestCloneIsItsOwn(t *testing.T) {
	objects, err := Parse("a.yaml", []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers: &c\n  - {name: a, image: web}\n  initContainers: *c\n"))
	if err != nil {
		t.Fatal(err)
	}
	before, err := yaml.Marshal(objects[0].Node)
	if err != nil {
		t.Fatal(err)
	}
	clones := Clone(objects)
	ReplaceImages(clones, map[string]string{"web": "reg/web:v1"})
	after, err := yaml.Marshal(objects[0].Node)
	if err != nil || string(after) != string(before) {
		t.Errorf("an edit of the copy shows in the original: %s, %v", after, err)
	}
	if uses := Images(clones); len(uses) == 0 || uses[0].Node.Value != "reg/web:v1" {
		t.Errorf("the copy cannot be edited: %+v", uses)
	}
}
