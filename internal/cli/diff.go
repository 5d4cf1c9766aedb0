package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/plan"
)

type diffOptions struct {
	common   *common
	config   configFlags
	build    buildFlags
	deploy   deployFlags
	nodes    nodeFlags
	output   string
	exitCode bool
}

func newDiff(w World, c *common) *cobra.Command {
	o := &diffOptions{common: c}
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Show how what is in the cluster differs from what a run would deploy",
		Long: `Compares the objects and releases of the config with those in the cluster, as the cluster itself says by dry run: with its defaults, its admission and
what others own; and containers and what goes to Cloud Run with what is there. Nothing is built or applied; an image that is still to be built shows as such. The values of Secrets are never shown. 'davit plan' says
beside that what would be built.`,
		Example: `  davit diff
  davit diff --prune --exit-code
  davit diff --output json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDiff(cmd.Context(), w, o) },
	}
	f := cmd.Flags()
	o.config.addTo(f)
	o.build.addTo(f, true)
	o.build.addDigestSource(f)
	o.deploy.addTo(f)
	o.nodes.addTo(f, true)
	f.StringVarP(&o.output, "output", "o", "", `"json" prints the differences for programs`)
	f.BoolVar(&o.exitCode, "exit-code", false, "exit with 2 when anything differs, with 0 when not")
	return cmd
}

// differing is one object that differs, for programs.
type differing struct {
	plan.PlannedObject
	Object map[string]any `json:"object,omitempty"` // what would be created
}

func runDiff(ctx context.Context, w World, o *diffOptions) error {
	if o.output != "" && o.output != "json" {
		return usageError{fmt.Errorf("--output %s is not known: it is json, or nothing for people", o.output)}
	}
	looking := &planOptions{common: o.common, config: o.config, build: o.build, deploy: o.deploy, nodes: o.nodes}
	_, outlook, err := looking.look(ctx, w)
	if err != nil {
		return err
	}
	all := []differing{}
	for _, one := range outlook.Objects {
		switch one.Action {
		case plan.ObjectUnchanged:
			continue
		case plan.ObjectCreate, plan.ObjectReplace:
			all = append(all, differing{one, one.Object})
		default:
			all = append(all, differing{PlannedObject: one})
		}
	}
	if o.output == "json" {
		err = json.NewEncoder(w.Stdout).Encode(map[string]any{"version": plan.DocumentVersion, "cluster": outlook.Cluster, "engine": outlook.Engine, "objects": all})
	} else {
		_, err = w.Stdout.Write([]byte(diffText(all, w.colours(w.Stdout))))
	}
	if err != nil {
		return fmt.Errorf("writing the differences: %w", err)
	}
	if refused := outlook.Refused(); len(refused) > 0 {
		return fmt.Errorf("the cluster would refuse %s", count(len(refused), "object"))
	}
	differs := slices.ContainsFunc(all, func(d differing) bool { return d.Action != plan.ObjectOrphan })
	if o.exitCode && differs {
		return errTodo
	}
	return nil
}

// diffText shows differences for people; nothing when there are none.
func diffText(all []differing, colour bool) string {
	t := diffWriter{planWriter{colour: colour}}
	for _, d := range all {
		t.object(plan.PlannedObject{Action: d.Action, Resource: d.Resource, Namespace: d.Namespace, Region: d.Region, Origin: d.Origin, Notes: d.Notes, Error: d.Error})
		switch {
		case d.Action == plan.ObjectCreate && d.Object == nil: // a network has nothing but its name
		case d.Action == plan.ObjectCreate, d.Action == plan.ObjectReplace && len(d.Changes) == 0:
			t.lines("+", "32", yamlText(d.Object))
		default:
			for _, c := range d.Changes {
				t.change(c)
			}
		}
	}
	return t.String()
}

type diffWriter struct{ planWriter }

func (t *diffWriter) lines(sign, code, text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		t.line("      %s", paint(t.colour, code, sign+" "+line))
	}
}

// change shows one value as it was and as it would be; of long texts and of structures, only the lines that differ.
func (t *diffWriter) change(c plan.FieldChange) {
	t.line("    %s", paint(t.colour, "36", c.Path))
	switch {
	case c.Before == nil:
		t.lines("+", "32", yamlText(c.After))
		return
	case c.After == nil:
		t.lines("-", "31", yamlText(c.Before))
		return
	}
	before, after := yamlText(c.Before), yamlText(c.After)
	if b, a, ok := bothTexts(c.Before, c.After); ok {
		before, after = b, a
	}
	if before == after {
		t.lines("~", "33", "another value "+strings.TrimSpace(after)) // that is not shown
		return
	}
	if strings.Count(before, "\n")+strings.Count(after, "\n") < 4 {
		t.lines("-", "31", before)
		t.lines("+", "32", after)
		return
	}
	text := changedLines(before, after)
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "@@"):
			t.line("      %s", paint(t.colour, "2", line))
		case strings.HasPrefix(line, "+"):
			t.lines("+", "32", line[1:])
		case strings.HasPrefix(line, "-"):
			t.lines("-", "31", line[1:])
		case line != "":
			t.line("        %s", line[1:])
		}
	}
}

// bothTexts gives texts of several lines as they are.
func bothTexts(a, b any) (before, after string, ok bool) {
	before, isText := a.(string)
	after, alsoText := b.(string)
	return before, after, isText && alsoText && (strings.Contains(before, "\n") || strings.Contains(after, "\n"))
}

func yamlText(v any) string {
	if s, ok := v.(string); ok && !strings.Contains(s, "\n") {
		return s
	}
	text, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}
