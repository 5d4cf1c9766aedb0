package helm_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/render/helm"
)

// TestAsHelm compares with what `helm template` prints, as parsed objects in order: for the archives of testdata, and for every chart below
// DAVIT_COMPAT_FILES, with each values file that lies beside it.
func TestAsHelm(t *testing.T) {
	binary := os.Getenv("DAVIT_COMPAT_HELM")
	if binary == "" {
		t.Skip("set DAVIT_COMPAT_HELM to a helm binary, and DAVIT_COMPAT_FILES to a folder with charts")
	}
	var same, refused int // by both
	count := func(ok bool) {
		if ok {
			same++
		} else {
			refused++
		}
	}
	archives, _ := filepath.Glob("testdata/*.txtar")
	for _, archive := range archives {
		t.Run(filepath.Base(archive), func(t *testing.T) {
			if _, dir, s := unpack(t, archive); !s.Own {
				count(compare(t, binary, dir, s.release(dir)))
			}
		})
	}
	for _, chart := range charts(t) {
		t.Run(chart, func(t *testing.T) {
			values, _ := filepath.Glob(filepath.Join(filepath.Dir(chart), "*values*.yaml"))
			ci, _ := filepath.Glob(filepath.Join(chart, "*values*.yaml"))
			for _, file := range append(append(values, ci...), "") {
				r := helm.Release{Name: "rel", Namespace: "ns", Chart: chart, SkipDependencies: true}
				if file != "" {
					r.ValuesFiles = []string{file}
				}
				count(compare(t, binary, chart, r))
			}
		})
	}
	t.Logf("%d renderings compared, %d refused by both", same, refused)
}

// charts are the folders with a chart that is not below another one.
func charts(t *testing.T) []string {
	t.Helper()
	var found []string
	root := os.Getenv("DAVIT_COMPAT_FILES")
	if root == "" {
		return nil
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if _, missing := os.Stat(filepath.Join(path, "Chart.yaml")); err == nil && d.IsDir() && missing == nil {
			found = append(found, path)
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// compare says whether there was something to compare.
func compare(t *testing.T, binary, dir string, r helm.Release) bool {
	t.Helper()
	args := []string{"template", r.Name, r.Chart, "--namespace", r.Namespace}
	args = append(args, r.Flags...)
	for _, s := range r.Set {
		args = append(args, "--set", s.Key+"="+s.Value)
	}
	for _, s := range r.SetFiles {
		args = append(args, "--set-file", s.Key+"="+s.Value)
	}
	for _, f := range r.ValuesFiles {
		args = append(args, "-f", f)
	}
	if r.SkipTests {
		args = append(args, "--skip-tests")
	}
	if len(r.Overrides) > 0 {
		text, err := yaml.Marshal(r.Overrides)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "overrides.yaml")
		write(t, file, text)
		args = append(args, "-f", file)
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Stderr = dir, &stderr
	out, err := cmd.Output()
	ours := render(t.Context(), dir, r)
	if (err == nil) != (ours.err == nil) {
		t.Errorf("%s %v:\nhelm:  %v %s\ndavit: %v", r.Chart, r.ValuesFiles, err, stderr.String(), ours.err)
		return true
	}
	if err != nil {
		return false
	}
	var theirs []manifest.Object
	for _, doc := range strings.Split("\n"+string(out), "\n---") {
		objects, err := manifest.Parse("helm", []byte(doc+"\n"))
		if err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		theirs = append(theirs, objects...)
	}
	if a, b := values(t, ours.objects), values(t, theirs); !reflect.DeepEqual(a, b) {
		t.Errorf("%s %v: davit has %d objects, helm %d", r.Chart, r.ValuesFiles, len(a), len(b))
		for i := range min(len(a), len(b)) {
			if !reflect.DeepEqual(a[i], b[i]) {
				t.Errorf("first difference (-helm +davit):\n%s", difference(b[i], a[i]))
				break
			}
		}
	}
	return true
}

func values(t *testing.T, objects []manifest.Object) []map[string]any {
	t.Helper()
	var out []map[string]any
	for _, o := range objects {
		v, err := o.Value()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// difference shows the values at which two objects part.
func difference(a, b any) string {
	m, ok := a.(map[string]any)
	n, also := b.(map[string]any)
	if !ok || !also {
		return fmt.Sprintf("-%q\n+%q", fmt.Sprint(a), fmt.Sprint(b))
	}
	for k := range m {
		if !reflect.DeepEqual(m[k], n[k]) {
			return k + ": " + difference(m[k], n[k])
		}
	}
	return fmt.Sprintf("more keys: %v", n)
}
