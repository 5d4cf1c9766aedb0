package manifest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ImagePathsAnnotation on an object lists the paths of its images, separated by commas. In metadata.annotations of a skaffold.yaml it
// lists them for kinds: "Widget.example.com=.spec.image,.spec.sidecars.*.image; Other.example.com=.image".
const ImagePathsAnnotation = "davit.dev/image-paths"

// Filter says where objects of a kind hold images and labels: an entry of resourceSelector. A path is ".spec.template.spec.image": lists add
// nothing to it, and a * stands for the items of a list or for one key. ".*" alone means every field named image, and the labels of every
// field named metadata, and the pod of every field named spec.
type Filter struct {
	GroupKind string   `yaml:"groupKind"` // "Deployment.apps", "Pod"
	Image     []string `yaml:"image"`
	Labels    []string `yaml:"labels"`
	PodSpec   []string `yaml:"podSpec"` // where nodes are chosen for pods
}

// Rules is a resourceSelector, as in a skaffold.yaml or in the file of --resource-selector-rules-file.
type Rules struct {
	Allow []Filter `yaml:"allow"`
	Deny  []Filter `yaml:"deny"`
}

// ParseRules reads a file of rules.
func ParseRules(file string, data []byte) (Rules, error) {
	var r Rules
	if err := yaml.Unmarshal(data, &r); err != nil {
		return Rules{}, syntaxError(file, data, err)
	}
	return r, nil
}

// ParseImagePaths reads the annotation of a skaffold.yaml.
func ParseImagePaths(text string) (Rules, error) {
	var r Rules
	for entry := range strings.SplitSeq(text, ";") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		kind, paths, found := strings.Cut(entry, "=")
		if !found {
			return Rules{}, fmt.Errorf("%s: %q must be KIND.GROUP=PATHS, such as Widget.example.com=.spec.image", ImagePathsAnnotation, entry)
		}
		r.Allow = append(r.Allow, Filter{GroupKind: strings.TrimSpace(kind), Image: splitPaths(paths)})
	}
	return r, nil
}

func splitPaths(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ' ' || c == '\n' })
}

// Selector knows in which objects images and labels are set, and where. The zero value is not usable; see [NewSelector].
type Selector struct {
	allow, deny map[string]places // by Kind.group
}

// places are the compiled paths of a filter.
type places struct{ image, labels, pod []*regexp.Regexp }

// anywhere is what the path ".*" becomes.
var anywhere = regexp.MustCompile(`$`)

// Known is the selector of the kinds that are known.
func Known() *Selector {
	s, _ := NewSelector() // their paths are right
	return s
}

// NewSelector makes a selector of the kinds that are known and of what rules say; later rules win over earlier ones. A kind that is allowed
// is allowed at these paths and no others; one that is denied is left alone at them.
func NewSelector(rules ...Rules) (*Selector, error) {
	s := &Selector{allow: map[string]places{}, deny: map[string]places{}}
	var errs []error
	for _, r := range append([]Rules{known()}, rules...) {
		for _, list := range []struct {
			filters   []Filter
			into, out map[string]places
		}{{r.Allow, s.allow, s.deny}, {r.Deny, s.deny, s.allow}} {
			for _, f := range list.filters {
				p, err := f.compile()
				errs = append(errs, err)
				list.into[f.GroupKind] = p
				delete(list.out, f.GroupKind)
			}
		}
	}
	for _, f := range defaultDeny {
		if !mentioned(rules, f.GroupKind) {
			p, err := f.compile()
			errs = append(errs, err)
			s.deny[f.GroupKind] = p
		}
	}
	return s, errors.Join(errs...)
}

func mentioned(rules []Rules, groupKind string) bool {
	return slices.ContainsFunc(rules, func(r Rules) bool {
		return slices.ContainsFunc(slices.Concat(r.Allow, r.Deny), func(f Filter) bool { return f.GroupKind == groupKind })
	})
}

func (f Filter) compile() (p places, err error) {
	if f.GroupKind == "" {
		return p, errors.New("resourceSelector: a rule has no groupKind")
	}
	for _, list := range []struct {
		paths []string
		into  *[]*regexp.Regexp
	}{{f.Image, &p.image}, {f.Labels, &p.labels}, {f.PodSpec, &p.pod}} {
		for _, path := range list.paths {
			compiled, err := compilePath(path)
			if err != nil {
				return p, fmt.Errorf("resourceSelector for %s: %w", f.GroupKind, err)
			}
			*list.into = append(*list.into, compiled)
		}
	}
	return p, nil
}

// compilePath makes a pattern of a path. Indexes are left out: every item of a list counts.
func compilePath(path string) (*regexp.Regexp, error) {
	if path == ".*" {
		return anywhere, nil
	}
	if !strings.HasPrefix(path, ".") {
		return nil, fmt.Errorf("path %q must start with a dot", path)
	}
	plain := regexp.MustCompile(`\[[^]]*\]`).ReplaceAllString(strings.TrimSuffix(path, "."), "")
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(plain), `\.\*`, `(\.[^.]+)?`) + "$"), nil
}

// hits says whether a spot is one of the places; field is the key that "anywhere" stands for.
func hits(places []*regexp.Regexp, at *spot, field string) bool {
	return slices.ContainsFunc(places, func(p *regexp.Regexp) bool {
		if p == anywhere {
			return at.key == field
		}
		return p.MatchString(at.String())
	})
}

