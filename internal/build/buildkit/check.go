package buildkit

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/containerd/platforms"
)

// applyFlags takes the flags of `docker build` that the plan left.
func (j *job) applyFlags() error {
	if len(j.spec.CLIFlags) == 0 {
		return nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	flags, unknown, err := ParseFlags(j.spec.CLIFlags, dir, j.options.Getenv)
	if err != nil {
		return err
	}
	if len(unknown) > 0 {
		return fmt.Errorf("BuildKit does not know %s; only the docker command does", strings.Join(unknown, ", "))
	}
	j.flags, j.spec = flags, flags.Apply(j.spec)
	if len(flags.Platforms) > 0 {
		j.request.Platforms = flags.Platforms
	}
	if len(flags.Attest) > 0 {
		j.request.Attest = flags.Attest
	}
	return nil
}

// check refuses what no BuildKit can do, before anything is built.
func (j *job) check() error {
	if j.spec.Squash {
		return errors.New("BuildKit cannot squash: leave squash out, or build by the Docker Engine's own builder (local.useBuildkit: false), with experimental features on")
	}
	for _, p := range j.request.Platforms {
		if err := checkPlatform(p); err != nil {
			return err
		}
	}
	if !j.request.Push && len(j.request.Platforms) > 1 {
		return fmt.Errorf("an image of several platforms (%s) can only be pushed: push it to a registry, or build for one platform",
			strings.Join(j.request.Platforms, ", "))
	}
	return nil
}

// What Go, and with it BuildKit and the container runtimes, knows of systems and processors that images are made for.
var (
	knownSystems    = []string{"linux", "windows", "darwin", "freebsd", "wasi", "wasip1"}
	knownProcessors = []string{"386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64", "s390x", "wasm"}
)

func checkPlatform(text string) error {
	p, err := platforms.Parse(text)
	if err == nil && slices.Contains(knownSystems, p.OS) && slices.Contains(knownProcessors, p.Architecture) {
		return nil
	}
	return fmt.Errorf("the platform %q is not known: give system/processor[/variant], such as linux/amd64, linux/arm64 or linux/arm/v7", text)
}

// attestations asks BuildKit for what it attests best itself: provenance, and the content when the user names the image that lists it. A
// Docker Engine's exporter takes no attestations. Modes are said, since BuildKit's own default tells the values of build arguments.
func (j *job) attestations(attrs map[string]string) {
	if !j.request.Push || j.where.Kind == Engine {
		return
	}
	for _, a := range j.request.Attest {
		if a.Kind == "sbom" && a.Attrs["generator"] == "" {
			continue
		}
		given := maps.Clone(a.Attrs)
		if a.Kind == "provenance" && given["mode"] == "" {
			given = joined(given, map[string]string{"mode": "min"})
		}
		attrs["attest:"+a.Kind] = csvPairs(given)
	}
}

// csvPairs writes key=value,... in the keys' order.
func csvPairs(pairs map[string]string) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		field := key + "=" + pairs[key]
		if strings.ContainsAny(field, `,"`) {
			field = `"` + strings.ReplaceAll(field, `"`, `""`) + `"`
		}
		out = append(out, field)
	}
	return strings.Join(out, ",")
}
