package inputs

import "slices"

// Product is a file that a build hook left behind in the build context.
type Product struct {
	Path string `json:"path"`
	File File   `json:"file"` // as the hook left it
	// Sure is false for a file that was there before, is not executable, and changed while the hook ran for the first time: it may as well be a
	// source that somebody saved at that moment. It stays an input until a hook changes it once more.
	Sure bool `json:"sure"`
}

// Without is the manifest less the products that are still as the hook left them. A product that somebody edited since is an input like
// any other; one that was deleted is not missed, since a fresh checkout does not have it either.
func (m Manifest) Without(products []Product) Manifest {
	left := make(map[string]Product, len(products))
	for _, p := range products {
		if p.Sure {
			left[p.Path] = p
		}
	}
	files := slices.DeleteFunc(slices.Clone(m.Files), func(f File) bool {
		p, found := left[f.Path]
		return found && p.File == f
	})
	return Manifest{Fields: m.Fields, Files: files}
}

// Produced says what a hook made, from the manifests before and after it (both with everything in them) and what earlier runs of it are known
// to have made. The key of the build is then before.Without(the result, as it was before).Key(): see Settle.
func Produced(before, after Manifest, known []Product) []Product {
	was := make(map[string]File, len(before.Files))
	for _, f := range before.Files {
		was[f.Path] = f
	}
	knew := make(map[string]Product, len(known))
	for _, p := range known {
		knew[p.Path] = p
	}
	var products []Product
	for _, f := range after.Files {
		old, existed := was[f.Path]
		earlier, suspected := knew[f.Path]
		switch {
		case existed && old == f:
			if suspected && earlier.File == f {
				products = append(products, earlier)
			}
		default:
			sure := !existed || suspected && earlier.File == old || f.Kind == Executable
			products = append(products, Product{Path: f.Path, File: f, Sure: sure})
		}
	}
	// What was known and is deleted by now would come back with the next run of the hook.
	return products
}

// Settle is the manifest to record a build with hooks under: before, less everything that the hook made, whatever it looked like then.
func Settle(before Manifest, products []Product) Manifest {
	made := make(map[string]bool, len(products))
	for _, p := range products {
		made[p.Path] = p.Sure
	}
	return Manifest{
		Fields: before.Fields,
		Files:  slices.DeleteFunc(slices.Clone(before.Files), func(f File) bool { return made[f.Path] }),
	}
}
