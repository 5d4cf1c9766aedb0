package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/cache/skaffold"
	davitconfig "github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/inputs"
	"github.com/davit-dev/davit/internal/pipeline"
	"github.com/davit-dev/davit/internal/plan"
)

type importOptions struct {
	whyOptions
	command string
}

func newCacheImport(w World, c *common) *cobra.Command {
	o := &importOptions{whyOptions: whyOptions{cacheFlags: cacheFlags{common: c}}}
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Take over the images that Skaffold remembers, so that the first run builds nothing",
		Long: `Looks the artifacts of the config up in Skaffold's cache, which is only read, and remembers for davit's next runs which images they were built as. An
image is taken only if it is still where a build would put it.

Skaffold finds an image by a hash that leaves out the folders that files are in, what symbolic links point at, and the digests of base images; nor can it
be told from an image which inputs it came of. This command trusts the hash this once. Where that is too much, let davit build.`,
		Example: `  davit cache import
  davit cache import --default-repo registry.example.com/team -p production
  davit cache import --for build --cache-file .skaffold-cache
  davit cache import --output json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCacheImport(cmd.Context(), w, o) },
	}
	f := cmd.Flags()
	o.addTo(f)
	o.config.addTo(f)
	o.build.addTo(f, true)
	f.StringVar(&o.command, "for", "run", "the command that is to find the images: run or build, where profiles or Dockerfiles ask which it is")
	f.Lookup("cache-file").Usage = "Skaffold's cache; as for all commands, davit's is the folder FILE.davit then (default: ~/.skaffold/cache, and davit's own)"
	for _, name := range []string{"build-concurrency", "builder", "cache-artifacts", "provenance", "sbom", "skip-tests"} {
		f.Lookup(name).Hidden = true
	}
	return cmd
}

// skaffoldCache is the file of what Skaffold remembers of its builds.
func (w World) skaffoldCache(file string) string {
	if file == "" {
		return filepath.Join(w.Home, ".skaffold", "cache")
	}
	return w.path(file)
}

// hintImport names the command where nothing is known of any artifact, and Skaffold may know them.
func (s *session) hintImport(artifacts []plan.Artifact) {
	for _, a := range artifacts {
		switch state := a.State.(type) {
		case plan.UpToDate:
			return
		case plan.Build:
			if !slices.Equal(state.Why, []string{inputs.NoEntry}) {
				return
			}
		}
	}
	file := s.world.skaffoldCache(s.cacheFile)
	if info, err := os.Stat(file); len(artifacts) > 0 && err == nil && info.Size() > 0 {
		s.sink.Emit(event.Note{Message: "Skaffold may have built these: 'davit cache import' takes over what " + file + " knows"})
	}
}

// imported is what became of an artifact.
type imported struct {
	Image     string `json:"image"`
	Outcome   string `json:"outcome"` // importDone, ...
	Reference string `json:"reference,omitempty"`
	Push      bool   `json:"push"`
	Digest    string `json:"digest,omitempty"` // of an image that is only in the Docker Engine, its id
	Why       string `json:"why,omitempty"`    // not
}

// What becomes of an artifact.
const (
	importDone    = "imported"
	importKnown   = "known" // to davit, before
	importRefused = "refused"
)

func (r imported) where() string {
	if r.Push {
		return r.Reference + "@" + r.Digest
	}
	return r.Reference + " in the Docker Engine, " + shortID(r.Digest)
}

func runCacheImport(ctx context.Context, w World, o *importOptions) error {
	o.file = o.build.cacheFile
	if _, err := o.open(w); err != nil {
		return err
	}
	if o.command != "run" && o.command != "build" {
		return usageError{fmt.Errorf("--for %s is not known: it is run or build", o.command)}
	}
	file := w.skaffoldCache(o.file)
	images, err := skaffold.Read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: say where Skaffold's cache is with --cache-file", err)
	}
	if err != nil {
		return err
	}
	all, err := o.common.lines(w, true)
	if err != nil {
		return err
	}
	o.build.cache = true
	options, err := options(o.command, &o.config, &o.build, nil)
	if err != nil {
		return err
	}
	if len(options.Attest) > 0 {
		return usageError{errors.New("images of Skaffold's have no attestations: leave out --provenance and --sbom, and let davit build")}
	}
	s, err := open(ctx, w, eachOnce(onlyWarnings(all)), &o.config, &o.build, options, needs{command: o.command, nodes: o.build.checkNodes})
	if err != nil {
		return err
	}
	defer s.close()
	results, err := (&importer{session: s, images: images}).run(ctx)
	if err != nil {
		return err
	}
	return o.print(w, file, results)
}

// eachOnce leaves out warnings that were given before.
func eachOnce(sink event.Sink) event.Sink {
	var given sync.Map
	return event.SinkFunc(func(e event.Event) {
		if warning, ok := e.(event.Warning); ok {
			if _, before := given.LoadOrStore(warning.Message, true); before {
				return
			}
		}
		sink.Emit(e)
	})
}

func (o *importOptions) print(w World, file string, results []imported) error {
	if o.output == "json" {
		return json.NewEncoder(w.Stdout).Encode(struct {
			Artifacts []imported `json:"artifacts"`
		}{results})
	}
	var t planWriter
	done := 0
	for _, r := range results {
		switch r.Outcome {
		case importDone:
			done++
			t.line("%s: imported, %s", r.Image, r.where())
		case importKnown:
			t.line("%s: known already, %s", r.Image, r.where())
		default:
			t.line("%s: not imported: %s", r.Image, r.Why)
		}
	}
	t.line("%d of %s imported from %s.", done, count(len(results), "image"), file)
	_, err := w.Stdout.Write([]byte(t.String()))
	return err
}

// importer is one import.
type importer struct {
	*session
	images map[string]skaffold.Image // by Skaffold's hashes
	claims map[string]claim          // by artifact
}

// claim is what Skaffold's cache says of an artifact.
type claim struct {
	hash  string
	image skaffold.Image
	err   error // why there is nothing to take; the rest is empty then
	tried bool
}

// run takes images over until no more can be: what requires an artifact has a key only once that one has an image.
func (i *importer) run(ctx context.Context) ([]imported, error) {
	for {
		artifacts, err := i.prepare(ctx)
		if err != nil {
			return nil, err
		}
		if i.claims == nil {
			i.look(ctx, artifacts)
		}
		var wanted []pipeline.Claim
		for _, a := range artifacts {
			c := i.claims[a.Image]
			if _, build := a.State.(plan.Build); build && c.err == nil && !c.tried {
				wanted = append(wanted, pipeline.Claim{Artifact: a, Digest: c.image.Digest, ImageID: c.image.ID})
			}
		}
		if len(wanted) == 0 {
			return i.results(artifacts), nil
		}
		errs, err := i.pipe.Adopt(ctx, wanted)
		if err != nil {
			return nil, err
		}
		for n, w := range wanted {
			c := i.claims[w.Artifact.Image]
			c.tried, c.err = true, errs[n]
			i.claims[w.Artifact.Image] = c
		}
	}
}

func (i *importer) results(artifacts []plan.Artifact) []imported {
	results := make([]imported, len(artifacts))
	for n, a := range artifacts {
		c := i.claims[a.Image]
		r := imported{Image: a.Image, Outcome: importRefused, Reference: a.Ref.String(), Push: a.Push}
		switch s := a.State.(type) {
		case plan.UpToDate:
			r.Outcome, r.Digest = importKnown, s.Digest
			if c.tried && c.err == nil {
				r.Outcome = importDone
			}
		case plan.Undecided:
			r.Why = fmt.Sprintf("it requires %s, which will be built", strings.Join(s.Waits, ", "))
		case plan.Build:
			r.Why = "it was taken over and is not found again: see the warnings"
		}
		if r.Digest == "" && c.err != nil {
			r.Why = c.err.Error()
		}
		results[n] = r
	}
	return results
}

// look finds what Skaffold's cache says of artifacts.
func (i *importer) look(ctx context.Context, artifacts []plan.Artifact) {
	i.claims = map[string]claim{}
	sources, unread := map[string]skaffold.Sources{}, map[string]error{}
	for _, a := range artifacts {
		if s, err := i.read(ctx, a); err != nil {
			unread[a.Image] = err
		} else {
			sources[a.Image] = s
		}
	}
	styles := i.platforms(artifacts)
	owners := map[string]plan.Artifact{} // of hashes
	for _, a := range artifacts {
		c := claim{err: unread[a.Image]}
		if c.err == nil {
			c = i.find(sources, a.Image, styles)
		}
		if other, taken := owners[c.hash]; taken && !sameInputs(a, other) {
			c.err = ambiguous(other)
			i.claims[other.Image] = claim{err: ambiguous(a)}
		}
		if c.hash != "" {
			owners[c.hash] = a
		}
		i.claims[a.Image] = c
	}
}

func ambiguous(other plan.Artifact) error {
	return fmt.Errorf("its hash for Skaffold is that of %s, too, which is made of other things", other.Image)
}

func sameInputs(a, b plan.Artifact) bool {
	return a.Inputs.Key() == b.Inputs.Key() && len(a.Inputs.Fields) > 0
}

// find looks for an artifact's image under its hash, for each of the platforms that it may have been built with.
func (i *importer) find(sources map[string]skaffold.Sources, image string, styles []map[string][]string) claim {
	for _, platforms := range styles {
		hash, err := skaffold.Hash(sources, image, platforms)
		if err != nil {
			return claim{err: err}
		}
		found, ok := i.images[hash]
		if ok && found == (skaffold.Image{}) {
			return claim{err: errors.New("its entry in Skaffold's cache names no image")}
		}
		if ok {
			return claim{hash: hash, image: found}
		}
	}
	return claim{err: errors.New("there is no image of it as it is now in Skaffold's cache")}
}

// read reads what Skaffold's hash of an artifact is made of.
func (i *importer) read(ctx context.Context, a plan.Artifact) (skaffold.Sources, error) {
	c, n := i.configured(a.Image)
	m := c.Model.Build.Artifacts[n]
	in := skaffold.Artifact{Builder: m.Builder, Dir: c.Dir, Workspace: m.Context, Mode: i.options.Mode}
	if c.Required {
		in.Workspace = a.Context // the paths of such configs are absolute for Skaffold
	}
	switch spec := a.Spec.(type) {
	case build.Docker:
		in.Dockerfile, in.Args = spec.Dockerfile, spec.BuildArgs
	case build.Custom:
		in.Dockerfile, in.Args = a.Reads.Dockerfile, a.Reads.BuildArgs
	}
	for _, r := range a.Requires {
		in.Requires = append(in.Requires, r.Image)
	}
	bases := i.pipe.Cache.Bases(false)
	return skaffold.Reader{
		OnBuild: func(ctx context.Context, ref string) ([]string, error) {
			base, err := bases(ctx, ref, "linux/"+runtime.GOARCH)
			return base.OnBuild, err
		},
		List: i.pipe.ListFiles,
	}.Read(ctx, in)
}

// configured is where an artifact is in the configs.
func (i *importer) configured(image string) (*davitconfig.Config, int) {
	for _, c := range i.configs {
		for n, a := range c.Model.Build.Artifacts {
			if a.Image == image {
				return c, n
			}
		}
	}
	return nil, 0
}

// platforms are the platforms of all artifacts as Skaffold may have put them into its hashes: `skaffold run` asks the cluster's nodes, which `skaffold
// build` does not, and where those are like this machine the same image comes of it.
func (i *importer) platforms(artifacts []plan.Artifact) []map[string][]string {
	here := []string{i.options.Platforms.Host}
	var styles []map[string][]string
	for _, nodes := range [][]string{i.options.Platforms.Nodes, nil, here} {
		facts := i.options.Platforms
		facts.Nodes = nodes
		style, same := map[string][]string{}, true
		for _, a := range artifacts {
			c, n := i.configured(a.Image)
			chosen, _, err := plan.Platforms(c, n, facts)
			if slices.Contains(chosen, plan.AllPlatforms) {
				chosen = nil
			}
			style[a.Image] = chosen
			same = same && err == nil && (len(styles) == 0 || slices.Equal(orElse(chosen, here), orElse(styles[0][a.Image], here)))
		}
		if same {
			styles = append(styles, style)
		}
	}
	return styles
}

func orElse(list, other []string) []string {
	if len(list) == 0 {
		return other
	}
	return list
}
