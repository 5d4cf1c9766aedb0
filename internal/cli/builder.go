package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/internal/build/buildkit"
	"github.com/davit-dev/davit/internal/build/carried"
	"github.com/davit-dev/davit/internal/build/pool"
	"github.com/davit-dev/davit/internal/event"
)

type builderOptions struct {
	world  World
	common *common
	config configFlags
	output string
}

func newBuilder(w World, c *common) *cobra.Command {
	o := &builderOptions{world: w, common: c}
	cmd := &cobra.Command{
		Use:   "builder",
		Short: "Look after the places where images are built",
		Long: `Look after the places where images are built. A builder is named by its address, as --builder and DAVIT_BUILDER take it
(kubernetes://NAMESPACE for a pool in the cluster, unix:///run/buildkit/buildkitd.sock and the like for a buildkitd), or
it is "docker", the Docker Engine, or "davit", the BuildKit inside davit.`,
		Example: `  davit builder ls
  davit builder inspect kubernetes://builders
  davit builder prune davit --keep-storage 5GB --older-than 48h --dry-run
  davit builder rm kubernetes://builders`,
	}
	f := cmd.PersistentFlags()
	f.StringVar(&o.config.kubeContext, "kube-context", "", "the kubeconfig's context to use")
	f.StringVar(&o.config.kubeconfig, "kubeconfig", "", "the kubeconfig file")
	f.StringVarP(&o.config.namespace, "namespace", "n", "", "namespace of pools whose address names none, and the one to look in for those who may not look in all")
	cmd.AddCommand(o.list(), o.inspect(), o.prune(), o.remove())
	return cmd
}

func (o *builderOptions) outputFlag(f *pflag.FlagSet) {
	f.StringVarP(&o.output, "output", "o", "text", "form of the answer: text or json")
}

func (o *builderOptions) check() error {
	if o.output != "text" && o.output != "json" {
		return usageError{fmt.Errorf("--output %s: want text or json", o.output)}
	}
	return nil
}

func (o *builderOptions) list() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List the builders that there are, and what they say of themselves", Args: noArgs,
		Example: `  davit builder ls
  davit builder ls -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return o.runList(cmd.Context())
		},
	}
	o.outputFlag(cmd.Flags())
	return cmd
}

func (o *builderOptions) inspect() *cobra.Command {
	cmd := &cobra.Command{
		Use: "inspect [BUILDER]", Short: "Show workers, cache and clean-up rules of a builder", Args: atMostOne,
		Long: "Show workers, cache and clean-up rules of a builder: of the one that would build now, if none is named.",
		Example: `  davit builder inspect
  davit builder inspect docker
  davit builder inspect kubernetes://builders -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return o.runInspect(cmd.Context(), args)
		},
	}
	o.outputFlag(cmd.Flags())
	return cmd
}

func (o *builderOptions) prune() *cobra.Command {
	var keep string
	var p buildkit.PruneOptions
	cmd := &cobra.Command{
		Use: "prune [BUILDER]", Short: "Free build cache of a builder", Args: atMostOne,
		Long: "Free build cache of a builder: of the one that would build now, if none is named. What a build is using stays.",
		Example: `  davit builder prune
  davit builder prune davit --keep-storage 5GB --older-than 48h
  davit builder prune kubernetes://builders --all --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := o.check(); err != nil {
				return err
			}
			if keep != "" {
				if p.Keep, err = units.FromHumanSize(keep); err != nil {
					return usageError{fmt.Errorf("--keep-storage %s: want a size such as 5GB", keep)}
				}
			}
			return o.runPrune(cmd.Context(), args, p)
		},
	}
	f := cmd.Flags()
	f.StringVar(&keep, "keep-storage", "", "how much cache may stay, such as 5GB; the least recently used goes first")
	f.DurationVar(&p.OlderThan, "older-than", 0, "only cache that was not used for so long, such as 48h")
	f.BoolVarP(&p.All, "all", "a", false, "what BuildKit keeps for itself too, such as pulled frontends")
	f.BoolVar(&p.DryRun, "dry-run", false, "say what would be freed, and free nothing")
	o.outputFlag(f)
	return cmd
}

func (o *builderOptions) remove() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "rm BUILDER", Short: "Remove a pool from the cluster, or stop the BuildKit inside davit", Args: exactArgs(1),
		Long: `Remove a pool from the cluster, with its caches, or stop the BuildKit inside davit, whose cache stays. Cache that a pool has
left in registries stays.`,
		Example: `  davit builder rm kubernetes://builders
  davit builder rm davit`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.runRemove(cmd.Context(), args[0], force) },
	}
	cmd.Flags().BoolVar(&force, "force", false, "stop the BuildKit inside davit even while somebody builds with it")
	return cmd
}

func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usageError{fmt.Errorf("%s: got %d arguments", cmd.UseLine(), len(args))}
	}
	return nil
}

func (o *builderOptions) runRemove(ctx context.Context, name string, force bool) error {
	sink, err := o.common.lines(o.world, false)
	if err != nil {
		return err
	}
	switch {
	case pool.Is(name):
		p, err := o.pool(ctx, name, sink)
		if err != nil {
			return err
		}
		return p.Remove(ctx, sink)
	case name == carriedName:
		stopped, err := carried.Stop(ctx, carriedOptions(o.world), force)
		if err != nil {
			return err
		}
		said := "The BuildKit inside davit is stopped; its cache stays"
		if !stopped {
			said = "The BuildKit inside davit does not run"
		}
		sink.Emit(event.Note{Message: said})
		return nil
	}
	return usageError{fmt.Errorf("%s is not davit's to remove: only pools (kubernetes://NAMESPACE) and %s are", name, carriedName)}
}

func (o *builderOptions) runPrune(ctx context.Context, args []string, p buildkit.PruneOptions) error {
	sink, err := o.sink()
	if err != nil {
		return err
	}
	place, err := o.find(ctx, args, sink)
	if err != nil {
		return err
	}
	if place.Error != "" {
		return fmt.Errorf("%s: %s", place.Name, place.Error)
	}
	type freed struct {
		Builder string `json:"builder"`
		Replica string `json:"replica,omitempty"`
		DryRun  bool   `json:"dryRun"`
		buildkit.Usage
	}
	all := []freed{}
	var errs []error
	for _, m := range place.Members {
		if m.builder == nil {
			sink.Emit(event.Warning{Message: m.Name + " is not ready: its cache stays"})
			continue
		}
		usage, err := m.builder.Prune(ctx, p, o.world.Now())
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", strings.TrimSpace(place.Name+" "+m.Name), err))
			continue
		}
		all = append(all, freed{place.Name, m.Name, p.DryRun, usage})
	}
	if o.output == "json" {
		return errors.Join(append(errs, json.NewEncoder(o.world.Stdout).Encode(all))...)
	}
	for _, f := range all {
		verb := "freed"
		if f.DryRun {
			verb = "would free about"
		}
		fmt.Fprintf(o.world.Stdout, "%s: %s %s in %s\n", strings.TrimSpace(f.Builder+" "+f.Replica), verb, size(f.Bytes), records(f.Records))
	}
	return errors.Join(errs...)
}

func size(bytes int64) string { return units.HumanSize(float64(bytes)) }

func records(n int) string {
	if n == 1 {
		return "1 record"
	}
	return fmt.Sprintf("%d records", n)
}
