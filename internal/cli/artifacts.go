package cli

import (
	"cmp"
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
// of the command line go through the default repo. The images come in the order of the file, and of what the command line adds. An artifact without an image is an error.
func (i *imageFlags) read(w World, configs []*config.Config, repo image.DefaultRepo) ([]pipeline.Image, error) {
	refs := map[string]image.Reference{}
	if err := i.fromFlags(refs, repo); err != nil {
		return nil, err
	}
	flagged := slices.Sorted(maps.Keys(refs))
	order, err := i.fromFile(w, refs)
	if err != nil {
		return nil, err
	}
	order = append(order, flagged...)
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
	for name, ref := range refs {
		images = append(images, prebuilt(name, ref))
	}
	// Templates of charts know images by their places, too.
	slices.SortStableFunc(images, func(a, b pipeline.Image) int { return cmp.Compare(standing(order, a.Name), standing(order, b.Name)) })
	return images, errors.Join(errs...)
}

// standing is where a name stands in a list; one that is not there comes last.
func standing(list []string, name string) int {
	if at := slices.Index(list, name); at >= 0 {
		return at
	}
	return len(list)
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

// fromFile gives the names in the order of the file.
func (i *imageFlags) fromFile(w World, refs map[string]image.Reference) (order []string, err error) {
	if i.file == "" {
		return nil, nil
	}
	var text []byte
	if i.file == "-" {
		text, err = io.ReadAll(w.Stdin)
	} else {
		text, err = os.ReadFile(w.path(i.file))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the built images: %w; 'davit build --file-output %s' writes it", err, i.file)
	}
	var file builds
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("reading the built images from %s: it is not what 'davit build --file-output' writes: %w", i.file, err)
	}
	for n, b := range file.Builds {
		ref, err := image.Parse(b.Tag)
		if err != nil {
			return nil, fmt.Errorf("reading the built images from %s: the tag of builds[%d], %s: %w", i.file, n, b.ImageName, err)
		}
		refs[b.ImageName] = ref
		order = append(order, b.ImageName)
	}
	return order, nil
}
