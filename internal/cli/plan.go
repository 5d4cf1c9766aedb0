package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/pipeline"
	"github.com/davit-dev/davit/internal/plan"
)

// exitTodo is the exit code of `davit plan --exit-code` when a run would do something.
const exitTodo = 2

// errTodo makes a command end with exitTodo and without a word.
var errTodo = errors.New("there is something to do")

type planOptions struct {
	common   *common
	config   configFlags
	build    buildFlags
	deploy   deployFlags
	nodes    nodeFlags
	output   string
	save     string
	exitCode bool
}

func newPlan(w World, c *common) *cobra.Command {
	o := &planOptions{common: c}
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Say what a run would do, and do nothing of it",
		Long: `Says for each image whether it exists or would be built, why, and under which name it goes where; and for each object of the
manifests whether it would be created, changed (in what), or stay as it is. The cluster is asked by dry run; nothing is
built, pushed, tagged or applied. 'davit run --plan FILE' carries out exactly a saved plan, or refuses.`,
		Example: `  davit plan
  davit plan --exit-code
  davit plan --output json
  davit plan --save plan.json && davit run --plan plan.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPlan(cmd.Context(), w, o, cmd.Flags()) },
	}
	o.config.addTo(cmd.Flags())
	o.build.addTo(cmd.Flags(), true)
	o.build.addDigestSource(cmd.Flags())
	o.deploy.addTo(cmd.Flags())
	o.nodes.addTo(cmd.Flags(), true)
	cmd.Flags().StringVarP(&o.output, "output", "o", "", `"json" prints the plan for programs`)
	cmd.Flags().StringVar(&o.save, "save", "", "write the plan to this file, for 'davit run --plan'")
	cmd.Flags().BoolVar(&o.exitCode, "exit-code", false, "exit with 2 when a run would do something, with 0 when not")
	return cmd
}

func runPlan(ctx context.Context, w World, o *planOptions, flags *pflag.FlagSet) error {
	if o.output != "" && o.output != "json" {
		return usageError{fmt.Errorf("--output %s is not known: it is json, or nothing for people", o.output)}
	}
	s, outlook, err := o.look(ctx, w)
	if err != nil {
		return err
	}
	if o.save != "" {
		if err := savePlan(s, outlook, flags, o.save); err != nil {
			return err
		}
	}
	if o.output == "json" {
		err = json.NewEncoder(w.Stdout).Encode(outlook.Document)
	} else {
		_, err = w.Stdout.Write(planText(outlook.Document, w.colours(w.Stdout)))
	}
	if err != nil {
		return fmt.Errorf("writing the plan: %w", err)
	}
	return planResult(outlook, o.exitCode)
}

// look finds out what a run would do. The session is closed.
func (o *planOptions) look(ctx context.Context, w World) (*session, pipeline.Outlook, error) {
	var none pipeline.Outlook
	all, err := o.common.lines(w, true)
	if err != nil {
		return nil, none, err
	}
	sink := onlyWarnings(all)
	options, err := options("run", &o.config, &o.build, &o.deploy)
	if err != nil {
		return nil, none, err
	}
	s, err := open(ctx, w, sink, &o.config, &o.build, options, needs{command: "run", cluster: true, nodes: o.build.checkNodes})
	if err != nil {
		return nil, none, err
	}
	defer s.close()
	if s.pipe.Nodes, err = o.nodes.options(ctx, s); err != nil {
		return nil, none, err
	}
	s.deploying(&o.deploy.apply)
	if err := s.readRules(o.deploy.rules); err != nil {
		return nil, none, err
	}
	rendered, err := s.render(ctx)
	if err != nil {
		return nil, none, err
	}
	artifacts, err := s.prepare(ctx)
	if err != nil {
		return nil, none, err
	}
	outlook, err := s.pipe.Look(ctx, artifacts, rendered)
	return s, outlook, err
}

// onlyWarnings leaves out what the plan itself says.
func onlyWarnings(sink event.Sink) event.Sink {
	return event.SinkFunc(func(e event.Event) {
		switch e.(type) {
		case event.Warning, event.Debug:
			sink.Emit(e)
		}
	})
}

// planResult is how a plan ends: what the cluster refuses is a failure, as it would be one of the run.
func planResult(o pipeline.Outlook, exitCode bool) error {
	if refused := o.Refused(); len(refused) > 0 {
		return fmt.Errorf("the cluster would refuse %s: see the plan", count(len(refused), "object"))
	}
	if o.Preflight != nil && o.Todo && slices.ContainsFunc(o.Preflight.Findings, func(f plan.Finding) bool { return f.Fatal }) {
		return errors.New("the cluster would not take the deployment: see the plan")
	}
	if exitCode && o.Todo {
		return errTodo
	}
	return nil
}

// planText is a plan for people.
func planText(d plan.Document, colour bool) []byte {
	t := planWriter{colour: colour}
	t.artifacts(d.Artifacts)
	t.objects(d)
	t.summary(d)
	return []byte(t.String())
}

type planWriter struct {
	strings.Builder
	colour bool
}

func (t *planWriter) line(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }

// mark is the sign before a line, in its colour.
func (t *planWriter) mark(action string) string {
	sign, code := "~", "33"
	switch action {
	case plan.ArtifactBuild, plan.ObjectCreate:
		sign, code = "+", "32"
	case plan.ObjectUnchanged:
		sign, code = "=", "2"
	case plan.ObjectReplace:
		sign, code = "-/+", "31"
	case plan.ObjectFail:
		sign, code = "!", "31"
	case plan.ArtifactUndecided, plan.ObjectOrphan:
		sign, code = "?", "36"
	case plan.ObjectPrune:
		sign, code = "-", "31"
	}
	return paint(t.colour, code, sign)
}

func (t *planWriter) artifacts(all []plan.PlannedArtifact) {
	if len(all) == 0 {
		return
	}
	t.line("Images")
	for _, a := range all {
		t.line("  %s %s: %s", t.mark(a.Action), a.Image, artifactPhrase(a))
	}
}

func artifactPhrase(a plan.PlannedArtifact) string {
	where := "into the Docker Engine as "
	if a.Push {
		where = "and pushed as "
	}
	ref := a.Reference
	if a.Push && a.Digest != "" {
		ref += "@" + a.Digest
	}
	switch a.Action {
	case plan.ArtifactUnchanged:
		return "up to date, " + ref
	case plan.ArtifactTag:
		return "up to date, but not yet tagged " + ref
	case plan.ArtifactUndecided:
		return fmt.Sprintf("perhaps built %s%s: %s", where, ref, strings.Join(a.Why, "; "))
	}
	return fmt.Sprintf("is built %s%s: %s", where, ref, strings.Join(a.Why, "; "))
}

func (t *planWriter) objects(d plan.Document) {
	places := map[string][]plan.PlannedObject{}
	for _, o := range d.Objects {
		places[o.Place] = append(places[o.Place], o)
	}
	if len(places[""]) > 0 || d.Preflight != nil {
		t.line("Objects in %s (%s)", d.Cluster.Server, d.Cluster.Context)
		t.preflight(d.Preflight)
		t.place(places[""], "object")
	}
	if all := places[plan.PlaceKpt]; len(all) > 0 {
		t.line("Objects in %s (%s), by kpt", d.Cluster.Server, d.Cluster.Context)
		t.place(all, "object")
	}
	if d.Engine != nil {
		t.line("Docker Engine at %s", d.Engine.Address)
		t.place(places[plan.PlaceDocker], "container")
	}
	if all := places[plan.PlaceCloudRun]; len(all) > 0 {
		t.line("Cloud Run")
		t.place(all, "object")
	}
}

// place writes what becomes of the things in one place.
func (t *planWriter) place(all []plan.PlannedObject, thing string) {
	unchanged := 0
	for _, o := range all {
		if o.Action == plan.ObjectUnchanged {
			unchanged++
			continue
		}
		t.object(o)
	}
	if unchanged > 0 {
		t.line("  %s %s unchanged", t.mark(plan.ObjectUnchanged), count(unchanged, thing))
	}
}

// preflight says what stands in the way, and which namespaces are made.
func (t *planWriter) preflight(p *plan.Preflight) {
	if p == nil {
		return
	}
	for _, f := range p.Findings {
		if f.Fatal {
			t.line("  %s %s", t.mark(plan.ObjectFail), paint(t.colour, "31", f.Message))
		} else {
			t.line("  %s %s", t.mark(plan.ObjectOrphan), f.Message)
		}
	}
}

func (t *planWriter) object(o plan.PlannedObject) {
	at := ""
	if o.Namespace != "" {
		at = " in " + o.Namespace
	}
	if o.Region != "" {
		at += ", " + o.Region
	}
	if o.Origin != "" {
		at += "  " + paint(t.colour, "2", o.Origin)
	}
	t.line("  %s %s %s%s", t.mark(o.Action), o.Action, o.Resource, at)
	for _, c := range o.Changes {
		t.change(c)
	}
	for _, n := range o.Notes {
		t.line("      (%s)", n)
	}
	switch {
	case o.Action == plan.ObjectPrune && len(o.Notes) == 0:
		t.line("      (it was deployed before and is not in the config any more)")
	case o.Action == plan.ObjectOrphan:
		t.line("      (it was deployed before and is not in the config any more: it stays)")
	case o.Action == plan.ObjectFail:
		t.line("      %s", paint(t.colour, "31", o.Error))
	}
}

func (t *planWriter) summary(d plan.Document) {
	counts := map[string]int{}
	for _, a := range d.Artifacts {
		counts["image "+a.Action]++
	}
	for _, o := range d.Objects {
		counts[o.Action]++
	}
	var parts []string
	for _, c := range []struct{ key, thing, verb string }{
		{"image " + plan.ArtifactBuild, "image", "to build"}, {"image " + plan.ArtifactUndecided, "image", "perhaps to build"},
		{"image " + plan.ArtifactTag, "image", "to tag"},
		{plan.ObjectCreate, "object", "to create"}, {plan.ObjectChange, "object", "to change"}, {plan.ObjectReplace, "object", "to replace"},
		{plan.ObjectPrune, "object", "to prune"}, {plan.ObjectFail, "object", "refused"},
	} {
		if n := counts[c.key]; n > 0 {
			parts = append(parts, count(n, c.thing)+" "+c.verb)
		}
	}
	if len(parts) == 0 {
		parts = []string{"Nothing to do"}
	}
	t.line("%s.", strings.Join(parts, ", "))
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
