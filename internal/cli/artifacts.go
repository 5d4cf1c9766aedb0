package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/image"
	"github.com/davit-dev/davit/internal/pipeline"
)

// imageFlags name images that are built already.
type imageFlags struct {
	file   string
	images []string
	tag    string
}

func (i *imageFlags) addTo(f *pflag.FlagSet) {
	f.StringVarP(&i.file, "build-artifacts", "a", "", `file of 'davit build --file-output', "-" for standard input`)
	f.StringSliceVarP(&i.images, "images", "i", nil, "built images: name=reference, or a reference whose name without tag is the artifact's")
}

// addTag adds the flag for commands that do not build.
func (i *imageFlags) addTag(f *pflag.FlagSet) {
	f.StringVarP(&i.tag, "tag", "t", "", "the tag of all images, in place of what else is said of them")
}

func (i *imageFlags) given() bool { return i.file != "" || len(i.images) > 0 }

// prebuilt is an image of which only the reference is known: it may be an index.
func prebuilt(name string, ref image.Reference) pipeline.Image {
	return pipeline.Image{Name: name, Ref: ref.String(), Digest: ref.Digest, Index: ref.Digest != ""}
}

// read finds the built image of every artifact of the configs, and after them images that are of no artifact. References of the file count before those of the command line and are taken verbatim; those
// of the command line go through the default repo. An artifact without an image is an error.
func (i *imageFlags) read(w World, configs []*config.Config, repo image.DefaultRepo) ([]pipeline.Image, error) {
	refs := map[string]image.Reference{}
	if err := i.fromFlags(refs, repo); err != nil {
		return nil, err
	}
	if err := i.fromFile(w, refs); err != nil {
		return nil, err
	}
	var images []pipeline.Image
	var errs []error
	for _, c := range configs {
		for n, a := range c.Model.Build.Artifacts {
			ref, known := refs[a.Image]
			if i.tag != "" {
				if !known {
					name, err := image.Parse(a.Image)
					if err != nil {
						return nil, err
					}
					ref, known = repo.Rewrite(name), true
				}
				ref.Tag, ref.Digest = i.tag, ""
			}
			if !known || ref.Tag == "" && ref.Digest == "" {
				errs = append(errs, c.Error("no tag is given for image "+a.Image,
					"build first with --file-output build.json and give --build-artifacts build.json, or --images "+a.Image+"=REFERENCE, or --tag", "build", "artifacts", n, "image"))
				continue
			}
			images = append(images, prebuilt(a.Image, ref))
			delete(refs, a.Image)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		images = append(images, prebuilt(name, refs[name]))
	}
	return images, errors.Join(errs...)
}

func (i *imageFlags) fromFlags(refs map[string]image.Reference, repo image.DefaultRepo) error {
	for _, text := range i.images {
		name, ref, err := image.Named(text)
		if err != nil {
			return usageError{fmt.Errorf("--images: %w", err)}
		}
		refs[name] = repo.Rewrite(ref)
	}
	return nil
}

func (i *imageFlags) fromFile(w World, refs map[string]image.Reference) error {
	if i.file == "" {
		return nil
	}
	var text []byte
	var err error
	if i.file == "-" {
		text, err = io.ReadAll(w.Stdin)
	} else {
		text, err = os.ReadFile(w.path(i.file))
	}
	if err != nil {
		return fmt.Errorf("reading the built images: %w", err)
	}
	var file builds
	if err := json.Unmarshal(text, &file); err != nil {
		return fmt.Errorf("reading the built images from %s: it is not what 'davit build --file-output' writes: %w", i.file, err)
	}
	for _, b := range file.Builds {
		ref, err := image.Parse(b.Tag)
		if err != nil {
			return fmt.Errorf("reading the built images from %s: %w", i.file, err)
		}
		refs[b.ImageName] = ref
	}
	return nil
}
