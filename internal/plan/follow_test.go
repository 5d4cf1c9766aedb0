package plan

import (
	"reflect"
	"testing"

	"github.com/davit-dev/davit/internal/config"
)

func TestParseForward(t *testing.T) {
	for text, want := range map[string]Forward{
		"": {}, "off": {}, "false": {}, "true": {User: true, Services: true}, "1": {User: true, Services: true}, "user,pods": {User: true, Pods: true},
		"services": {Services: true}, "debug": {Debug: true},
	} {
		if got, err := ParseForward(text); err != nil || got != want {
			t.Errorf("%q gives %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"all", "off,user", "true,pods", "user,"} {
		if _, err := ParseForward(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestLogs(t *testing.T) {
	for _, test := range []struct{ prefix, pod, container, want string }{
		{"container", "p", "c", "[c]"}, {"podAndContainer", "p", "c", "[p c]"}, {"auto", "p", "c", "[p c]"}, {"auto", "c", "c", "[c]"}, {"none", "p", "c", ""},
		{"podAndContainer", "", "c", "[c]"}, {"auto", "", "c", "[c]"},
	} {
		if got := (Logs{prefix: test.prefix}).Prefix(test.pod, test.container); got != test.want {
			t.Errorf("%s: %q, want %q", test.prefix, got, test.want)
		}
	}
	l := Logs{fields: []string{"level", "n", "missing"}}
	for line, want := range map[string]string{
		`{"level": "info", "n": 1.5, "other": true}`: "level: info, n: 1.5", `{"other": 1}`: `{"other": 1}`, "plain": "plain", `["level"]`: `["level"]`,
	} {
		if got := l.Line(line); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// What is required counts through configs that deploy nothing themselves, and a circle ends.
func TestInOrder(t *testing.T) {
	db, base, shop, other := &config.Config{}, &config.Config{}, &config.Config{}, &config.Config{}
	base.Requires, shop.Requires, db.Requires = []*config.Config{db}, []*config.Config{base}, []*config.Config{shop}
	deployments := make([]Deployment, 3)
	inOrder(deployments, []*config.Config{db, shop, other}, Options{})
	if got := [][]int{deployments[0].Requires, deployments[1].Requires, deployments[2].Requires}; !reflect.DeepEqual(got, [][]int{nil, {0}, nil}) {
		t.Errorf("got %v", got)
	}
	together := make([]Deployment, 2)
	inOrder(together, []*config.Config{db, shop}, Options{RolloutOptions: RolloutOptions{Together: true}})
	if len(together[1].Requires) > 0 {
		t.Errorf("got %v", together[1].Requires)
	}
}
