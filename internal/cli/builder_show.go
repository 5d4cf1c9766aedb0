package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/docker/go-units"

	"github.com/davit-dev/davit/internal/build/buildkit"
)

func (o *builderOptions) runList(ctx context.Context) error {
	sink, err := o.sink()
	if err != nil {
		return err
	}
	places, err := o.places(ctx, sink)
	if err != nil {
		return err
	}
	current, err := o.current(ctx)
	if err != nil {
		current = "" // none can build, and the list says why of each
	}
	var running []*builderPlace
	for _, p := range places {
		p.Current = p.Name == current || strings.HasPrefix(current, p.Name+"?")
		if p.State != stateStopped {
			running = append(running, p)
		}
	}
	ask(ctx, running)
	if o.output == "json" {
		return json.NewEncoder(o.world.Stdout).Encode(places)
	}
	return listPlaces(o.world.Stdout, places)
}

func listPlaces(out io.Writer, places []*builderPlace) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "BUILDER\tKIND\tSTATE\tVERSION\tPLATFORMS")
	for _, p := range places {
		name := p.Name
		if p.Current {
			name += " *"
		}
		version, platforms := p.version()
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name, p.Kind, p.State, version, strings.Join(platforms, ", "))
	}
	return w.Flush()
}

// version is that of the first BuildKit that said something, and the platforms that it builds for.
func (p *builderPlace) version() (version string, platforms []string) {
	for _, m := range p.Members {
		if m.State != nil && len(m.Workers) > 0 {
			return first(m.Version), m.Workers[0].Platforms
		}
	}
	return "", nil
}

// first is the first word: the BuildKit inside davit says more than its version.
func first(text string) string {
	word, _, _ := strings.Cut(text, " ")
	return word
}

func (o *builderOptions) runInspect(ctx context.Context, args []string) error {
	sink, err := o.sink()
	if err != nil {
		return err
	}
	place, err := o.find(ctx, args, sink)
	if err != nil {
		return err
	}
	if current, err := o.current(ctx); err == nil {
		place.Current = place.Name == current || strings.HasPrefix(current, place.Name+"?")
	}
	ask(ctx, []*builderPlace{place})
	if o.output == "json" {
		return json.NewEncoder(o.world.Stdout).Encode(place)
	}
	fmt.Fprintf(o.world.Stdout, "Builder:  %s\nKind:     %s\nState:    %s\n", place.Name, place.Kind, place.State)
	if place.About != "" {
		fmt.Fprintf(o.world.Stdout, "About:    %s\n", place.About)
	}
	for _, m := range place.Members {
		m.show(o.world.Stdout)
	}
	if place.Error != "" {
		return fmt.Errorf("%s: %s", place.Name, place.Error)
	}
	return nil
}

func (m *builderMember) show(out io.Writer) {
	if m.Name != "" {
		fmt.Fprintf(out, "\n%s on the node %s\n", m.Name, cmp.Or(m.Node, "(none yet)"))
	}
	if m.State == nil {
		if m.Name != "" {
			fmt.Fprintf(out, "  %s\n", m.Error)
		}
		return
	}
	fmt.Fprintf(out, "  Version:    %s\n", cmp.Or(first(m.Version), "(it does not say)"))
	fmt.Fprintf(out, "  Cache:      %s in %s, of which %s can be freed\n", size(m.Cache.Bytes), records(m.Cache.Records), size(m.Cache.Free))
	for _, w := range m.Workers {
		fmt.Fprintf(out, "  Worker:     %s\n    Platforms:  %s\n", w.ID, strings.Join(w.Platforms, ", "))
		for i, rule := range w.GC {
			fmt.Fprintf(out, "    Clean-up %d: %s\n", i+1, ruleText(rule))
		}
	}
}

// ruleText is a rule of the clean-up in words.
func ruleText(r buildkit.GCRule) string {
	what := "all but what BuildKit keeps for itself"
	if r.All {
		what = "all"
	}
	if len(r.Filters) > 0 {
		what = strings.ReplaceAll(strings.Join(r.Filters, ", "), "type==", "")
	}
	var bounds []string
	if r.KeepFor > 0 {
		bounds = append(bounds, "unused for "+units.HumanDuration(r.KeepFor))
	}
	for _, b := range []struct {
		words string
		bytes int64
	}{{"beyond ", r.MaxUsed}, {"when less is free than ", r.MinFree}, {"but never below ", r.Reserved}} {
		if b.bytes > 0 {
			bounds = append(bounds, b.words+size(b.bytes))
		}
	}
	return strings.Join(append([]string{what}, bounds...), ", ")
}
