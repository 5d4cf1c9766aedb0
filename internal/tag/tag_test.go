package tag

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func at(year int, month time.Month, day int) func() time.Time {
	return func() time.Time { return time.Date(year, month, day, 15, 4, 5, 678e6, time.UTC) }
}

func environment(kv ...string) Environment {
	return Environment{Environ: kv, Now: at(2026, 11, 22), Run: Exec(gitEnv)}
}

func TestPolicies(t *testing.T) {
	digest := func(context.Context) (string, error) { return strings.Repeat("ab", 32), nil }
	env := environment("FOO=foo", "EMPTY=", "PATH=/bin")
	template := func(text string) Policy {
		p, err := NewEnvTemplate(t.Context(), text, env)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	custom := func(text string, components ...Component) Policy {
		p, err := NewCustomTemplate(text, components, NewGit(Exec(gitEnv), nil), env.Now)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tt := range []struct {
		name   string
		policy Policy
		image  string
		want   string
		fails  string // part of the reason for the fallback
	}{
		{"fixed", Fixed("v1"), "web", "web:v1", ""},
		{"fixed, empty", Fixed(""), "web", "web:latest", "the tag is empty"},
		{"sha256", SHA256{}, "web", "web:latest", ""},
		{"sha256 and a port", SHA256{}, "localhost:5000/web", "localhost:5000/web:latest", ""},
		{"sha256 and a tag in the name", SHA256{}, "web:v3", "web:v3", ""},
		{"capitals", Fixed("V1"), "Reg.io/Web", "Reg.io/Web:V1", ""},
		{"ko", Fixed("v1"), "ko://github.com/A/b", "ko://github.com/A/b:v1", ""},
		{"a tag in the name and a policy", Fixed("v1"), "web:v3", "web:v3", "web:v3:v1"},
		{"too long", Fixed(strings.Repeat("x", 129)), "web", "web:latest", "no image reference"},
		{"dateTime", DateTime{Now: env.Now, Zone: "UTC"}, "web", "web:2026-11-22_15-04-05.678_UTC", ""},
		{"dateTime in a zone", DateTime{Now: env.Now, Format: "2006-01-02T15", Zone: "Asia/Tokyo"}, "web", "web:2026-11-23T00", ""},
		{"dateTime, no tag", DateTime{Now: env.Now, Format: "15:04", Zone: "UTC"}, "web", "web:latest", "no image reference"},
		{"dateTime, no zone", DateTime{Now: env.Now, Zone: "Mars/Olympus"}, "web", "web:latest", `timezone "Mars/Olympus"`},
		{"envTemplate", template("{{.FOO}}-{{.IMAGE_NAME}}"), "web", "web:foo-web", ""},
		{"envTemplate, unset", template("{{.NOPE}}"), "web", "web:latest", "not set: NOPE"},
		{"envTemplate, a default", template(`{{default "bar" .NOPE}}`), "web", "web:bar", ""},
		{"envTemplate, functions", template(`{{.FOO | upper | trunc 2}}{{now | date "2006"}}{{env "FOO"}}{{expandenv "${FOO}"}}`), "web", "web:FO2026foofoo", ""},
		{"envTemplate, a command", template(`{{cmd "printf" "a b" | replace " " "-"}}`), "web", "web:a-b", ""},
		{"envTemplate, a command that fails", template(`{{cmd "false"}}`), "web", "web:latest", "running false"},
		{"envTemplate, empty", template(`{{.EMPTY}}`), "web", "web:latest", ""},
		{"inputDigest", InputDigest{}, "web", "web:" + strings.Repeat("ab", 32), ""},
		{"customTemplate", custom("{{.DATE}}-{{.SHA}}", Component{"DATE", DateTime{Now: env.Now, Format: "2006"}}), "web", "web:2026-latest", ""},
		{"customTemplate, branches", custom("{{if .A}}{{.A}}{{else}}{{.B}}{{end}}{{with .B}}-{{.}}{{end}}", Component{"A", Fixed("a")}, Component{"B", Fixed("b")}), "web", "web:a-b", ""},
		{"customTemplate, input digest", custom("{{.INPUT_DIGEST}}"), "web", "web:" + strings.Repeat("ab", 32), ""},
		{"customTemplate, a component fails", custom("{{.GIT}}"), "web", "web:latest", "component GIT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			made, err := Generate(t.Context(), []Job{{Artifact: Artifact{Image: tt.image, Workspace: "/nowhere", InputDigest: digest}, Policy: tt.policy}})
			if err != nil {
				t.Fatal(err)
			}
			if made[0].Ref != tt.want || (made[0].Fallback == nil) != (tt.fails == "") {
				t.Errorf("got %+v, want %s", made[0], tt.want)
			}
			if tt.fails != "" && !strings.Contains(made[0].Fallback.Error(), tt.fails) {
				t.Errorf("got %q, want %q in it", made[0].Fallback, tt.fails)
			}
		})
	}
}

func TestTemplatesThatAreRefused(t *testing.T) {
	if _, err := NewEnvTemplate(t.Context(), "{{.FOO", environment()); err == nil {
		t.Error("an unfinished template was taken")
	}
	for text, tt := range map[string]struct {
		components []Component
		want       string
	}{
		"{{.X": {nil, "parsing the tag template"}, "{{.X}}": {nil, "uses .X, which is none of its components"},
		"{{.A}}": {[]Component{{"A", SHA256{}}, {"A", SHA256{}}}, "two components named A"},
		"{{.N}}": {[]Component{{"N", &CustomTemplate{}}}, "customTemplate itself"},
	} {
		if _, err := NewCustomTemplate(text, tt.components, nil, time.Now); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q in it", text, err, tt.want)
		}
	}
}

func TestNamesThatAreNone(t *testing.T) {
	_, err := Generate(t.Context(), []Job{{Artifact: Artifact{Image: "a b"}, Policy: SHA256{}}})
	if err == nil || !strings.Contains(err.Error(), `the image name "a b"`) {
		t.Errorf("got %v", err)
	}
}

func TestAnEndedRunIsNoFallback(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Generate(ctx, []Job{{Artifact: Artifact{Image: "web"}, Policy: Fixed("")}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzSanitize(f *testing.F) {
	for _, s := range []string{"v1", "-.x", "release/v1", "ünï", strings.Repeat("-", 200), ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tag := sanitize(s)
		if tag == "" {
			return
		}
		if _, err := parseName("web", tag); err != nil {
			t.Errorf("%q became %q: %v", s, tag, err)
		}
	})
}
