package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/platforms"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/model"
)

// AllPlatforms is the word for every platform that a builder has.
const AllPlatforms = "all"

// PlatformFacts is what the platforms of images follow from, beside the config.
type PlatformFacts struct {
	Flag    []string // --platform
	Nodes   []string // of the cluster; empty: not asked for, or not known
	Host    string   // taken where only one of several may be built, if it is one of them; "linux/amd64"
	Builder string   // what the builder makes when told nothing, where that is known; may be empty
	OneOnly bool     // --disable-multi-platform-build
}

// Platforms decides for which platforms an artifact is built; none means the builder's own. It follows Skaffold: the flag comes before the
// config's build.platforms; the cluster's nodes narrow that, or say it where nothing else does; the artifact's own platforms narrow it again.
//
// A warning says that no node fits. Errors point into the config: a platform that is not known, an artifact that cannot be built for any platform
// asked for, and a Dockerfile that is to be built for all when nothing says which those are.
func Platforms(c *config.Config, artifact int, f PlatformFacts) (chosen []string, warning string, err error) {
	asked, whence, warning, err := f.asked(c)
	if err != nil {
		return nil, "", err
	}
	a := c.Model.Build.Artifacts[artifact]
	own, err := parsePlatforms(a.Platforms, at(c, "build", "artifacts", artifact, "platforms"))
	if err != nil {
		return nil, "", err
	}
	if len(own) > 0 {
		fitting := narrow(asked, own, samePlatform)
		if len(fitting) == 0 {
			return nil, "", c.Error(fmt.Sprintf("%s is built for %s only, and not for %s, %s", a.Image, strings.Join(own, ", "), strings.Join(asked, ", "), whence),
				"add the platform here, or ask for another with --platform or build.platforms", "build", "artifacts", artifact, "platforms")
		}
		asked = fitting
	}
	switch {
	case len(asked) == 0 && f.Builder != "":
		asked = []string{f.Builder}
	case f.OneOnly && slices.Contains(asked, AllPlatforms):
		asked = []string{f.Host}
	case f.OneOnly && len(asked) > 1:
		asked = []string{cmp.Or(matching(asked, f.Host), asked[0])}
	}
	if _, docker := a.Builder.(*model.Docker); docker && slices.Contains(asked, AllPlatforms) {
		return nil, "", c.Error(fmt.Sprintf("%s is to be built for all platforms, and nothing says which there are", a.Image),
			"name them here, in build.platforms or with --platform", "build", "artifacts", artifact)
	}
	return asked, warning, nil
}

// asked is what the flag, the config and the nodes ask of all artifacts, and which of them says it, for errors.
func (f PlatformFacts) asked(c *config.Config) (asked []string, whence, warning string, err error) {
	whence = "which --platform says"
	asked, err = parsePlatforms(f.Flag, func(i int, cause error) error {
		return fmt.Errorf("--platform %s: %w: use one such as linux/amd64", f.Flag[i], cause)
	})
	if err == nil && len(asked) == 0 {
		whence = "which build.platforms says"
		asked, err = parsePlatforms(c.Model.Build.Platforms, at(c, "build", "platforms"))
	}
	if err != nil || len(f.Nodes) == 0 {
		return asked, whence, "", err
	}
	if len(asked) == 0 {
		whence = "which the cluster's nodes are"
	}
	if fitting := narrow(asked, f.Nodes, sameMachine); len(fitting) > 0 {
		return fitting, whence, "", nil
	}
	warning = fmt.Sprintf("images are built for %s, and the cluster's nodes are %s", strings.Join(asked, ", "), strings.Join(f.Nodes, ", "))
	return asked, whence, warning, nil
}

// at makes the error of an entry of the list at a path.
func at(c *config.Config, path ...any) func(i int, cause error) error {
	return func(i int, cause error) error {
		return c.Error(cause.Error(), "use one such as linux/amd64", append(path, i)...)
	}
}

// matching is the first of some platforms that is a machine's; empty if none is.
func matching(all []string, host string) string {
	if i := slices.IndexFunc(all, func(p string) bool { return sameMachine(p, host) }); i >= 0 {
		return all[i]
	}
	return ""
}

// narrow keeps what two lists have in common, in the words and the order of the first. An empty list, and the word for all, narrow nothing.
func narrow(first, second []string, same func(a, b string) bool) []string {
	switch {
	case len(first) == 0 || slices.Contains(first, AllPlatforms):
		return second
	case slices.Contains(second, AllPlatforms):
		return first
	}
	var common []string
	for _, p := range first {
		if slices.ContainsFunc(second, func(q string) bool { return same(p, q) }) {
			common = append(common, p)
		}
	}
	return common
}

// samePlatform compares normal forms.
func samePlatform(a, b string) bool { return a == b }

// sameMachine compares system and architecture: a node does not tell the variant of its processor.
func sameMachine(a, b string) bool { return machine(a) == machine(b) }

func machine(platform string) string {
	parts := strings.SplitN(platform, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

// parsePlatforms brings platforms to their normal form ("linux/arm64" for "linux/aarch64"), each once. The word for all stands for the whole
// list. wrong makes the error of the entry at an index.
func parsePlatforms(list []string, wrong func(i int, cause error) error) ([]string, error) {
	var all []string
	for i, text := range list {
		if strings.EqualFold(text, AllPlatforms) {
			return []string{AllPlatforms}, nil
		}
		p, err := platforms.Parse(text)
		switch {
		case err != nil:
			return nil, wrong(i, fmt.Errorf("%q is no platform", text))
		case !slices.Contains(knownSystems, p.OS):
			return nil, wrong(i, fmt.Errorf("the operating system %q is not known", p.OS))
		case !slices.Contains(knownArchitectures, p.Architecture):
			return nil, wrong(i, fmt.Errorf("the architecture %q is not known", p.Architecture))
		}
		if name := platforms.Format(platforms.Normalize(p)); !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all, nil
}

// The systems and architectures that image specifications name, which are those of Go.
var (
	knownSystems       = strings.Fields("aix android darwin dragonfly freebsd illumos ios js linux nacl netbsd openbsd plan9 solaris wasip1 windows zos")
	knownArchitectures = strings.Fields("386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm")
)
