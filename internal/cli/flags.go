package cli

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/config/global"
	"github.com/davit-dev/davit/internal/image"
	"github.com/davit-dev/davit/internal/plan"
)

// common are the flags of all commands.
type common struct {
	verbosity   string
	color       int
	forceColors bool
	timestamps  bool
}

func (c *common) addTo(f *pflag.FlagSet) {
	f.StringVarP(&c.verbosity, "verbosity", "v", "warn", "how much to say: debug, info, warn, error, fatal or panic")
	f.IntVar(&c.color, "color", 34, "ANSI code of the colour for headings: 31 to 37, 91 to 95, or 0 for none")
	f.BoolVar(&c.forceColors, "force-colors", false, "colours even where the output is no terminal")
	f.BoolVar(&c.timestamps, "timestamps", false, "begin each line with the time")
	f.Lookup("force-colors").Hidden = true
	without(f, "interactive", "update-check", "assume-yes")
}

// without accepts flags of Skaffold that are about what davit does not have at all: prompts, update checks, the clean-up after the dev loop.
// Scripts that give them go on working.
func without(f *pflag.FlagSet, names ...string) {
	for _, name := range names {
		f.String(name, "", "no effect: davit has nothing for it to change")
		f.Lookup(name).NoOptDefVal = "true"
		f.Lookup(name).Hidden = true
	}
}

// notYet takes flags of Skaffold that davit does not carry out, with the values that ask for nothing; others are refused.
func notYet(f *pflag.FlagSet, names ...string) {
	for _, name := range names {
		f.Var(refused{}, name, "not carried out yet")
		f.Lookup(name).NoOptDefVal = "true"
		f.Lookup(name).Hidden = true
	}
}

// refused is the value of a flag that may only be switched off.
type refused struct{}

func (refused) String() string { return "" }
func (refused) Type() string   { return "string" }

func (refused) Set(value string) error {
	if slices.Contains([]string{"", "false", "off", "none"}, value) {
		return nil
	}
	return errors.New("davit does not carry this out yet: leave it out, or use skaffold for it")
}

// configFlags say which config is read, and how.
type configFlags struct {
	file              string
	profiles          []string
	modules           []string
	autoActivation    bool
	propagateProfiles bool
	kubeContext       string
	kubeconfig        string
	namespace         string
	defaultRepo       string
	defaultRepoGiven  func() bool
	remoteCacheDir    string
	syncRemoteCache   string
	settings          string
	minikubeProfile   string
	detectMinikube    bool
}

func (c *configFlags) addTo(f *pflag.FlagSet) {
	f.StringVarP(&c.file, "filename", "f", "", `path or URL of the config, "-" for standard input (default "skaffold.yaml")`)
	f.StringSliceVarP(&c.profiles, "profile", "p", nil, "profiles to activate; a leading - turns one off")
	f.StringSliceVarP(&c.modules, "module", "m", nil, "only the configs of these names and what they require")
	f.BoolVar(&c.autoActivation, "profile-auto-activation", true, "activate profiles by their conditions")
	f.BoolVar(&c.propagateProfiles, "propagate-profiles", true, "activate -p profiles in required configs too")
	f.StringVar(&c.kubeContext, "kube-context", "", "the kubeconfig's context to use")
	f.StringVar(&c.kubeconfig, "kubeconfig", "", "the kubeconfig file")
	f.StringVar(&c.remoteCacheDir, "remote-cache-dir", "", "where configs from elsewhere are kept (default ~/.skaffold/remote-cache)")
	f.StringVar(&c.syncRemoteCache, "sync-remote-cache", "always", "fetch configs from elsewhere: always, missing or never")
	f.StringVarP(&c.settings, "config", "c", "", "file of your own settings (default ~/.skaffold/config)")
	f.StringVar(&c.minikubeProfile, "minikube-profile", "", "the cluster is minikube's of this profile")
	f.BoolVar(&c.detectMinikube, "detect-minikube", true, "find out whether the cluster is minikube's")
	f.StringVarP(&c.namespace, "namespace", "n", "", "namespace of what names none")
	f.StringVarP(&c.defaultRepo, "default-repo", "d", "", "registry and path for images; empty for none (default: that of your settings, else the registry that the cluster advertises)")
	c.defaultRepoGiven = func() bool { return f.Changed("default-repo") }
}

// settingsPath is the file of the user's own settings.
func (c *configFlags) settingsPath(w World) string {
	if c.settings != "" {
		return c.settings
	}
	return global.Path(w.Home)
}

// buildFlags say how images are built.
type buildFlags struct {
	images       []string
	tag          string
	insecure     []string
	platforms    []string
	cache        bool
	cacheFile    string
	push         bool
	pushGiven    func() bool
	builder      string
	checkNodes   bool
	onePlatform  bool
	digestSource string
	concurrency  int
	skipTests    bool
	provenance   string
	sbom         string
}

