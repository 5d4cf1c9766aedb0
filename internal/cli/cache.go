package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/internal/cache"
	"github.com/davit-dev/davit/internal/plan"
)

// newCache is the group of commands about what this machine remembers of builds.
func newCache(w World, c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "See what is remembered of builds, and forget it",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("davit cache has no command %q%s", args[0], suggest(cmd, args[0]))}
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(newCacheLs(w, c), newCacheWhy(w, c), newCachePrune(w, c), newCacheImport(w, c))
	return cmd
}

// cacheFlags are those of all cache commands.
type cacheFlags struct {
	common *common
	output string
	file   string
}

// addCacheFile adds the flag that keeps a cache of its own.
func addCacheFile(f *pflag.FlagSet, file *string) {
	f.StringVar(file, "cache-file", "", "keep what is remembered of builds in the folder FILE.davit (default: one for all projects, in davit's own cache)")
}

// imageCache is the folder of what is remembered of builds; empty where nothing is kept. Skaffold's file of that name, if there is one, is left
// alone: its keys say nothing to davit.
func (w World) imageCache(file string) string {
	if file == "" {
		return w.cacheDir("images")
	}
	return w.path(file) + ".davit"
}

func (c *cacheFlags) addTo(f *pflag.FlagSet) {
	f.StringVarP(&c.output, "output", "o", "", `"json" prints JSON for programs`)
}

// open gives this machine's part of the cache; no registry is asked.
func (c *cacheFlags) open(w World) (*cache.Cache, error) {
	if c.output != "" && c.output != "json" {
		return nil, usageError{fmt.Errorf("--output %s is not known: it is json, or nothing for people", c.output)}
	}
	sink, err := c.common.lines(w, true)
	if err != nil {
		return nil, err
	}
	folder := w.imageCache(c.file)
	if folder == "" {
		return nil, errors.New("there is no folder for the cache: set XDG_CACHE_HOME or HOME, or give one with --cache-file")
	}
	return cache.New(cache.Options{Folder: folder, Now: w.Now, Sink: sink}), nil
}

// cacheEntry is one key, for people and programs.
type cacheEntry struct {
	Key     string       `json:"key"`
	Image   string       `json:"image"`
	When    time.Time    `json:"when"`
	Places  []cachePlace `json:"places,omitempty"`
	ImageID string       `json:"imageId,omitempty"` // in the Docker Engine
	Latest  bool         `json:"latest"`            // it is what the artifact was last made of
}

type cachePlace struct {
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
}

func newCacheLs(w World, c *common) *cobra.Command {
	f := &cacheFlags{common: c}
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the images that this machine remembers, the newest first",
		Example: `  davit cache ls
  davit cache ls --output json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCacheLs(cmd.Context(), w, f) },
	}
	f.addTo(cmd.Flags())
	addCacheFile(cmd.Flags(), &f.file)
	return cmd
}

func runCacheLs(ctx context.Context, w World, f *cacheFlags) error {
	c, err := f.open(w)
	if err != nil {
		return err
	}
	found, err := c.List(ctx)
	if err != nil {
		return err
	}
	lasts, err := c.Lasts(ctx)
	if err != nil {
		return err
	}
	latest := map[string]bool{}
	for _, l := range lasts {
		latest[string(l.Key)] = true
	}
	entries := make([]cacheEntry, 0, len(found))
	for _, e := range found {
		one := cacheEntry{Key: string(e.Key), Image: e.Image, When: e.When, ImageID: e.ImageID, Latest: latest[string(e.Key)]}
		for _, p := range e.Places {
			one.Places = append(one.Places, cachePlace{p.Ref, p.Digest})
		}
		entries = append(entries, one)
	}
	if f.output == "json" {
		return json.NewEncoder(w.Stdout).Encode(struct {
			Entries []cacheEntry `json:"entries"`
		}{entries})
	}
	t := tabwriter.NewWriter(w.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "IMAGE\tKEY\tAGE\tWHERE")
	for _, e := range entries {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", e.Image, e.Key[:min(12, len(e.Key))], units.HumanDuration(w.Now().Sub(e.When)), e.where())
	}
	return t.Flush()
}

// where says in short where an image is.
func (e cacheEntry) where() string {
	var places []string
	for _, p := range e.Places {
		places = append(places, p.Reference)
	}
	if e.ImageID != "" {
		places = append(places, "Docker Engine "+shortID(e.ImageID))
	}
	return strings.Join(places, ", ")
}

func shortID(id string) string {
	const shown = len("sha256:") + 12
	return id[:min(len(id), shown)]
}

type pruneOptions struct {
	cacheFlags
	olderThan string
	dryRun    bool
}

// defaultAge is how old what is pruned is, without --older-than.
const defaultAge = "720h"

func newCachePrune(w World, c *common) *cobra.Command {
	o := &pruneOptions{cacheFlags: cacheFlags{common: c}}
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Forget builds that were of no use for a while",
		Long: `Removes what this machine remembers of builds that no run found in the last month, and what killed processes left behind. Images and their tags in
registries stay: they are left to the registry's own retention.`,
		Example: `  davit cache prune --dry-run
  davit cache prune --older-than 168h`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCachePrune(cmd.Context(), w, o) },
	}
	o.addTo(cmd.Flags())
	addCacheFile(cmd.Flags(), &o.file)
	cmd.Flags().StringVar(&o.olderThan, "older-than", defaultAge, "how long ago it was last of use, such as 168h or 30d; 0 forgets everything")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "say what would be removed, and remove nothing")
	return cmd
}

