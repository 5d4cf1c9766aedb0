package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/internal/config"
)

// ApplyOptions is what the command line says of how objects are applied.
type ApplyOptions struct {
	Prune            bool
	NoForceConflicts bool
	NoValidation     bool
}

func (o ApplyOptions) applying() Applying {
	a := Applying{Prune: o.Prune, NoForceConflicts: o.NoForceConflicts}
	if o.NoValidation {
		a.Validation = "Ignore"
	}
	return a
}

// Applying says how the objects of a config are applied and deleted: the command line, and deploy.kubectl.flags as davit carries them out.
type Applying struct {
	Prune            bool
	NoForceConflicts bool
	Validation       string // "Strict", "Warn" or "Ignore", as the API server names it; empty: Strict
	Manager          string // field manager; empty: davit
	Replaced         Deletion
	Deleted          Deletion
	ByKubectl        *ByKubectl // nil: davit does it all
	Notes            []string   // what was passed over, for people
}

// Deletion says how objects are deleted.
type Deletion struct {
	Cascade string        // "background", "foreground" or "orphan"; empty: as davit does it by itself
	Grace   *int64        // seconds
	Timeout time.Duration // zero: davit's own
	NoWait  bool
}

// ByKubectl says that the kubectl command does a part, because a flag asks for what only that knows.
type ByKubectl struct {
	Apply, Delete []string // what stands after `kubectl`, less "-f -"; nil: davit does it
	Missing       error    // what is wrong when there is no kubectl command
}

// kubectlFlags reads flags as kubectl takes them.
type kubectlFlags struct {
	*pflag.FlagSet
	config                                *config.Config
	command                               string // "apply" or "delete"
	global, own                           []string
	missing                               error // there is a flag that only the kubectl command knows: what is wrong when there is none
	namespace, validate, manager, cascade string
	force, forceConflicts, serverSide     bool
	prune, all, now                       bool
	wait, overwrite, ignoreNotFound       bool
	grace                                 int64
	timeout                               time.Duration
}

// passedOver are flags about how kubectl talks, caches or writes its own log.
var passedOver = map[string]string{
	"v": "v", "vmodule": "", "log-flush-frequency": "", "cache-dir": "", "disable-compression": "", "profile": "", "profile-output": "",
	"output": "o", "show-managed-fields": "", "template": "", "allow-missing-template-keys": "", "openapi-patch": "",
}

// elsewhere are flags that say which cluster: davit asks that of its own flags and the config.
var elsewhere = map[string]string{"context": "", "kubeconfig": "", "cluster": "", "server": "s"}

func newKubectlFlags(c *config.Config, command string, global, own []string) *kubectlFlags {
	k := &kubectlFlags{FlagSet: pflag.NewFlagSet("kubectl", pflag.ContinueOnError), config: c, command: command, global: global, own: own}
	k.SetOutput(discard{})
	k.StringVarP(&k.namespace, "namespace", "n", "", "")
	k.StringVar(&k.validate, "validate", "strict", "")
	k.StringVar(&k.manager, "field-manager", "", "")
	k.StringVar(&k.cascade, "cascade", "background", "")
	k.BoolVar(&k.force, "force", false, "")
	k.BoolVar(&k.forceConflicts, "force-conflicts", false, "")
	k.BoolVar(&k.serverSide, "server-side", false, "")
	k.BoolVar(&k.prune, "prune", false, "")
	k.BoolVar(&k.all, "all", false, "")
	k.BoolVar(&k.now, "now", false, "")
	k.BoolVar(&k.wait, "wait", true, "")
	k.BoolVar(&k.overwrite, "overwrite", true, "")
	k.BoolVar(&k.ignoreNotFound, "ignore-not-found", true, "")
	k.Int64Var(&k.grace, "grace-period", -1, "")
	k.DurationVar(&k.timeout, "timeout", 0, "")
	k.Lookup("validate").NoOptDefVal, k.Lookup("cascade").NoOptDefVal = "strict", "background"
	for _, others := range []map[string]string{passedOver, elsewhere} {
		for name, short := range others {
			k.StringP(name, short, "", "")
		}
	}
	for _, name := range []string{"disable-compression", "show-managed-fields", "allow-missing-template-keys", "openapi-patch"} {
		k.Lookup(name).NoOptDefVal = "true"
	}
	return k
}