func groupKind(o Object) string {
	if group := o.Group(); group != "" {
		return o.Kind() + "." + group
	}
	return o.Kind()
}

// places gives what is allowed and denied in an object; ok is false for objects that are left alone as a whole.
func (s *Selector) places(o Object) (allow, deny places, ok bool) {
	kind := groupKind(o)
	allow, ok = s.allow[kind]
	if !ok && strings.HasSuffix(o.Group(), ".cnrm.cloud.google.com") {
		allow, ok = places{image: []*regexp.Regexp{anywhere}, labels: []*regexp.Regexp{anywhere}}, true
	}
	deny = s.deny[kind]
	if slices.Contains(deny.image, anywhere) || slices.Contains(deny.labels, anywhere) || slices.Contains(deny.pod, anywhere) {
		return allow, deny, false
	}
	if own := o.field("metadata", "annotations", ImagePathsAnnotation); own != "" {
		for _, path := range splitPaths(own) {
			if compiled, err := compilePath(path); err == nil {
				allow.image, ok = append(slices.Clone(allow.image), compiled), true
			}
		}
	}
	return allow, deny, ok
}

// defaultDeny are places that cannot be changed once an object exists, or where labels that come and go do harm.
var defaultDeny = []Filter{
	{GroupKind: "StatefulSet.apps", Labels: []string{".spec.volumeClaimTemplates.metadata.labels"}},
	{GroupKind: "Job.batch", Labels: []string{".spec.template.metadata.labels"}},
}

// operators are namespaced kinds that carry pods and that Skaffold does not know. Their images are replaced; their labels are set on the object alone, as it
// is not known what the operator does with those of its pods.
var operators = map[string]string{
	"agones.dev":               "GameServerSet",
	"apps.kruise.io":           "CloneSet DaemonSet StatefulSet AdvancedCronJob BroadcastJob",
	"apps.openshift.io":        "DeploymentConfig",
	"argoproj.io":              "AnalysisRun AnalysisTemplate Experiment Sensor",
	"batch.volcano.sh":         "Job",
	"flink.apache.org":         "FlinkDeployment FlinkSessionJob",
	"jobset.x-k8s.io":          "JobSet",
	"keda.sh":                  "ScaledJob",
	"kubeflow.org":             "MPIJob Notebook PaddleJob PyTorchJob TFJob XGBoostJob",
	"kubevirt.io":              "VirtualMachine VirtualMachineInstance VirtualMachineInstanceReplicaSet",
	"leaderworkerset.x-k8s.io": "LeaderWorkerSet",
	"pool.kubevirt.io":         "VirtualMachinePool",
	"ray.io":                   "RayCluster RayJob RayService",
	"sources.knative.dev":      "ContainerSource",
	"sparkoperator.k8s.io":     "ScheduledSparkApplication SparkApplication",
	"tekton.dev":               "Pipeline PipelineRun StepAction Task TaskRun",
}

// known are the kinds that hold images: those with pods in them, and those of operators that keep them elsewhere.
func known() Rules {
	all := []string{".*"}
	var r Rules
	for group, kinds := range map[string]string{
		"":                    "Pod Service PodTemplate ReplicationController",
		"apps":                "DaemonSet Deployment ReplicaSet StatefulSet",
		"extensions":          "DaemonSet Deployment ReplicaSet StatefulSet",
		"batch":               "Job CronJob",
		"serving.knative.dev": "Service Configuration Revision",
		"agones.dev":          "Fleet GameServer",
		"argoproj.io":         "Rollout Workflow CronWorkflow WorkflowTemplate ClusterWorkflowTemplate",
		"run.googleapis.com":  "Job WorkerPool",
	} {
		for kind := range strings.FieldsSeq(kinds) {
			if group != "" {
				kind += "." + group
			}
			f := Filter{GroupKind: kind, Image: all, Labels: all}
			if slices.Contains([]string{"", "apps", "extensions", "batch"}, group) {
				f.PodSpec = all
			}
			r.Allow = append(r.Allow, f)
		}
	}
	for group, kinds := range operators {
		for kind := range strings.FieldsSeq(kinds) {
			r.Allow = append(r.Allow, Filter{GroupKind: kind + "." + group, Image: all, Labels: []string{".metadata.labels"}})
		}
	}
	for _, kind := range []string{"Connect", "ControlCenter", "Kafka", "KsqlDB", "SchemaRegistry", "Zookeeper"} {
		r.Allow = append(r.Allow, Filter{GroupKind: kind + ".platform.confluent.io", Image: []string{".spec.image.application", ".spec.image.init"}, Labels: all})
	}
	r.Allow = append(r.Allow, Filter{GroupKind: "KafkaConnect.kafka.strimzi.io", Image: []string{".spec.image"}, Labels: all})
	r.Allow = append(r.Allow, Filter{GroupKind: "Kafka.kafka.strimzi.io", Labels: all, Image: []string{
		".spec.kafka.image", ".spec.zookeeper.image", ".spec.entityOperator.topicOperator.image", ".spec.entityOperator.userOperator.image",
		".spec.kafkaExporter.image",
	}})
	return r
}
