package manifest

import (
	"iter"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The labels that every node has, see kubernetes.io/docs/reference/labels-annotations-taints.
const (
	systemLabel       = "kubernetes.io/os"
	architectureLabel = "kubernetes.io/arch"
)

// Incompatible is a pod whose containers have no platform in common, so that no node could run it.
type Incompatible struct {
	Object Object
	Images []string
}

// SetNodeAffinity makes pods run only on nodes that their images are made for: in all objects of the kinds that Kubernetes itself makes pods of, and
// where podSpec of the rules says.
// platformsOf gives the platforms of an image as an object names it ("linux/amd64"), none where they are not known.
//
// As in Skaffold, a pod gets an alternative for each platform that its images have in common, and each alternative keeps what the pod demanded
// of its node before. A pod that speaks of nodes' systems or architectures itself is left alone; so a second call changes nothing. Those
// that no node can run are left alone too, and returned.
func (s *Selector) SetNodeAffinity(objects []Object, platformsOf func(image string) []string) []Incompatible {
	var incompatible []Incompatible
	for o, pod := range s.pods(objects) {
		images := podImages(pod)
		machines, known := commonMachines(images, platformsOf)
		switch {
		case known && len(machines) == 0:
			incompatible = append(incompatible, Incompatible{o, images})
		case known:
			demand(pod, machines)
		}
	}
	return incompatible
}

// TolerateArm makes pods that run on linux/arm64 bear the taint that GKE puts on its Arm nodes.
func (s *Selector) TolerateArm(objects []Object, platformsOf func(image string) []string) {
	for _, pod := range s.pods(objects) {
		machines, _ := commonMachines(podImages(pod), platformsOf)
		if !slices.Contains(machines, machine{"linux", "arm64"}) {
			continue
		}
		tolerations := ensure(pod, "tolerations", yaml.SequenceNode)
		if !slices.ContainsFunc(tolerations.Content, func(t *yaml.Node) bool {
			return text(t, "key") == architectureLabel && text(t, "value") == "arm64" && slices.Contains([]string{"", "Equal"}, text(t, "operator"))
		}) {
			tolerations.Content = append(tolerations.Content,
				fields("key", str(architectureLabel), "operator", str("Equal"), "value", str("arm64"), "effect", str("NoSchedule")))
		}
	}
}

// pods gives the specifications of the pods in objects.
func (s *Selector) pods(objects []Object) iter.Seq2[Object, *yaml.Node] {
	return func(yield func(Object, *yaml.Node) bool) {
		for _, o := range objects {
			allow, deny, ok := s.places(o)
			if !ok || len(allow.pod) == 0 {
				continue
			}
			var found []*yaml.Node
			visit(o.Node, nil, func(at *spot, n *yaml.Node) bool {
				if n.Kind == yaml.MappingNode && hits(allow.pod, at, "spec") && !hits(deny.pod, at, "spec") && Get(n, "containers") != nil {
					found = append(found, n)
				}
				return true
			})
			for _, pod := range found {
				if !yield(o, pod) {
					return
				}
			}
		}
	}
}

func podImages(pod *yaml.Node) []string {
	var images []string
	for _, list := range []string{"initContainers", "containers"} {
		containers := Get(pod, list)
		if containers == nil {
			continue
		}
		for _, c := range containers.Content {
			if image := text(c, "image"); image != "" {
				images = append(images, image)
			}
		}
	}
	return images
}

// machine is what a node tells of itself.
type machine struct{ system, architecture string }

// commonMachines are those that all images with known platforms can run on, in the order of the first such image.
func commonMachines(images []string, platformsOf func(image string) []string) (common []machine, known bool) {
	for _, image := range images {
		var own []machine
		for _, p := range platformsOf(image) {
			system, rest, _ := strings.Cut(p, "/")
			architecture, _, _ := strings.Cut(rest, "/")
			if m := (machine{system, architecture}); !slices.Contains(own, m) {
				own = append(own, m)
			}
		}
		switch {
		case len(own) == 0:
		case !known:
			common, known = own, true
		default:
			common = slices.DeleteFunc(common, func(m machine) bool { return !slices.Contains(own, m) })
		}
	}
	return common, known
}

// demand puts the machines into the pod's required node affinity, unless that speaks of machines already.
func demand(pod *yaml.Node, machines []machine) {
	terms := Get(pod, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
	if terms != nil && slices.ContainsFunc(terms.Content, namesMachine) {
		return
	}
	affinity := ensure(pod, "affinity", yaml.MappingNode)
	node := ensure(affinity, "nodeAffinity", yaml.MappingNode)
	required := ensure(node, "requiredDuringSchedulingIgnoredDuringExecution", yaml.MappingNode)
	terms = ensure(required, "nodeSelectorTerms", yaml.SequenceNode)
	before := terms.Content
	if len(before) == 0 {
		before = []*yaml.Node{fields()}
	}
	terms.Content = nil
	for _, m := range machines {
		for _, b := range before {
			term := detached(b)
			expressions := ensure(term, "matchExpressions", yaml.SequenceNode)
			expressions.Content = append(expressions.Content, in(systemLabel, m.system), in(architectureLabel, m.architecture))
			terms.Content = append(terms.Content, term)
		}
	}
}

func namesMachine(term *yaml.Node) bool {
	expressions := Get(term, "matchExpressions")
	return expressions != nil && slices.ContainsFunc(expressions.Content, func(e *yaml.Node) bool {
		key := text(e, "key")
		return key == systemLabel || key == architectureLabel
	})
}

func in(label, value string) *yaml.Node {
	return fields("key", str(label), "operator", str("In"), "values", &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{str(value)}})
}

// PodImages are the images of all pods that SetNodeAffinity looks at, each once, in order.
func (s *Selector) PodImages(objects []Object) []string {
	var all []string
	for _, pod := range s.pods(objects) {
		for _, image := range podImages(pod) {
			if !slices.Contains(all, image) {
				all = append(all, image)
			}
		}
	}
	return all
}
