package buildkit

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/internal/build"
)

// Flags are what flags of `docker build` and `docker buildx build` ask for, as far as BuildKit's client can serve it.
type Flags struct {
	Dockerfile string // absolute; empty when not named
	Target     string
	Network    string
	BuildArgs  map[string]string
	Labels     map[string]string
	Contexts   map[string]string
	AddHosts   []string
	CacheFrom  []string
	CacheTo    []string
	Secrets    []build.Secret
	NoCache    bool
	Pull       bool
	Squash     bool // BuildKit has none; for the Docker Engine's own builder

	Platforms []string
	Attest    []build.Attestation

	rest []string // flags for which build.Docker has no field

	ssh                   []string
	annotations, frontend map[string]string // attributes of the exporter and of the Dockerfile frontend
	entitlements          []string
}

// ParseFlags reads flags of `docker build`, where paths are relative to dir and variables come from getenv. Unknown are the names of
// those that BuildKit's client cannot serve, such as --isolation: only the docker command knows what to do with them. An error is a flag
// with a value that no docker command would take.
func ParseFlags(flags []string, dir string, getenv func(string) string) (f Flags, unknown []string, err error) {
	if len(flags) == 0 {
		return Flags{}, nil, nil
	}
	r := newFlagReader()
	if unknown = r.unknown(flags); len(unknown) > 0 {
		return Flags{}, unknown, nil
	}
	if err := r.set.Parse(flags); err != nil {
		return Flags{}, nil, fmt.Errorf("flags of docker build: %w", err)
	}
	if r.set.NArg() > 0 {
		return Flags{}, nil, fmt.Errorf("flags of docker build: %q is none; a flag's value is an entry of its own, or follows a =", r.set.Arg(0))
	}
	if f, err = r.flags(dir, getenv); err != nil {
		return Flags{}, nil, fmt.Errorf("flags of docker build: %w", err)
	}
	return f, nil, nil
}

// Apply gives spec what the flags ask for. As on the docker command's line that Skaffold writes, a flag wins over the configuration for
// build arguments, and the configuration wins for target and network. What spec has no field for stays in CLIFlags, where Build finds it.
func (f Flags) Apply(spec build.Docker) build.Docker {
	spec.Dockerfile = cmp.Or(f.Dockerfile, spec.Dockerfile)
	spec.Target = cmp.Or(spec.Target, f.Target)
	spec.Network = cmp.Or(spec.Network, f.Network)
	spec.BuildArgs = joined(spec.BuildArgs, f.BuildArgs)
	spec.Labels = joined(spec.Labels, f.Labels)
	spec.Contexts = joined(spec.Contexts, f.Contexts)
	spec.AddHosts = slices.Concat(spec.AddHosts, f.AddHosts)
	spec.CacheFrom = slices.Concat(spec.CacheFrom, f.CacheFrom)
	spec.CacheTo = slices.Concat(spec.CacheTo, f.CacheTo)
	spec.Secrets = slices.Concat(spec.Secrets, f.Secrets)
	spec.NoCache = spec.NoCache || f.NoCache
	spec.Pull = spec.Pull || f.Pull
	spec.Squash = spec.Squash || f.Squash
	spec.CLIFlags = f.rest
	return spec
}

func joined(a, b map[string]string) map[string]string {
	if len(b) == 0 {
		return a
	}
	out := map[string]string{}
	maps.Copy(out, a)
	maps.Copy(out, b)
	return out
}

// flagReader knows the flags of `docker build` that BuildKit's client can serve.
type flagReader struct {
	set *pflag.FlagSet

	file, target, network, cgroupParent, memory, memorySwap, cpuset, cpusetMems, sbom, provenance string
	cpuShares, cpuPeriod, cpuQuota                                                                int64
	shmSize                                                                                       string
	buildArgs, labels, contexts, hosts, cacheFrom, cacheTo, noCacheFilter                         []string
	platforms, secrets, ssh, ulimits, attest, annotations, allow                                  []string
	noCache, pull, squash                                                                         bool
}