func runCachePrune(ctx context.Context, w World, o *pruneOptions) error {
	age, err := parseAge(o.olderThan)
	if err != nil {
		return usageError{fmt.Errorf("--older-than %s: %w", o.olderThan, err)}
	}
	c, err := o.open(w)
	if err != nil {
		return err
	}
	pruned, err := c.Prune(ctx, cache.PruneOptions{OlderThan: age, DryRun: o.dryRun})
	if err != nil {
		return err
	}
	if o.output == "json" {
		return json.NewEncoder(w.Stdout).Encode(struct {
			Removed int   `json:"removed"`
			Bytes   int64 `json:"bytes"`
			DryRun  bool  `json:"dryRun"`
		}{pruned.Entries, pruned.Bytes, o.dryRun})
	}
	verb := "Removed"
	if o.dryRun {
		verb = "Would remove"
	}
	_, err = fmt.Fprintf(w.Stdout, "%s %s, %s\n", verb, count(pruned.Entries, "file"), units.HumanSize(float64(pruned.Bytes)))
	return err
}

// parseAge reads a duration, in days too: "30d".
func parseAge(s string) (time.Duration, error) {
	days, isDays := strings.CutSuffix(s, "d")
	unit := 1
	if isDays {
		s, unit = days+"h", 24
	} else if s == "0" {
		s = "0s"
	}
	d, err := time.ParseDuration(s)
	if err == nil && d < 0 {
		err = errors.New("it is before now that counts")
	}
	if err != nil {
		return 0, fmt.Errorf("want a time such as 168h or 30d: %w", err)
	}
	return d * time.Duration(unit), nil
}

type whyOptions struct {
	cacheFlags
	config configFlags
	build  buildFlags
}

func newCacheWhy(w World, c *common) *cobra.Command {
	o := &whyOptions{cacheFlags: cacheFlags{common: c}}
	cmd := &cobra.Command{
		Use:   "why IMAGE",
		Short: "Say whether an image would be built, why, and of how much it is made",
		Example: `  davit cache why web
  davit cache why web --output json`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runCacheWhy(cmd.Context(), w, o, args[0]) },
	}
	o.addTo(cmd.Flags())
	o.config.addTo(cmd.Flags())
	o.build.addTo(cmd.Flags(), true)
	_ = cmd.Flags().MarkHidden("build-image")
	return cmd
}

// why is the answer to `davit cache why`.
type why struct {
	plan.PlannedArtifact
	Last *lastBuild `json:"last,omitempty"`
}

// lastBuild is what the artifact was last made of.
type lastBuild struct {
	Key  string    `json:"key"`
	When time.Time `json:"when"`
}

func runCacheWhy(ctx context.Context, w World, o *whyOptions, image string) error {
	o.file = o.build.cacheFile
	if _, err := o.open(w); err != nil {
		return err
	}
	all, err := o.common.lines(w, true)
	if err != nil {
		return err
	}
	options, err := options("run", &o.config, &o.build, nil)
	if err != nil {
		return err
	}
	s, err := open(ctx, w, onlyWarnings(all), &o.config, &o.build, options, needs{command: "run", nodes: o.build.checkNodes})
	if err != nil {
		return err
	}
	defer s.close()
	artifacts, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	outlook, err := s.pipe.Look(ctx, artifacts, nil)
	if err != nil {
		return err
	}
	var names []string
	for i, a := range artifacts {
		if a.Image == image {
			return o.answer(w, s, a, outlook.Artifacts[i])
		}
		names = append(names, a.Image)
	}
	return fmt.Errorf("there is no artifact %s: the config has %s", image, cmp.Or(strings.Join(names, ", "), "none"))
}

func (o *whyOptions) answer(w World, s *session, a plan.Artifact, planned plan.PlannedArtifact) error {
	answer := why{PlannedArtifact: planned}
	if last, ok := s.pipe.Last(a); ok {
		answer.Last = &lastBuild{Key: string(last.Key), When: last.When}
	}
	if o.output == "json" {
		return json.NewEncoder(w.Stdout).Encode(answer)
	}
	t := planWriter{}
	t.line("%s: %s", a.Image, artifactPhrase(answer.PlannedArtifact))
	t.line("  key %s, of %s and %s", answer.Inputs, count(len(a.Inputs.Files), "file"), count(len(a.Inputs.Fields), "setting"))
	if answer.Last != nil {
		t.line("  last made of %s, %s ago", answer.Last.Key, units.HumanDuration(w.Now().Sub(answer.Last.When)))
	}
	_, err := w.Stdout.Write([]byte(t.String()))
	return err
}