// addTo adds the flags; checkNodes is whether the command looks at the cluster's nodes when it is not told.
func (b *buildFlags) addTo(f *pflag.FlagSet, checkNodes bool) {
	f.StringSliceVarP(&b.images, "build-image", "b", nil, "only artifacts whose name has this in it")
	f.StringVarP(&b.tag, "tag", "t", "", "the tag for all images, in place of the config's policy")
	f.StringSliceVar(&b.insecure, "insecure-registry", nil, "registries to talk to in plain HTTP, beside those on this machine")
	f.StringSliceVar(&b.platforms, "platform", nil, "platforms to build for, such as linux/amd64")
	f.BoolVar(&b.cache, "cache-artifacts", true, "reuse images that were built of the same inputs")
	addCacheFile(f, &b.cacheFile)
	f.BoolVar(&b.push, "push", true, "push images to the registry")
	f.StringVar(&b.builder, "builder", "", "where to build: docker, davit, the address of a buildkitd, or kubernetes://NAMESPACE?replicas=N for BuildKits in the cluster (default $BUILDKIT_HOST, else the Docker Engine, else the BuildKit in davit)")
	f.StringVar(&b.builder, "buildkit-host", "", "another name of --builder")
	f.Lookup("buildkit-host").Hidden = true
	f.BoolVar(&b.checkNodes, "check-cluster-node-platforms", checkNodes, "build for the platforms of the cluster's nodes")
	f.BoolVar(&b.onePlatform, "disable-multi-platform-build", false, "build for one platform only, where several are asked for")
	f.IntVar(&b.concurrency, "build-concurrency", -1, "artifacts to build at a time; 0 for all at once (default: as the config says, else what this machine bears)")
	f.BoolVar(&b.skipTests, "skip-tests", false, "do not run the tests of images")
	f.StringVar(&b.provenance, "provenance", "", "attach how an image was built to what is pushed: true, or BuildKit's settings such as mode=max")
	f.StringVar(&b.sbom, "sbom", "", "attach the list of an image's packages (SPDX) to what is pushed: true, or BuildKit's settings")
	f.Lookup("provenance").NoOptDefVal = "true"
	f.Lookup("sbom").NoOptDefVal = "true"
	f.Lookup("push").NoOptDefVal = "true"
	b.pushGiven = func() bool { return f.Changed("push") }
}

// addDigestSource adds the flag of commands that build and deploy.
func (b *buildFlags) addDigestSource(f *pflag.FlagSet) {
	f.StringVar(&b.digestSource, "digest-source", "", "none builds nothing and takes the images of the manifests as they are; remote, local and tag change nothing, as images are always pinned to what was built")
}

// attestations are what shall be attached to pushed images.
func (b *buildFlags) attestations() ([]build.Attestation, error) {
	var wanted []build.Attestation
	for _, flag := range []struct{ kind, text string }{{"provenance", b.provenance}, {"sbom", b.sbom}} {
		if flag.text == "" || flag.text == "false" {
			continue
		}
		a := build.Attestation{Kind: flag.kind, Attrs: map[string]string{}}
		for setting := range strings.SplitSeq(flag.text, ",") {
			name, value, ok := strings.Cut(setting, "=")
			switch {
			case ok && name != "":
				a.Attrs[name] = value
			case setting != "true":
				return nil, usageError{fmt.Errorf("--%s %s: want true, false or settings of the form name=value", flag.kind, flag.text)}
			}
		}
		wanted = append(wanted, a)
	}
	return wanted, nil
}

// deployFlags say how objects reach the cluster.
type deployFlags struct {
	rules            string
	labels           []string
	force            bool
	statusCheck      bool
	statusCheckGiven func() bool
	tolerate         bool
	cloudRun         plan.CloudRunOptions
	hydrationDir     string
	apply            applyFlags
	rolloutFlags
}

func (d *deployFlags) addTo(f *pflag.FlagSet) {
	d.apply.addTo(f)
	d.rolloutFlags.addTo(f)
	f.StringSliceVarP(&d.labels, "label", "l", nil, "label to set on deployed objects, name=value")
	f.BoolVar(&d.force, "force", false, "replace objects whose change the server refuses; may mean downtime")
	f.BoolVar(&d.statusCheck, "status-check", true, "wait until what was deployed is rolled out")
	f.BoolVar(&d.tolerate, "tolerate-failures-until-deadline", false, "let failures of pods pass until the deadline")
	f.Lookup("status-check").NoOptDefVal = "true"
	f.StringVar(&d.rules, "resource-selector-rules-file", "", "file that says where kinds hold images and labels, as resourceSelector does; it has the last word")
	f.StringVar(&d.hydrationDir, "hydration-dir", plan.DefaultHydrationDir, "folder for the manifests that kpt deploys")
	addCloudRun(f, &d.cloudRun)
	d.statusCheckGiven = func() bool { return f.Changed("status-check") }
}

// options turns flags into what planning takes.
func options(mode string, c *configFlags, b *buildFlags, d *deployFlags) (plan.Options, error) {
	o := plan.Options{Mode: mode, Namespace: c.namespace, Repo: image.DefaultRepo{Repo: strings.TrimRight(c.defaultRepo, "/")}}
	if b != nil {
		o.Images, o.Tag, o.Insecure, o.Builder = b.images, b.tag, b.insecure, b.builder
		o.Platforms = plan.PlatformFacts{Flag: b.platforms, Host: "linux/" + runtime.GOARCH, OneOnly: b.onePlatform}
		if b.pushGiven() {
			o.Push = &b.push
		}
		source, err := plan.ParseDigestSource(b.digestSource, false)
		if err != nil {
			return o, usageError{err}
		}
		o.NoBuild = source == plan.DigestNone
		if o.Attest, err = b.attestations(); err != nil {
			return o, err
		}
	}
	if d == nil {
		return o, nil
	}
	o.Force, o.Tolerate, o.ApplyOptions = d.force, d.tolerate, d.apply.options()
	if err := d.set(&o); err != nil {
		return o, err
	}
	o.CloudRun, o.HydrationDir = d.cloudRun, d.hydrationDir
	if d.statusCheckGiven() {
		o.StatusCheck = &d.statusCheck
	}
	o.Labels = map[string]string{}
	for _, l := range d.labels {
		name, value, ok := strings.Cut(l, "=")
		if !ok || name == "" {
			return o, usageError{fmt.Errorf("label %q is not of the form name=value", l)}
		}
		o.Labels[name] = value
	}
	return o, nil
}
