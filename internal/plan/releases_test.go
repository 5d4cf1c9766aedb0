package plan

import (
	"strconv"
	"strings"
	"testing"
)

// TestChartTests lets the command line's word on the tests of charts win over the annotation's.
func TestChartTests(t *testing.T) {
	const tested = "apiVersion: skaffold/v4beta13\nkind: Config\nmetadata: {annotations: {davit.dev/chart-tests: WANTED}}\ndeploy: {helm: {releases: [{name: web, chartPath: chart}]}}\n"
	yes, no := true, false
	for _, test := range []struct {
		annotation string
		flag       *bool
		want       bool
	}{{"", nil, false}, {"true", nil, true}, {"false", nil, false}, {"", &yes, true}, {"true", &no, false}} {
		config := strings.ReplaceAll(tested, "WANTED", strconv.Quote(test.annotation))
		o := options()
		o.ChartTests = test.flag
		d, err := Deployments(configs(t, config), "shop", o)
		if err != nil || len(d) != 1 || d[0].Releases.Tests != test.want {
			t.Errorf("%+v: %+v, %v", test, d, err)
		}
	}
	_, err := Deployments(configs(t, strings.ReplaceAll(tested, "WANTED", "perhaps")), "shop", options())
	if err == nil || !strings.Contains(err.Error(), `skaffold.yaml:3`) || !strings.Contains(err.Error(), `"perhaps" is neither true nor false`) {
		t.Errorf("error %v", err)
	}
	o := options()
	o.ChartTests = &yes
	if _, err := Apply(nil, "shop", o); err == nil || !strings.Contains(err.Error(), "leave out --chart-tests") {
		t.Errorf("error %v", err)
	}
}
