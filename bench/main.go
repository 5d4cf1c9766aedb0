// Command bench runs davit and a reference binary in turn on the same input, and prints the ratios.
//
//	go run ./bench --reference /path/to/skaffold --davit bin/davit --kubebox bin/kubebox --rounds 7
//
// It needs root, a cluster that is up (`bin/kubebox up`) and dockerd (Debian's docker.io), which the reference builds with.
// With --only diagnose it measures the configuration alone, and needs nothing of that; with --only render the making of manifests, and needs helm
// and kustomize.
// The seconds are only the trace of a ratio: compare nothing across machines or runs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var b bench
	flag.StringVar(&b.reference, "reference", "", "path of the reference binary")
	flag.StringVar(&b.davit, "davit", "bin/davit", "path of davit")
	flag.StringVar(&b.kubebox, "kubebox", "bin/kubebox", "path of kubebox, for the kubeconfig and for kubectl")
	flag.StringVar(&b.example, "example", "examples/getting-started", "folder with a skaffold.yaml and page/index.html")
	flag.IntVar(&b.rounds, "rounds", 7, "runs of each command")
	flag.StringVar(&b.only, "only", "", `what to measure: "diagnose", and "render", which need no cluster; "unchanged", builds of many artifacts, and "builds", first ones; "apply", many objects; "helm", releases; empty for the runs`)
	flag.Parse()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	reference, davit, kubebox, example string
	only                               string
	rounds                             int

	tmp string
	env []string
}

// sample is one run of a command.
type sample struct {
	wall time.Duration
	rss  int64 // bytes: the largest process of the command and of what it started
}

// side is one of the two programs and its own copy of the example.
type side struct {
	binary, dir, namespace string
	env                    []string // on top of the bench's
	args                   []string // in place of those that are compared
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.reference == "" {
		return errors.New("--reference is missing: give the path of a skaffold binary")
	}
	if b.tmp, err = os.MkdirTemp("", "davit-bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.tmp)
	for _, path := range []*string{&b.reference, &b.davit, &b.kubebox, &b.example} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	fmt.Printf("%-28s %26s %26s %22s %20s\n", "", "reference (min med max)", "davit (min med max)", "time: davit/reference", "memory")
	switch b.only {
	case "":
		return b.runs(ctx)
	case "diagnose":
		return b.diagnose(ctx)
	case "unchanged":
		return b.unchanged(ctx)
	case "builds":
		return b.builds(ctx)
	case "apply":
		return b.apply(ctx)
	case "render":
		return b.render(ctx)
	case "helm":
		return b.helm(ctx)
	}
	return fmt.Errorf("--only %q is not known: use diagnose, render, unchanged, builds, apply or helm", b.only)
}

// runs compares what needs a cluster.
func (b *bench) runs(ctx context.Context) error {
	stopDocker, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	defer stopDocker()

	ref, own := b.side("ref", b.reference), b.side("own", b.davit)
	defer func() {
		_ = b.kubectl(context.WithoutCancel(ctx), "delete", "namespace", ref.namespace, own.namespace, "--wait=false")
	}()
	if err := b.compare(ctx, "version", ref, own, nil, "version"); err != nil {
		return err
	}
	for _, s := range []side{ref, own} {
		if err := b.checkout(ctx, s); err != nil {
			return err
		}
		if _, err := b.measure(ctx, s, "run"); err != nil { // fills the caches, not counted
			return err
		}
		if _, err := b.measure(ctx, s, "run"); err != nil {
			return err
		}
	}
	if err := b.compare(ctx, "run, nothing changed", ref, own, nil, "run"); err != nil {
		return err
	}
	return b.compare(ctx, "run, page edited, pod ready", ref, own, edit, "run")
}

// compare runs a command of both sides in turn, the first of a round changing each time, and prints a line.
func (b *bench) compare(ctx context.Context, title string, ref, own side, before func(side, int) error, args ...string) error {
	samples := map[string][]sample{}
	for round := range b.rounds {
		order := []side{ref, own}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, s := range order {
			if before != nil {
				if err := before(s, round); err != nil {
					return err
				}
			}
			m, err := b.measure(ctx, s, args...)
			if err != nil {
				return err
			}
			samples[s.namespace] = append(samples[s.namespace], m)
		}
	}
	theirs, ours := samples[ref.namespace], samples[own.namespace]
	rlo, rmed, rhi := spread(theirs)
	olo, omed, ohi := spread(ours)
	fmt.Printf("%-28s %8.3f %8.3f %7.3fs %8.3f %8.3f %7.3fs %5.3f (%.3f..%.3f) %4d/%d MiB %.2f\n", title,
		rlo, rmed, rhi, olo, omed, ohi, omed/rmed, olo/rhi, ohi/rlo, peak(ours)>>20, peak(theirs)>>20, float64(peak(ours))/float64(peak(theirs)))
	return nil
}

func spread(samples []sample) (low, median, high float64) {
	seconds := make([]float64, 0, len(samples))
	for _, s := range samples {
		seconds = append(seconds, s.wall.Seconds())
	}
	slices.Sort(seconds)
	return seconds[0], seconds[len(seconds)/2], seconds[len(seconds)-1]
}

func peak(samples []sample) int64 {
	return slices.MaxFunc(samples, func(a, b sample) int { return int(a.rss - b.rss) }).rss
}

func (b *bench) measure(ctx context.Context, s side, args ...string) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	if s.args != nil {
		args = s.args
	}
	cmd := exec.CommandContext(ctx, s.binary, args...)
	if _, err := os.Stat(s.dir); err == nil {
		cmd.Dir = s.dir
	}
	cmd.Env = append(slices.Clone(b.env), "SKAFFOLD_NAMESPACE="+s.namespace)
	cmd.Env = append(cmd.Env, s.env...)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		return sample{}, fmt.Errorf("%s %s: %w\n%s", s.binary, strings.Join(args, " "), err, out)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return sample{took, usage.Maxrss << 10}, nil
}

