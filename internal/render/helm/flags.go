package helm

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/internal/render/helm/engine"
)

// flags are the flags of helm that davit honours itself.
type flags struct {
	values, set, setString, setFile, setJSON, setLiteral []string

	includeCRDs, noHooks, skipTests, skipSchema, upgrade, dns bool
	kubeVersion                                               string
	apiVersions                                               []string

	version, repo, username, password, caFile, certFile, keyFile string
	devel, insecure, plainHTTP, passCredentials                  bool
	repositories                                                 string
	postRenderer                                                 string
	postRendererArgs                                             []string

	subNotes, resetValues, reuseValues, resetThenReuse bool
}

// foreignError is a flag that only the helm command itself can honour.
type foreignError struct{ cause string }

func (e *foreignError) Error() string { return e.cause }

// parseFlags reads the flags of a release that speak of what it renders to.
func parseFlags(r Release) (flags, error) {
	set := newFlagSet()
	f := addFlags(set)
	withoutEffect(set)
	err := parse(set, r)
	return *f, err
}

// parse reads the flags of a release. As in Skaffold, each item is one argument.
func parse(set *pflag.FlagSet, r Release) error {
	if err := set.Parse(append(slices.Clone(r.Global), r.Flags...)); err != nil {
		if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
			return &foreignError{"davit does not know helm's flag " + strings.TrimPrefix(unknown.Error(), "unknown flag: ")}
		}
		return fmt.Errorf("flags of helm: %w", err)
	}
	if set.NArg() > 0 {
		return fmt.Errorf("flags of helm: %q is not a flag", set.Arg(0))
	}
	return nil
}

func newFlagSet() *pflag.FlagSet {
	set := pflag.NewFlagSet("helm", pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	return set
}

func addFlags(set *pflag.FlagSet) *flags {
	f := &flags{}
	set.StringSliceVarP(&f.values, "values", "f", nil, "")
	set.StringArrayVar(&f.set, "set", nil, "")
	set.StringArrayVar(&f.setString, "set-string", nil, "")
	set.StringArrayVar(&f.setFile, "set-file", nil, "")
	set.StringArrayVar(&f.setJSON, "set-json", nil, "")
	set.StringArrayVar(&f.setLiteral, "set-literal", nil, "")
	set.BoolVar(&f.includeCRDs, "include-crds", false, "")
	set.BoolVar(&f.noHooks, "no-hooks", false, "")
	set.BoolVar(&f.skipTests, "skip-tests", false, "")
	set.BoolVar(&f.skipSchema, "skip-schema-validation", false, "")
	set.BoolVar(&f.upgrade, "is-upgrade", false, "")
	set.BoolVar(&f.dns, "enable-dns", false, "")
	set.StringVar(&f.kubeVersion, "kube-version", "", "")
	set.StringSliceVarP(&f.apiVersions, "api-versions", "a", nil, "")
	set.StringVar(&f.version, "version", "", "")
	set.StringVar(&f.repo, "repo", "", "")
	set.StringVar(&f.username, "username", "", "")
	set.StringVar(&f.password, "password", "", "")
	set.StringVar(&f.caFile, "ca-file", "", "")
	set.StringVar(&f.certFile, "cert-file", "", "")
	set.StringVar(&f.keyFile, "key-file", "", "")
	set.BoolVar(&f.devel, "devel", false, "")
	set.BoolVar(&f.insecure, "insecure-skip-tls-verify", false, "")
	set.BoolVar(&f.plainHTTP, "plain-http", false, "")
	set.BoolVar(&f.passCredentials, "pass-credentials", false, "")
	set.StringVar(&f.repositories, "repository-config", "", "")
	set.StringVar(&f.postRenderer, "post-renderer", "", "")
	set.StringArrayVar(&f.postRendererArgs, "post-renderer-args", nil, "")
	set.BoolVar(&f.subNotes, "render-subchart-notes", false, "")
	set.BoolVar(&f.resetValues, "reset-values", false, "")
	set.BoolVar(&f.reuseValues, "reuse-values", false, "")
	set.BoolVar(&f.resetThenReuse, "reset-then-reuse-values", false, "")
	return f
}

// withoutEffect adds the flags that change nothing about what a chart renders to: they speak of the installation, of the cluster, or of
// what is printed.
func withoutEffect(set *pflag.FlagSet) {
	for name := range strings.FieldsSeq(`atomic cleanup-on-fail create-namespace debug dependency-update disable-openapi-validation
		force force-conflicts force-replace hide-notes hide-secret install kube-insecure-skip-tls-verify replace rollback-on-failure
		skip-crds skip-refresh take-ownership wait-for-jobs`) {
		set.Bool(name, false, "")
	}
	for name := range strings.FieldsSeq(`burst-limit color description history-max kube-apiserver kube-as-user kube-ca-file kube-context
		kube-tls-server-name kube-token kubeconfig labels qps registry-config repository-cache server-side timeout wait`) {
		set.String(name, "", "")
	}
	set.Lookup("wait").NoOptDefVal = "true"
	set.Lookup("server-side").NoOptDefVal = "true"
	set.StringP("namespace", "n", "", "") // the release's namespace counts
	set.StringArray("kube-as-group", nil, "")
}

// capabilities are those of the cluster, or of none, with what the flags change.
func (f flags) capabilities(given *engine.Capabilities) (*engine.Capabilities, error) {
	if given == nil {
		given = engine.DefaultCapabilities()
	}
	c := *given
	if f.kubeVersion != "" {
		var err error
		if c.KubeVersion, err = engine.ParseKubeVersion(f.kubeVersion); err != nil {
			return nil, fmt.Errorf("--kube-version: %w", err)
		}
	}
	c.APIVersions = append(slices.Clone(c.APIVersions), f.apiVersions...)
	return &c, nil
}
