package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/pipeline"
	"github.com/davit-dev/davit/internal/plan"
)

// decisive are the flags of a run that decide about its plan. The others say where things are on this machine.
func decisive() *pflag.FlagSet {
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	(&configFlags{}).addTo(f)
	(&buildFlags{}).addTo(f, true)
	(&buildFlags{}).addDigestSource(f)
	(&nodeFlags{}).addTo(f, true)
	(&deployFlags{}).addTo(f)
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.VisitAll(func(flag *pflag.Flag) {
		if !slices.Contains([]string{"kubeconfig", "config", "remote-cache-dir", "sync-remote-cache", "builder", "buildkit-host", "build-concurrency", "cache-file"}, flag.Name) {
			all.AddFlag(flag)
		}
	})
	return all
}

// givenFlags are the values of the decisive flags that were given.
func givenFlags(flags *pflag.FlagSet) map[string][]string {
	values := map[string][]string{}
	decisive().VisitAll(func(d *pflag.Flag) {
		if f := flags.Lookup(d.Name); f != nil && f.Changed {
			values[f.Name] = flagValue(f)
		}
	})
	return values
}

func flagValue(f *pflag.Flag) []string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return []string{f.Value.String()}
}

// savePlan writes a plan for a later run. Nobody else may read it: it says what is where.
func savePlan(s *session, o pipeline.Outlook, flags *pflag.FlagSet, file string) error {
	saved, err := s.saved(o, givenFlags(flags))
	if err != nil {
		return err
	}
	saved.Secrets = plan.NewSeal(o.Secrets)
	var text bytes.Buffer
	if err := saved.Write(&text); err != nil {
		return fmt.Errorf("saving the plan: %w", err)
	}
	file = s.world.path(file)
	_ = os.Remove(file) // one that is there may be open to others
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		return fmt.Errorf("saving the plan: %w", err)
	}
	return nil
}

func (s *session) saved(o pipeline.Outlook, flags map[string][]string) (plan.Saved, error) {
	saved := plan.Saved{Document: o.Document, Flags: flags, Configs: map[string]string{}}
	for _, c := range s.configs {
		text, err := yaml.Marshal(model.Encode(c.Model))
		if err != nil {
			return saved, fmt.Errorf("saving the plan: %w", err)
		}
		name := c.File
		if rel, err := filepath.Rel(s.world.Dir, c.File); err == nil && filepath.IsAbs(c.File) {
			name = filepath.ToSlash(rel)
		}
		if c.Name != "" {
			name = c.Name + " in " + name
		}
		if c.Index > 0 {
			name = fmt.Sprintf("%s, document %d", name, c.Index+1)
		}
		sum := sha256.Sum256(text)
		saved.Configs[name] = hex.EncodeToString(sum[:])
	}
	return saved, nil
}

// takePlan reads the plan that a run shall carry out, and gives the run's flags the values that the plan was made with. Without a file it gives nil.
func takePlan(w World, flags *pflag.FlagSet, file string) (*plan.Saved, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(w.path(file))
	if err != nil {
		return nil, fmt.Errorf("reading the plan: %w", err)
	}
	defer f.Close()
	saved, err := plan.ReadSaved(f)
	if err != nil {
		return nil, fmt.Errorf("reading the plan %s: %w", file, err)
	}
	now := givenFlags(flags)
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if was, planned := saved.Flags[name]; !planned || !slices.Equal(was, now[name]) {
			return nil, usageError{fmt.Errorf("--%s is %s, but the plan %s was made %s: leave it out, or make a new plan",
				name, strings.Join(now[name], ","), file, with(name, was, planned))}
		}
	}
	for name, values := range saved.Flags {
		flag := flags.Lookup(name)
		if flag == nil || decisive().Lookup(name) == nil {
			return nil, fmt.Errorf("the plan %s was made with --%s, which this davit does not know: make a new plan", file, name)
		}
		if err := setFlag(flag, values); err != nil {
			return nil, fmt.Errorf("reading the plan %s: --%s: %w", file, name, err)
		}
	}
	return &saved, nil
}

func with(name string, values []string, given bool) string {
	if !given {
		return "without --" + name
	}
	return "with --" + name + " " + strings.Join(values, ",")
}

func setFlag(f *pflag.Flag, values []string) error {
	f.Changed = true
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.Replace(values)
	}
	if len(values) != 1 {
		return fmt.Errorf("%d values", len(values))
	}
	return f.Value.Set(values[0])
}

// checkPlan refuses to go on when anything is not as it was when the plan was made. It is asked once all is known and nothing is done yet.
// Without a plan it asks for nothing.
func (s *session) checkPlan(ctx context.Context, saved *plan.Saved, artifacts []plan.Artifact, rendered []pipeline.Rendered) error {
	if saved == nil {
		return nil
	}
	silent := *s.pipe // the run itself is going to warn of the same
	silent.Sink = event.SinkFunc(func(event.Event) {})
	outlook, err := silent.Look(ctx, artifacts, rendered)
	if err != nil {
		return err
	}
	now, err := s.saved(outlook, saved.Flags)
	if err != nil {
		return err
	}
	moved := saved.Moved(now, outlook.Secrets)
	if len(moved) == 0 {
		return nil
	}
	return fmt.Errorf("the plan does not fit any more, so nothing was done: make a new one\n - %s", strings.Join(moved, "\n - "))
}
