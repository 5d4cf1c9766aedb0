package template_test

import (
	"errors"
	"testing"

	"github.com/davit-dev/davit/internal/config/template"
)

func TestExpand(t *testing.T) {
	x := template.New(template.Environment{
		Environ: []string{"USER=ann", "EMPTY="},
		Run:     func(name string, args ...string) (string, error) { return name + " " + args[0] + "\n", nil },
	})
	images := template.Images([]template.Image{
		{Name: "my-app", Reference: "localhost:5000/team/my-app:v1@sha256:abc"},
		{Name: "gcr.io/p/db", Reference: "gcr.io/p/db:v2@sha256:def"},
	})
	for text, want := range map[string]string{
		"plain":                               "plain",
		"{{.USER}}-{{.EMPTY}}":                "ann-",
		`{{default "x" .NOT_SET}}`:            "x",
		`{{.USER | upper | trunc 2}}`:         "AN",
		`{{cmd "echo" "hi"}}`:                 "echo hi",
		"{{.IMAGE_REPO_my-app}}":              "localhost:5000/team/my-app",
		"{{.IMAGE_REPO_my_app}}":              "localhost:5000/team/my-app",
		"{{ .IMAGE_TAG_my-app -}} x":          "v1x",
		"{{.IMAGE_TAG}}@{{.IMAGE_DIGEST}}":    "v1@sha256:abc",
		"{{.IMAGE_FULLY_QUALIFIED2}}":         "gcr.io/p/db:v2@sha256:def",
		"{{.IMAGE_TAG_gcr.io/p/db}}":          "v2",
		"{{.IMAGE_DOMAIN_my_app}}":            "localhost:5000",
		"{{.IMAGE_REPO_NO_DOMAIN_my-app}}":    "team/my-app",
		"{{.IMAGE_NAME2}} {{.DIGEST_ALGO2}}":  "gcr.io/p/db gcr.io/p/db",
		"no {{\"{{\"}} template, a-b.c {{1}}": "no {{ template, a-b.c 1",
	} {
		got, err := x.Expand(text, images)
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestMissingVariablesAreNamed(t *testing.T) {
	x := template.New(template.Environment{Environ: []string{"USER=ann"}})
	_, err := x.Expand("{{.USER}} {{.ONE}} {{if .USER}}{{.TWO}}{{end}}", nil)
	var missing *template.MissingError
	if !errors.As(err, &missing) || err.Error() != "variables ONE, TWO are not set" {
		t.Errorf("got %v", err)
	}
	if _, err = x.Expand("{{.USER", nil); err == nil || err.Error() != "this is not a valid template: unclosed action" {
		t.Errorf("got %v", err)
	}
}