func (b *bench) side(name, binary string) side {
	return side{binary: binary, dir: filepath.Join(b.tmp, name, filepath.Base(b.example)), namespace: "bench-" + name}
}

func edit(s side, round int) error {
	page := fmt.Sprintf("<p>edited in round %d at %s</p>\n", round, time.Now().Format(time.RFC3339Nano))
	return os.WriteFile(filepath.Join(s.dir, "page", "index.html"), []byte(page), 0o644)
}

// checkout gives a side its own copy of the example, in a git repository, and its own namespace.
func (b *bench) checkout(ctx context.Context, s side) error {
	if err := os.CopyFS(s.dir, os.DirFS(b.example)); err != nil {
		return err
	}
	script := `git init -q . && git add . && git -c user.name=b -c user.email=b@example.com commit -q -m bench && CGO_ENABLED=0 go build -trimpath -o my-web-app .`
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("preparing %s: %w\n%s", s.dir, err, out)
	}
	return b.kubectl(ctx, "create", "namespace", s.namespace)
}

// prepare sets the environment that both sides get: a cluster, its registry, a kubectl and a Docker Engine on PATH and in
// DOCKER_HOST, which davit takes as well; and a cache of their own.
func (b *bench) prepare(ctx context.Context) (stop func(), err error) {
	kubeconfig, err := exec.CommandContext(ctx, b.kubebox, "kubeconfig", "--path").Output()
	if err != nil {
		return nil, fmt.Errorf("asking kubebox for its kubeconfig (is it up?): %w", err)
	}
	bin, home := filepath.Join(b.tmp, "bin"), filepath.Join(b.tmp, "home")
	for _, dir := range []string{bin, home} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
	}
	if err := os.Symlink(b.kubebox, filepath.Join(bin, "kubectl")); err != nil {
		return nil, err
	}
	gocache, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(b.tmp, "docker.sock")
	b.env = append(os.Environ(), "KUBECONFIG="+strings.TrimSpace(string(kubeconfig)), "HOME="+home, "XDG_CACHE_HOME="+filepath.Join(home, ".cache"),
		"GOCACHE="+strings.TrimSpace(string(gocache)), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"),
		"DOCKER_HOST=unix://"+socket, "SKAFFOLD_UPDATE_CHECK=false", "SKAFFOLD_INTERACTIVE=false")
	repo, err := b.registry(ctx)
	if err != nil {
		return nil, err
	}
	b.env = append(b.env, "SKAFFOLD_DEFAULT_REPO="+repo)
	return b.startDocker(ctx, socket)
}

// registry is what the cluster advertises (KEP-1755).
func (b *bench) registry(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, b.kubebox, "kubectl", "--kubeconfig", b.getenv("KUBECONFIG"), "-n", "kube-public", "get", "configmap",
		"local-registry-hosting", "-o", `jsonpath={.data.localRegistryHosting\.v1}`).Output()
	if err != nil {
		return "", fmt.Errorf("asking the cluster for its registry: %w", err)
	}
	_, host, found := strings.Cut(string(out), "host:")
	if !found {
		return "", fmt.Errorf("the cluster advertises no registry: %q", out)
	}
	host, _, _ = strings.Cut(strings.TrimSpace(host), "\n")
	return strings.Trim(host, `" `), nil
}

func (b *bench) getenv(name string) string {
	for _, e := range slices.Backward(b.env) {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

func (b *bench) startDocker(ctx context.Context, socket string) (stop func(), err error) {
	log, err := os.Create(filepath.Join(b.tmp, "dockerd.log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("dockerd", "--host", "unix://"+socket, "--data-root", filepath.Join(b.tmp, "docker"), "--exec-root", filepath.Join(b.tmp, "docker-run"),
		"--pidfile", filepath.Join(b.tmp, "docker.pid"), "--iptables=false", "--bridge=none")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting dockerd (apt-get install docker.io): %w", err)
	}
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	for range 150 {
		ping := exec.CommandContext(ctx, "docker", "version")
		ping.Env = b.env
		if ping.Run() == nil {
			return stop, nil
		}
		time.Sleep(200 * time.Millisecond)
	}
	stop()
	out, _ := os.ReadFile(log.Name())
	return nil, fmt.Errorf("dockerd does not answer:\n%s", out)
}

func (b *bench) kubectl(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, b.kubebox, append([]string{"kubectl"}, args...)...)
	cmd.Env = b.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