// discard keeps pflag from printing.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// applying reads deploy.kubectl.flags. A flag that davit does not know by its meaning leaves that part to the kubectl command.
func (d *Deployment) applying(c *config.Config, o Options) error {
	d.Applying = o.applying()
	if c.Model.Deploy.Kubectl == nil {
		return nil
	}
	flags := c.Model.Deploy.Kubectl.Flags
	if flags.DisableValidation {
		d.Validation = "Ignore"
	}
	apply, deletion := newKubectlFlags(c, "apply", flags.Global, flags.Apply), newKubectlFlags(c, "delete", flags.Global, flags.Delete)
	if err := errors.Join(apply.read("now", "ignore-not-found"),
		deletion.read("force-conflicts", "server-side", "prune", "overwrite", "validate", "field-manager", "all")); err != nil {
		return err
	}
	if d.Namespace == "" {
		d.Namespace = cmp.Or(apply.namespace, deletion.namespace)
	}
	for name := range passedOver {
		if apply.Changed(name) || deletion.Changed(name) {
			d.Notes = append(d.Notes, fmt.Sprintf("--%s in deploy.kubectl.flags has no effect: davit applies by itself", name))
		}
	}
	slices.Sort(d.Notes)
	if apply.missing != nil || deletion.missing != nil {
		d.ByKubectl = &ByKubectl{Missing: cmp.Or(apply.missing, deletion.missing)}
	}
	var errs [2]error
	if apply.missing == nil {
		errs[0] = d.applied(apply)
	} else {
		d.ByKubectl.Apply = slices.Concat([]string{"apply"}, flags.Global, flags.Apply)
		if o.Force {
			d.ByKubectl.Apply = append(d.ByKubectl.Apply, "--force", "--grace-period=0")
		}
		if flags.DisableValidation {
			d.ByKubectl.Apply = append(d.ByKubectl.Apply, "--validate=false")
		}
	}
	if deletion.missing == nil {
		d.Deleted, errs[1] = deletion.deletion()
	} else {
		d.ByKubectl.Delete = slices.Concat([]string{"delete"}, flags.Global, flags.Delete, []string{"--ignore-not-found=true", "--wait=false"})
	}
	return errors.Join(errs[:]...)
}

// applied takes over what flags of `kubectl apply` say.
func (d *Deployment) applied(k *kubectlFlags) (err error) {
	d.Force = d.Force || k.force
	d.Prune = d.Prune || k.prune
	d.Manager = k.manager
	// By server-side apply, kubectl takes nothing from other managers unless it is told to.
	d.NoForceConflicts = d.NoForceConflicts || k.serverSide && !k.forceConflicts
	if k.Changed("validate") && d.Validation == "" {
		known := map[string]string{"true": "Strict", "strict": "Strict", "warn": "Warn", "false": "Ignore", "ignore": "Ignore"}
		if d.Validation = known[k.validate]; d.Validation == "" {
			return k.fail("validate", fmt.Sprintf("--validate=%s is not known", k.validate), "use strict, warn or ignore")
		}
	}
	d.Replaced, err = k.deletion()
	return err
}

func (k *kubectlFlags) deletion() (Deletion, error) {
	d := Deletion{Timeout: k.timeout, NoWait: !k.wait}
	if k.Changed("cascade") {
		d.Cascade = cmp.Or(map[string]string{"true": "background", "false": "orphan"}[k.cascade], k.cascade)
		if !slices.Contains([]string{"background", "foreground", "orphan"}, d.Cascade) {
			return d, k.fail("cascade", fmt.Sprintf("--cascade=%s is not known", k.cascade), "use background, foreground or orphan")
		}
	}
	now := int64(1)
	switch {
	case k.now:
		d.Grace = &now
	case k.grace >= 0:
		d.Grace = &k.grace
	case k.force && k.command == "delete":
		d.Grace = new(int64)
	}
	return d, nil
}

// read reads the flags. others are those of davit's table that this command of kubectl does not have.
func (k *kubectlFlags) read(others ...string) error {
	foreign := func(flag string) {
		k.missing = k.fail(strings.TrimLeft(flag, "-"), flag+" is a flag that only the kubectl command knows, and there is none here", "install kubectl, or leave the flag out")
	}
	err := k.Parse(slices.Concat(k.global, k.own))
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		foreign("-" + unknown.GetSpecifiedName())
		return nil
	case errors.As(err, &unknown):
		foreign("--" + unknown.GetSpecifiedName())
		return nil
	case err != nil:
		return k.fail("", "the flags cannot be understood: "+err.Error(), "write them as kubectl "+k.command+" takes them")
	case k.NArg() > 0:
		foreign(k.Arg(0))
		return nil
	}
	for name := range elsewhere {
		if k.Changed(name) {
			return k.fail(name, fmt.Sprintf("--%s cannot be set here, as everything that davit does goes to one cluster", name),
				"use --kube-context or --kubeconfig, or deploy.kubeContext in the config")
		}
	}
	for _, name := range others {
		if k.Changed(name) {
			foreign("--" + name)
		}
	}
	switch {
	case !k.overwrite:
		foreign("--overwrite")
	case k.all && !k.prune:
		foreign("--all")
	case !k.ignoreNotFound:
		foreign("--ignore-not-found")
	}
	return nil
}

// fail makes an error that points at a flag in the config.
func (k *kubectlFlags) fail(name, cause, next string) error {
	for list, all := range map[string][]string{"global": k.global, k.command: k.own} {
		for i, text := range all {
			flag, _, _ := strings.Cut(strings.TrimLeft(text, "-"), "=")
			if name != "" && (flag == name || len(name) == 1 && strings.HasPrefix(text, "-"+name)) {
				return k.config.Error(cause, next, "deploy", "kubectl", "flags", list, i)
			}
		}
	}
	return k.config.Error(cause, next, "deploy", "kubectl", "flags", k.command)
}