func newFlagReader() *flagReader {
	r := &flagReader{set: pflag.NewFlagSet("docker build", pflag.ContinueOnError)}
	s := r.set
	s.SetOutput(io.Discard)
	s.Usage = func() {}
	s.StringVarP(&r.file, "file", "f", "", "")
	s.StringVar(&r.target, "target", "", "")
	s.StringVar(&r.network, "network", "", "")
	s.StringVar(&r.cgroupParent, "cgroup-parent", "", "")
	s.StringVarP(&r.memory, "memory", "m", "", "")
	s.StringVar(&r.memorySwap, "memory-swap", "", "")
	s.StringVar(&r.cpuset, "cpuset-cpus", "", "")
	s.StringVar(&r.cpusetMems, "cpuset-mems", "", "")
	s.Int64VarP(&r.cpuShares, "cpu-shares", "c", 0, "")
	s.Int64Var(&r.cpuPeriod, "cpu-period", 0, "")
	s.Int64Var(&r.cpuQuota, "cpu-quota", 0, "")
	s.StringVar(&r.shmSize, "shm-size", "", "")
	s.StringVar(&r.sbom, "sbom", "", "")
	s.StringVar(&r.provenance, "provenance", "", "")
	for name, to := range map[string]*[]string{
		"build-arg": &r.buildArgs, "label": &r.labels, "build-context": &r.contexts, "add-host": &r.hosts, "cache-from": &r.cacheFrom,
		"cache-to": &r.cacheTo, "no-cache-filter": &r.noCacheFilter, "platform": &r.platforms, "secret": &r.secrets, "ssh": &r.ssh,
		"ulimit": &r.ulimits, "attest": &r.attest, "annotation": &r.annotations, "allow": &r.allow,
	} {
		s.StringArrayVar(to, name, nil, "")
	}
	s.BoolVar(&r.noCache, "no-cache", false, "")
	s.BoolVar(&r.pull, "pull", false, "")
	s.BoolVar(&r.squash, "squash", false, "")
	for _, name := range noMeaning {
		switch name {
		case "progress":
			s.String(name, "", "")
		case "quiet":
			s.BoolP(name, "q", false, "")
		case "debug":
			s.BoolP(name, "D", false, "")
		default:
			s.Bool(name, false, "")
		}
	}
	for _, name := range []string{"sbom", "provenance"} {
		s.Lookup(name).NoOptDefVal = "true"
	}
	return r
}

// unknown names the flags that r does not know. Once there is one, nobody can say which of the following are values.
func (r *flagReader) unknown(flags []string) []string {
	var out []string
	for i := 0; i < len(flags); i++ {
		name, _, hasValue := strings.Cut(flags[i], "=")
		var known *pflag.Flag
		switch {
		case strings.HasPrefix(name, "--") && len(name) > 2:
			known = r.set.Lookup(name[2:])
		case strings.HasPrefix(name, "-") && len(name) > 1:
			name = name[:2]
			known, hasValue = r.set.ShorthandLookup(name[1:]), len(flags[i]) > 2
		default:
			continue
		}
		switch {
		case known == nil, known.Name == "build-context" && isLayout(flags[i:]):
			out = append(out, name)
		case !hasValue && known.NoOptDefVal == "":
			i++
		}
	}
	return out
}

// isLayout says whether a --build-context names an image in a folder, which takes a store of content that davit has not.
func isLayout(flags []string) bool {
	return strings.Contains(flags[0], "=oci-layout://") || len(flags) > 1 && !strings.Contains(flags[0], "=") && strings.Contains(flags[1], "=oci-layout://")
}

func (r *flagReader) flags(dir string, getenv func(string) string) (Flags, error) {
	f := Flags{
		Target: r.target, Network: r.network, AddHosts: r.hosts, CacheFrom: r.cacheFrom, CacheTo: r.cacheTo,
		NoCache: r.noCache, Pull: r.pull, Squash: r.squash, ssh: r.ssh, entitlements: r.allow,
		BuildArgs: map[string]string{}, Labels: map[string]string{}, Contexts: map[string]string{},
	}
	if r.file != "" {
		f.Dockerfile = within(dir, r.file)
	}
	for _, p := range r.platforms {
		f.Platforms = append(f.Platforms, strings.Split(p, ",")...)
	}
	for _, arg := range r.buildArgs {
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			if value = getenv(name); value == "" {
				continue
			}
		}
		f.BuildArgs[name] = value
	}
	for _, label := range r.labels {
		name, value, _ := strings.Cut(label, "=")
		f.Labels[name] = value
	}
	for _, c := range r.contexts {
		name, from, ok := strings.Cut(c, "=")
		if !ok {
			return f, fmt.Errorf("--build-context %q: want NAME=PLACE", c)
		}
		if !strings.Contains(from, "://") {
			from = within(dir, from)
		}
		f.Contexts[name] = from
	}
	for _, s := range r.secrets {
		secret, err := parseSecret(s, dir)
		if err != nil {
			return f, err
		}
		f.Secrets = append(f.Secrets, secret)
	}
	var err error
	if f.Attest, err = r.attestations(); err != nil {
		return f, err
	}
	if err := r.attributes(&f); err != nil {
		return f, err
	}
	f.rest = r.withoutField()
	return f, nil
}

