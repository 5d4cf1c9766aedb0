package image

import "testing"

func TestParse(t *testing.T) {
	for _, c := range []struct{ in, name, tag, digest string }{
		{"app", "app", "", ""},
		{"localhost:5000/app", "localhost:5000/app", "", ""},
		{"gcr.io/p/app:v1", "gcr.io/p/app", "v1", ""},
		{"ko://github.com/Org/App:V1", "github.com/org/app", "V1", ""},
		{"a/b:t@sha256:" + zeros, "a/b", "t", "sha256:" + zeros},
	} {
		got, err := Parse(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if want := (Reference{c.name, c.tag, c.digest}); got != want {
			t.Errorf("%s: got %+v, want %+v", c.in, got, want)
		}
	}
	for _, in := range []string{"", "a b", "{{.Values.image}}", "app:"} {
		if got, err := Parse(in); err == nil {
			t.Errorf("%q was read as %+v", in, got)
		}
	}
}

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

func TestDefaultRepo(t *testing.T) {
	yes := true
	for _, c := range []struct {
		repo     string
		multi    *bool
		in, want string
	}{
		{"", nil, "gcr.io/p/app", "gcr.io/p/app"},
		{"localhost:5000", nil, "gcr.io/my-project/my-web-app", "localhost:5000/gcr_io_my-project_my-web-app"},
		{"abc.123.com", nil, "bases/go/1.13", "abc.123.com/bases_go_1_13"},
		{"abc.123.com", &yes, "bases/go/1.13", "abc.123.com/bases/go/1.13"},
		{"gcr.io/default", nil, "gcr.io/explicit/test", "gcr.io/default/gcr.io/explicit/test"},
		{"gcr.io/default/sub", nil, "gcr.io/default/test", "gcr.io/default/sub/test"},
		{"gcr.io/default", nil, "gcr.io/default/test", "gcr.io/default/test"},
		{"gcr.io/default", nil, "app:tag", "gcr.io/default/app:tag"},
		{"localhost:5000", nil, "localhost:5000/app", "localhost:5000/app"},
	} {
		ref, err := Parse(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := (DefaultRepo{c.repo, c.multi}).Rewrite(ref).String(); got != c.want {
			t.Errorf("%s into %q: got %s, want %s", c.in, c.repo, got, c.want)
		}
	}
}
