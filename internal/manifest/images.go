package manifest

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/image"
)

// ImageUse is one place where an object names an image.
type ImageUse struct {
	Object Object
	Path   string // ".spec.template.spec.containers.image"; lists add nothing to it
	Node   *yaml.Node
	Ref    image.Reference
}

// Images finds every image reference that davit may replace. What cannot be read as a reference is left out.
func (s *Selector) Images(objects []Object) []ImageUse {
	var uses []ImageUse
	for _, o := range objects {
		allow, deny, ok := s.places(o)
		if !ok {
			continue
		}
		visit(o.Node, nil, func(at *spot, n *yaml.Node) bool {
			if n.Kind == yaml.ScalarNode && hits(allow.image, at, "image") && !hits(deny.image, at, "image") {
				if ref, err := parseUse(n.Value); err == nil {
					uses = append(uses, ImageUse{o, at.String(), n, ref})
				}
			}
			return true
		})
	}
	return uses
}

// parseUse reads a reference as it stands in an object. Charts of the old image strategies get an artifact's name for repository and tag, and for the
// registry too: "web/web:web" and "example.com/api:example.com/api" are artifacts web and example.com/api.
func parseUse(text string) (image.Reference, error) {
	ref, err := image.Parse(text)
	if name := text[strings.LastIndexByte(text, ':')+1:]; name != text && (text == name+"/"+name+":"+name || err != nil && text == name+":"+name) {
		return image.Parse(name)
	}
	return ref, err
}

// spot is a field in an object. Most are looked at for their key only, so the path is made when it is wanted.
type spot struct {
	above *spot
	key   string
}

// String is the path: ".spec.containers.image"; lists add nothing to it.
func (s *spot) String() string {
	if s == nil {
		return ""
	}
	return s.above.String() + "." + s.key
}

// visit looks at all fields below n, which is at the spot above; below those that see says no to, nothing more is looked at.
func visit(n *yaml.Node, above *spot, see func(at *spot, n *yaml.Node) bool) {
	switch n = resolve(n); n.Kind {
	case yaml.MappingNode:
		at := &spot{above: above}
		for i := 0; i+1 < len(n.Content); i += 2 {
			at.key = n.Content[i].Value
			if child := resolve(n.Content[i+1]); see(at, child) {
				visit(child, at, see)
			}
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			visit(item, above, see)
		}
	}
}

// ReplaceImages is [Selector.ReplaceImages] for the kinds that are known.
func ReplaceImages(objects []Object, built map[string]string) []Replacement {
	return Known().ReplaceImages(objects, built)
}

// Images is [Selector.Images] for the kinds that are known.
func Images(objects []Object) []ImageUse { return Known().Images(objects) }

// Replacement is what became of one artifact in a set of objects.
type Replacement struct {
	Image string // the artifact's name as in the config
	Used  int    // places replaced
	// Similar lists images that look like the artifact but are another image, or are pinned to another digest, and so were left alone, with
	// where they stand: "x/app:1 in k8s/web.yaml:12".
	Similar []string
	// Elsewhere lists where an artifact that nothing uses is named in fields that are not known to hold images:
	// "widget.yaml:7 (.spec.engine of Widget.example.com w)".
	Elsewhere []string
	// Assumed is the name under which the objects know a bare artifact name, when no object has it exactly:
	// "gcr.io/my-project/my-web-app" for "my-web-app".
	Assumed string
}

// ReplaceImages writes the built references into the objects. built maps an artifact's name to its full reference
// (name:tag@digest). A use matches when its name without tag equals the artifact's, or when it is the built
// reference less its digest, as charts make it; a use pinned by digest is left alone. A bare artifact name that no object has, while all that
// ends in "/name" is one and the same image, stands for that one: the result says so in Assumed. Results are sorted by artifact name.
func (s *Selector) ReplaceImages(objects []Object, built map[string]string) []Replacement {
	names := make(map[string]string, len(built)) // of artifacts, by the name that objects have for them
	for name, ref := range built {
		if parsed, err := image.Parse(name); err == nil {
			names[parsed.Name] = name
		}
		if parsed, err := image.Parse(ref); err == nil && parsed.Tag != "" {
			names[parsed.Name+":"+parsed.Tag] = name
		}
	}
	used := map[string]int{}
	var others []ImageUse
	for _, u := range s.Images(objects) {
		name, ours := names[u.Ref.Name]
		if !ours && u.Ref.Tag != "" {
			// A chart that takes repository and tag one by one has lost the digest.
			name, ours = names[u.Ref.Name+":"+u.Ref.Tag]
		}
		switch {
		case ours && u.Ref.Digest == "":
			u.Node.SetString(built[name])
			used[name]++
		case ours && built[name] == u.Node.Value: // a template put it there
			used[name]++
		default:
			others = append(others, u)
		}
	}
	results := make([]Replacement, 0, len(built))
	for _, name := range slices.Sorted(maps.Keys(built)) {
		r := Replacement{Image: name, Used: used[name]}
		if parsed, err := image.Parse(name); err == nil {
			r.alike(others, parsed.Name, built[name])
			if r.Used == 0 {
				r.elsewhere(objects, parsed.Name)
			}
		}
		results = append(results, r)
	}
	return results
}

// alike looks at images that end as the artifact's name does.
func (r *Replacement) alike(uses []ImageUse, name, ref string) {
	last := name[strings.LastIndexByte(name, '/')+1:]
	var alike []ImageUse
	names := map[string]bool{}
	for _, u := range uses {
		if strings.HasSuffix("/"+u.Ref.Name, "/"+last) {
			alike = append(alike, u)
			names[u.Ref.Name] = true
		}
	}
	pinned := slices.ContainsFunc(alike, func(u ImageUse) bool { return u.Ref.Digest != "" })
	if r.Used == 0 && name == last && len(names) == 1 && !pinned {
		r.Assumed = alike[0].Ref.Name
		for _, u := range alike {
			u.Node.SetString(ref)
			r.Used++
		}
		return
	}
	for _, u := range alike {
		r.Similar = append(r.Similar, u.Node.Value+" in "+u.Object.At(u.Node))
	}
}

// elsewhere looks for the artifact in all fields of all objects.
func (r *Replacement) elsewhere(objects []Object, name string) {
	for _, o := range objects {
		visit(o.Node, nil, func(at *spot, n *yaml.Node) bool {
			if at.above == nil && at.key == "metadata" {
				return false
			}
			if n.Kind != yaml.ScalarNode || !strings.HasPrefix(n.Value, name) {
				return true
			}
			path := at.String()
			if ref, err := image.Parse(n.Value); err == nil && ref.Name == name && ref.Digest == "" && namesImage(path, n.Value != name) {
				r.Elsewhere = append(r.Elsewhere, o.At(n)+" ("+path+" of "+groupKind(o)+" "+o.Name()+")")
			}
			return true
		})
	}
}

// namesImage tells images from other fields that have the same text, such as names and labels: they have a tag, or a field that says so.
func namesImage(path string, tagged bool) bool {
	return tagged || strings.Contains(strings.ToLower(path), "image")
}
