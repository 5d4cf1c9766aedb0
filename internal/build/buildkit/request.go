package buildkit

import (
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/tonistiigi/fsutil"

	"github.com/davit-dev/davit/internal/build"
)

// dockerfileRequest turns a request into what BuildKit's Dockerfile frontend wants, without exporter and session. The keys
// of the attributes are those of frontend/dockerui.
func dockerfileRequest(r build.Request, spec build.Docker, flags Flags) (client.SolveOpt, error) {
	mounts, err := localMounts(spec)
	if err != nil {
		return client.SolveOpt{}, err
	}
	attrs := map[string]string{"filename": filepath.Base(spec.Dockerfile)}
	if spec.Target != "" {
		attrs["target"] = spec.Target
	}
	for k, v := range spec.BuildArgs {
		attrs["build-arg:"+k] = v
	}
	for k, v := range spec.Labels {
		attrs["label:"+k] = v
	}
	if len(r.Platforms) > 0 {
		attrs["platform"] = strings.Join(r.Platforms, ",")
	}
	maps.Copy(attrs, flags.frontend)
	if spec.NoCache {
		attrs["no-cache"] = ""
	}
	if spec.Pull {
		attrs["image-resolve-mode"] = "pull"
	}
	for name, from := range spec.Contexts {
		if filepath.IsAbs(from) {
			from = "local:" + contextMount(name)
		}
		attrs["context:"+name] = from
	}
	opt := client.SolveOpt{
		Frontend:      "dockerfile.v0",
		FrontendAttrs: attrs,
		LocalMounts:   mounts,
		SharedKey:     sharedKey(spec),

		AllowedEntitlements: flags.entitlements,
	}
	if err := addNetwork(&opt, spec); err != nil {
		return opt, err
	}
	if opt.CacheImports, err = cacheEntries("cacheFrom", spec.CacheFrom); err != nil {
		return opt, err
	}
	opt.CacheExports, err = cacheEntries("cacheTo", spec.CacheTo)
	return opt, err
}

func contextMount(name string) string { return "context-" + name }

// localMounts are the folders that the build may read.
func localMounts(spec build.Docker) (map[string]fsutil.FS, error) {
	if _, err := os.Stat(spec.Dockerfile); err != nil {
		return nil, fmt.Errorf("reading the Dockerfile: %w", err)
	}
	folders := map[string]string{"context": spec.Context, "dockerfile": filepath.Dir(spec.Dockerfile)}
	for name, from := range spec.Contexts {
		if filepath.IsAbs(from) {
			folders[contextMount(name)] = from
		}
	}
	mounts := map[string]fsutil.FS{}
	for name, folder := range folders {
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			return nil, errors.Join(fmt.Errorf("the build context %s is no folder", folder), err)
		}
		mount, err := fsutil.NewFS(folder)
		if err != nil {
			return nil, fmt.Errorf("reading the build context %s: %w", folder, err)
		}
		mounts[name] = mount
	}
	return mounts, nil
}

// sharedKey names what BuildKit keeps of the context between builds, so that the next one sends only what changed. Builds
// of one context by several Dockerfiles or targets need different files of it, and each has its own.
func sharedKey(spec build.Docker) string {
	host, err := os.Hostname()
	if err != nil {
		host = "" // the path alone tells most contexts apart, and a wrong guess costs time only
	}
	h := sha256.New()
	for _, part := range []string{host, spec.Context, spec.Dockerfile, spec.Target} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return fmt.Sprintf("davit-%x", h.Sum(nil)[:16])
}

// addNetwork sets the network of RUN steps and their extra hosts.
func addNetwork(opt *client.SolveOpt, spec build.Docker) error {
	switch strings.ToLower(spec.Network) {
	case "", "default", "bridge":
	case "none":
		opt.FrontendAttrs["force-network-mode"] = "none"
	case "host":
		opt.FrontendAttrs["force-network-mode"] = "host"
		opt.AllowedEntitlements = append(opt.AllowedEntitlements, "network.host")
	default:
		return fmt.Errorf("network %q: BuildKit knows host, none and bridge only", spec.Network)
	}
	var hosts []string
	for _, entry := range spec.AddHosts {
		host, ip, ok := strings.Cut(entry, ":")
		if eq, eqIP, isEq := strings.Cut(entry, "="); isEq {
			host, ip, ok = eq, eqIP, true
		}
		ip = strings.Trim(ip, "[]")
		if !ok || net.ParseIP(ip) == nil {
			return fmt.Errorf("addHost %q: want HOST:IP", entry)
		}
		hosts = append(hosts, host+"="+ip)
	}
	if len(hosts) > 0 {
		opt.FrontendAttrs["add-hosts"] = strings.Join(hosts, ",")
	}
	return nil
}

// cacheEntries reads cache places as `docker buildx build` does: an image's reference, or type=...,key=value,...
func cacheEntries(field string, in []string) ([]client.CacheOptionsEntry, error) {
	var out []client.CacheOptionsEntry
	for _, s := range in {
		if !strings.Contains(s, "=") {
			out = append(out, client.CacheOptionsEntry{Type: "registry", Attrs: map[string]string{"ref": s}})
			continue
		}
		parts, err := csv.NewReader(strings.NewReader(s)).Read()
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", field, s, err)
		}
		e := client.CacheOptionsEntry{Attrs: map[string]string{}}
		for _, part := range parts {
			key, value, ok := strings.Cut(part, "=")
			if !ok {
				return nil, fmt.Errorf("%s %q: want key=value, have %q", field, s, part)
			}
			if key == "type" {
				e.Type = value
			} else {
				e.Attrs[key] = value
			}
		}
		if e.Type == "" {
			return nil, fmt.Errorf("%s %q: no type", field, s)
		}
		out = append(out, e)
	}
	return out, nil
}

// pushExport is the exporter that makes the image and sends it to its registry. Without attestations one platform gives a plain
// manifest.
func pushExport(r build.Request, spec build.Docker, flags Flags, insecure bool) client.ExportEntry {
	e := client.ExportEntry{Type: client.ExporterImage, Attrs: map[string]string{
		"name":              r.Ref,
		"push":              "true",
		"registry.insecure": strconv.FormatBool(insecure),
	}}
	maps.Copy(e.Attrs, flags.annotations)
	if spec.BuildArgs["SOURCE_DATE_EPOCH"] != "" {
		e.Attrs["rewrite-timestamp"] = "true" // of files in layers too, not of the configuration only
	}
	return e
}

// isInsecure says whether a registry was named insecure. Loopback is not asked about here: everyone's BuildKit talks
// plain HTTP there.
func isInsecure(r build.Request, registry string) bool { return slices.Contains(r.Insecure, registry) }
