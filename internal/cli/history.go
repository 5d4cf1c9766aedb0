package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/deploy/cloudrun"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/pipeline"
	"github.com/davit-dev/davit/internal/plan"
)

type historyOptions struct {
	common *common
	config configFlags
	output string

	cloudRun plan.CloudRunOptions
}

func newHistory(w World, c *common) *cobra.Command {
	o := &historyOptions{common: c}
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List what was deployed before",
		Long: `Lists the deployments that changed something, the newest first: the cluster keeps the last ones of each config beside its inventory. The revisions of
Helm releases and of services of Cloud Run come from Helm's records and from Cloud Run. 'davit rollback' puts one of them back.`,
		Example: `  davit history
  davit history -m shop -n staging -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runHistory(cmd.Context(), w, o) },
	}
	o.config.addTo(cmd.Flags())
	cmd.Flags().StringVarP(&o.output, "output", "o", "", `"json" prints the history for programs`)
	addCloudRun(cmd.Flags(), &o.cloudRun)
	return cmd
}

func runHistory(ctx context.Context, w World, o *historyOptions) error {
	if o.output != "" && o.output != "json" {
		return usageError{fmt.Errorf("--output %s is not known: it is json, or nothing for people", o.output)}
	}
	sink, err := o.common.lines(w, true)
	if err != nil {
		return err
	}
	options, err := options("deploy", &o.config, nil, nil)
	if err != nil {
		return err
	}
	options.CloudRun = o.cloudRun
	s, err := open(ctx, w, sink, &o.config, nil, options, needs{command: "deploy", cluster: true})
	if err != nil {
		return err
	}
	defer s.close()
	deployments, err := plan.Deployments(s.configs, s.project, s.options)
	if err != nil {
		return err
	}
	all, err := s.pipe.History(ctx, deployments)
	if err != nil {
		return err
	}
	if o.output == "json" {
		for i := range all {
			if all[i].Revisions == nil {
				all[i].Revisions = []kube.Revision{}
			}
		}
		return json.NewEncoder(w.Stdout).Encode(all)
	}
	return printHistory(w, all)
}

func printHistory(w World, all []pipeline.SetHistory) error {
	for i, h := range all {
		if i > 0 {
			fmt.Fprintln(w.Stdout)
		}
		if err := printSet(w, h); err != nil {
			return err
		}
	}
	return nil
}

func printSet(w World, h pipeline.SetHistory) error {
	where := ""
	if h.Namespace != "" {
		where = " in namespace " + h.Namespace
	}
	fmt.Fprintf(w.Stdout, "%s%s\n", h.Set, where)
	switch {
	case len(h.Revisions) == 0 && h.Namespace != "":
		fmt.Fprintln(w.Stdout, "  nothing was deployed yet, or its history may not be kept")
	case len(h.Revisions) > 0:
		table := tabwriter.NewWriter(w.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "  REVISION\tTIME\tSTATUS\tCOMMIT\tCHANGED\tIMAGES\tNOTE")
		for _, r := range h.Revisions {
			note := r.Note
			if r.Bare {
				note = strings.TrimPrefix(note+", too large to be put back", ", ")
			}
			fmt.Fprintf(table, "  %d\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Number, r.Run.Local().Format(time.DateTime), r.Status, orDash(r.Commit), orDash(r.Changed),
				orDash(imagesText(r)), note)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return errors.Join(printReleases(w, h.Releases), printServices(w, h.Services))
}

func printReleases(w World, all []pipeline.ReleaseHistory) error {
	for _, r := range all {
		if len(r.Revisions) == 0 {
			fmt.Fprintf(w.Stdout, "  release %s in namespace %s is not installed\n", r.Name, r.Namespace)
			continue
		}
		fmt.Fprintf(w.Stdout, "  release %s in namespace %s\n", r.Name, r.Namespace)
		table := tabwriter.NewWriter(w.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "    REVISION\tTIME\tSTATUS\tCHART\tAPP VERSION\tDEPLOYED BY\tDESCRIPTION")
		for _, v := range r.Revisions {
			by := ""
			if v.By > 0 {
				by = fmt.Sprintf("revision %d", v.By)
			}
			fmt.Fprintf(table, "    %d\t%s\t%s\t%s\t%s\t%s\t%s\n", v.Revision.Revision, v.Deployed.Local().Format(time.DateTime), v.Status, orDash(v.Chart), orDash(v.App),
				orDash(by), strings.ReplaceAll(v.Description, "\n", " "))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func printServices(w World, all []cloudrun.ServiceHistory) error {
	for _, s := range all {
		if len(s.Revisions) == 0 {
			fmt.Fprintf(w.Stdout, "  service %s is not in project %s, %s\n", s.Name, s.Project, s.Region)
			continue
		}
		fmt.Fprintf(w.Stdout, "  service %s in project %s, %s\n", s.Name, s.Project, s.Region)
		table := tabwriter.NewWriter(w.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "    REVISION\tTIME\tSTATUS\tREQUESTS\tNAME\tIMAGES")
		for _, v := range s.Revisions {
			status := "ready"
			if !v.Ready {
				status = "not ready"
			}
			images := make([]string, len(v.Images))
			for i, ref := range v.Images {
				images[i] = shortReference(ref)
			}
			fmt.Fprintf(table, "    %d\t%s\t%s\t%d%%\t%s\t%s\n", v.Number, v.Created.Local().Format(time.DateTime), status, v.Percent, v.Name, strings.Join(images, ", "))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// imagesText names images by their tags: digests are for programs.
func imagesText(r kube.Revision) string {
	var all []string
	for _, i := range r.Images {
		all = append(all, shortReference(i.Reference))
	}
	for _, release := range r.Releases {
		all = append(all, "release "+release.Name+" "+strconv.Itoa(release.Revision))
	}
	return strings.Join(all, ", ")
}

// shortReference is the last part of a name, with its tag.
func shortReference(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	return ref[strings.LastIndexByte(ref, '/')+1:]
}

type rollbackOptions struct {
	common      *common
	report      reportFlags
	config      configFlags
	statusCheck bool
	tolerate    bool
	force       bool
	revisions   int
	cloudRun    plan.CloudRunOptions
}

func newRollback(w World, c *common) *cobra.Command {
	o := &rollbackOptions{common: c}
	cmd := &cobra.Command{
		Use:   "rollback [REVISION]",
		Short: "Put back what was deployed before",
		Long: `Makes the objects and releases of the config what they were in a revision of 'davit history', waits until they are rolled out, and proves what runs. What came
since is taken away. Without a number, it goes back to what was there before the last run, or to the last good deployment where that run failed. Nothing is built,
rendered or fetched, and the config's manifests are not looked at; hooks do not run. Services of Cloud Run, for which the manifests are read, get their requests led to an
earlier revision; what runs in a Docker Engine has none.`,
		Example: `  davit rollback
  davit rollback 7 -m shop -n staging`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			number := 0
			if len(args) > 0 {
				var err error
				if number, err = strconv.Atoi(args[0]); err != nil || number < 1 {
					return usageError{fmt.Errorf("%q is no revision: davit history lists them", args[0])}
				}
			}
			return runRollback(cmd.Context(), w, o, cmd.Flags().Changed("status-check"), number)
		},
	}
	f := cmd.Flags()
	o.config.addTo(f)
	o.report.addTo(f, false)
	f.BoolVar(&o.force, "force", false, "replace objects whose change the server refuses; may mean downtime")
	f.BoolVar(&o.statusCheck, "status-check", true, "wait until what was put back is rolled out")
	f.BoolVar(&o.tolerate, "tolerate-failures-until-deadline", false, "let failures of pods pass until the deadline")
	addCloudRun(f, &o.cloudRun)
	f.IntVar(&o.revisions, "history-limit", 10, "how many deployments to keep; 0 keeps no record of this one")
	return cmd
}

func runRollback(ctx context.Context, w World, o *rollbackOptions, statusCheckGiven bool, number int) (err error) {
	sink, err := o.report.open(w, o.common, false)
	if err != nil {
		return err
	}
	defer func() { sink.Close(err) }()
	options, err := options("deploy", &o.config, nil, &deployFlags{
		force: o.force, tolerate: o.tolerate, statusCheck: o.statusCheck, statusCheckGiven: func() bool { return statusCheckGiven }, cloudRun: o.cloudRun,
	})
	if err != nil {
		return err
	}
	s, err := open(ctx, w, sink, &o.config, nil, options, needs{command: "deploy", cluster: true})
	if err != nil {
		return err
	}
	defer s.close()
	s.deploying(&applyFlags{revisions: o.revisions})
	deployments, err := plan.Deployments(s.configs, s.project, s.options)
	if err != nil {
		return err
	}
	return s.pipe.RollBack(ctx, deployments, number)
}