// attributes are those of the Dockerfile frontend and the exporter.
func (r *flagReader) attributes(f *Flags) error {
	f.frontend, f.annotations = map[string]string{}, map[string]string{}
	for name, text := range map[string]string{"shm-size": r.shmSize, "memory": r.memory, "memswap": r.memorySwap} {
		switch text {
		case "":
		case "-1":
			f.frontend[name] = text
		default:
			bytes, err := units.RAMInBytes(text)
			if err != nil {
				return fmt.Errorf("--%s: %w", strings.Replace(name, "memswap", "memory-swap", 1), err)
			}
			f.frontend[name] = strconv.FormatInt(bytes, 10)
		}
	}
	for name, n := range map[string]int64{"cpushares": r.cpuShares, "cpuperiod": r.cpuPeriod, "cpuquota": r.cpuQuota} {
		if n != 0 {
			f.frontend[name] = strconv.FormatInt(n, 10)
		}
	}
	for _, u := range r.ulimits {
		if _, err := units.ParseUlimit(u); err != nil {
			return fmt.Errorf("--ulimit: %w", err)
		}
	}
	for name, text := range map[string]string{
		"cgroup-parent": r.cgroupParent, "cpusetcpus": r.cpuset, "cpusetmems": r.cpusetMems,
		"ulimit": strings.Join(r.ulimits, ","), "no-cache": strings.Join(r.noCacheFilter, ","),
	} {
		if text != "" {
			f.frontend[name] = text
		}
	}
	for _, a := range r.annotations {
		name, value, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("--annotation %q: want NAME=VALUE", a)
		}
		if where, rest, ok := strings.Cut(name, ":"); ok {
			f.annotations["annotation-"+where+"."+rest] = value
		} else {
			f.annotations["annotation."+name] = value
		}
	}
	return nil
}

// noMeaning are flags whose wish happens anyway or has no meaning for BuildKit. Its docker command takes them silently, too.
var noMeaning = []string{"compress", "debug", "disable-content-trust", "force-rm", "load", "progress", "quiet", "rm"}

// withoutField are the flags that build.Docker has no field for, each in one word.
func (r *flagReader) withoutField() []string {
	var out []string
	fields := []string{"file", "target", "network", "build-arg", "label", "build-context", "add-host", "cache-from", "cache-to", "secret",
		"no-cache", "pull", "squash", "platform", "attest", "sbom", "provenance"}
	r.set.Visit(func(f *pflag.Flag) {
		if slices.Contains(fields, f.Name) || slices.Contains(noMeaning, f.Name) {
			return
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, v := range values {
			out = append(out, "--"+f.Name+"="+v)
		}
	})
	return out
}

// attestations are those of --attest and of its short forms --sbom and --provenance, the last of a kind wins.
func (r *flagReader) attestations() ([]build.Attestation, error) {
	texts := slices.Clone(r.attest)
	for kind, value := range map[string]string{"sbom": r.sbom, "provenance": r.provenance} {
		if r.set.Changed(kind) {
			texts = append(texts, "type="+kind+","+value)
		}
	}
	var out []build.Attestation
	for _, text := range texts {
		a, off, err := ParseAttestation(text)
		if err != nil {
			return nil, err
		}
		out = slices.DeleteFunc(out, func(o build.Attestation) bool { return o.Kind == a.Kind })
		if !off {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b build.Attestation) int { return cmp.Compare(a.Kind, b.Kind) })
	return out, nil
}

// ParseAttestation reads what the docker command's --attest takes: "type=provenance,mode=max", "type=sbom,disabled=true". After the type
// a bare word may follow as in --provenance=true, --provenance=false and --provenance=max.
func ParseAttestation(text string) (a build.Attestation, off bool, err error) {
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return a, false, fmt.Errorf("--attest %q: %w", text, err)
	}
	a.Attrs = map[string]string{}
	for _, field := range fields {
		key, value, ok := strings.Cut(field, "=")
		on, notBool := strconv.ParseBool(key)
		switch {
		case ok && key == "type":
			a.Kind = value
		case ok && key == "disabled":
			if off, err = strconv.ParseBool(value); err != nil {
				return a, false, fmt.Errorf("--attest %q: disabled is true or false", text)
			}
		case ok:
			a.Attrs[key] = value
		case notBool == nil:
			off = !on
		case key == "min" || key == "max":
			a.Attrs["mode"] = key
		case key != "":
			return a, false, fmt.Errorf("--attest %q: want key=value, have %q", text, field)
		}
	}
	if a.Kind != "sbom" && a.Kind != "provenance" {
		return a, false, fmt.Errorf("--attest %q: the type is provenance or sbom", text)
	}
	return a, off, nil
}

// parseSecret reads "id=...,src=...,env=...".
func parseSecret(text, dir string) (build.Secret, error) {
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return build.Secret{}, fmt.Errorf("--secret %q: %w", text, err)
	}
	var s build.Secret
	kind, source := "", ""
	for _, field := range fields {
		key, value, _ := strings.Cut(field, "=")
		switch strings.ToLower(key) {
		case "id":
			s.ID = value
		case "src", "source":
			source = value
		case "env":
			s.Env = value
		case "type":
			kind = value
		default:
			return s, fmt.Errorf("--secret %q: %q is none of id, src, env and type", text, key)
		}
	}
	switch {
	case s.ID == "" && source == "":
		return s, fmt.Errorf("--secret %q: it has no id", text)
	case kind != "" && kind != "file" && kind != "env":
		return s, fmt.Errorf("--secret %q: the type is file or env", text)
	case kind == "env" && s.Env == "":
		s.Env, source = source, ""
	}
	s.ID = cmp.Or(s.ID, filepath.Base(source))
	if source != "" {
		s.Source = within(dir, source)
	}
	return s, nil
}

func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
