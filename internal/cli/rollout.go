package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/internal/pipeline"
	"github.com/davit-dev/davit/internal/plan"
)

// rolloutFlags say what a deployment waits for, and what goes on after it.
type rolloutFlags struct {
	iterative bool
	selectors string
	balancers bool
	tail      bool
	forward   string
	deletions time.Duration

	chartTests      bool
	chartTestsGiven func() bool
}

func (r *rolloutFlags) addTo(f *pflag.FlagSet) {
	f.BoolVar(&r.iterative, "iterative-status-check", true, "deploy a config once those that it requires are ready; false deploys all, and waits then")
	f.StringVar(&r.selectors, "status-check-selectors", "", `JSON file that says which kinds are waited for by their conditions, beside workloads: {"selectors": [{"group": "...", "kind": "..."}]}, regular expressions (default: custom resources that have conditions)`)
	f.BoolVar(&r.balancers, "wait-for-load-balancers", false, "wait until services of type LoadBalancer have an address")
	f.BoolVar(&r.tail, "tail", false, "show the logs of what was deployed, until Ctrl-C")
	f.StringVar(&r.forward, "port-forward", "off", "forward ports to this machine, until Ctrl-C: user (those of the config), services, pods, debug, or several of them; without a value user,services")
	f.Lookup("port-forward").NoOptDefVal = "true"
	f.BoolVar(&r.chartTests, "chart-tests", false, "run the tests of the releases' charts once all is ready, as 'helm test' does (default: as the annotation davit.dev/chart-tests says)")
	r.chartTestsGiven = func() bool { return f.Changed("chart-tests") }
	f.DurationVar(&r.deletions, "wait-for-deletions-max", 0, "how long to wait for objects that are being deleted before they are made anew (default 2m)")
	without(f, "wait-for-deletions", "wait-for-deletions-delay") // it always waits, by watches
}

// set takes over what planning needs to know.
func (r *rolloutFlags) set(o *plan.Options) error {
	o.Together, o.LoadBalancers, o.Deletions = !r.iterative, r.balancers, r.deletions
	if r.chartTestsGiven != nil && r.chartTestsGiven() {
		o.ChartTests = &r.chartTests
	}
	if _, err := plan.ParseForward(r.forward); err != nil {
		return usageError{fmt.Errorf("--port-forward: %w", err)}
	}
	return nil
}

// readDeploy reads the files that flags of deployments name.
func (s *session) readDeploy(d *deployFlags) error {
	if err := s.readRules(d.rules); err != nil {
		return err
	}
	if d.selectors == "" {
		return nil
	}
	fail := func(err error) error {
		return fmt.Errorf("--status-check-selectors %s: %w: write {\"selectors\": [{\"group\": \"my.domain\", \"kind\": \"MyKind\"}]}", d.selectors, err)
	}
	text, err := os.ReadFile(s.world.path(d.selectors))
	if err != nil {
		return fmt.Errorf("--status-check-selectors: %w", err)
	}
	var file struct {
		Selectors []struct{ Group, Kind string }
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return fail(err)
	}
	s.options.Kinds = []plan.AwaitedKind{}
	for _, selector := range file.Selectors {
		var kind plan.AwaitedKind
		if kind.Group, err = regexp.Compile(selector.Group); err != nil {
			return fail(err)
		}
		if kind.Kind, err = regexp.Compile(selector.Kind); err != nil {
			return fail(err)
		}
		s.options.Kinds = append(s.options.Kinds, kind)
	}
	return nil
}

// andFollow deploys, and follows what it deployed where that is asked for.
func (s *session) andFollow(ctx context.Context, r *rolloutFlags, images []pipeline.Image, deploy func() error) error {
	forward, err := plan.ParseForward(r.forward)
	if err != nil {
		return err
	}
	follow, err := plan.NewFollow(s.configs, r.tail, forward, s.options)
	if err != nil {
		return err
	}
	began := s.world.Now()
	if err := deploy(); err != nil {
		return err
	}
	return s.pipe.Follow(ctx, follow, images, began)
}
