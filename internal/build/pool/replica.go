package pool

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/davit-dev/davit/internal/kube"
)

// byRank sorts the pods for an artifact, the one to build on first: by rendezvous hashing, so that the artifacts of a replica
// that goes away spread over the others, and all others stay where their caches are.
func byRank(pods []*corev1.Pod, artifact string) {
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return cmp.Compare(score(b.Name, artifact), score(a.Name, artifact)) })
}

func score(pod, artifact string) uint64 {
	sum := sha256.Sum256([]byte(pod + "\x00" + artifact))
	return binary.BigEndian.Uint64(sum[:])
}

// ready says whether a buildkitd answers in the pod.
func ready(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// life tells a replica from what has its name after it died.
func life(pod *corev1.Pod) string {
	id := string(pod.UID)
	for _, s := range pod.Status.ContainerStatuses {
		id += "/" + s.ContainerID
	}
	return id
}

// attempt is a build on one replica.
type attempt struct {
	kube    *kube.Client
	options Options
	pod     *corev1.Pod

	mu      sync.Mutex
	started []*kube.Process
}

// dial connects to the replica's buildkitd.
func (a *attempt) dial(ctx context.Context) (net.Conn, error) {
	p, err := a.kube.Exec(ctx, a.options.Namespace, a.pod.Name, container, a.options.buildctl("dial-stdio")...)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.started = append(a.started, p)
	return p, nil
}

// broken is why a connection to the replica ended before we ended it; nil when none did.
func (a *attempt) broken() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.started {
		if err := p.Err(); err != nil {
			return err
		}
	}
	return nil
}

// goneAfter is how long a connection may outlive the time that a pod has to end.
const goneAfter = 10 * time.Second

// untilGone returns once the pod is no more, even where nobody tells: a node that is lost cuts no connection.
func (a *attempt) untilGone(ctx context.Context) error {
	var grace time.Duration
	gone := func(pod *corev1.Pod) bool { return pod == nil || pod.UID != a.pod.UID }
	err := a.kube.UntilPod(ctx, a.options.Namespace, a.pod.Name, aDay, func(pod *corev1.Pod) bool {
		if pod != nil && pod.DeletionGracePeriodSeconds != nil {
			grace = time.Duration(*pod.DeletionGracePeriodSeconds)*time.Second + goneAfter
		}
		return gone(pod) || pod.DeletionTimestamp != nil
	})
	if err != nil || grace == 0 {
		return err
	}
	_ = a.kube.UntilPod(ctx, a.options.Namespace, a.pod.Name, grace, gone)
	return ctx.Err()
}

const aDay = 24 * time.Hour

// epitaph says what the cluster knows of why a connection ended; else what the connection itself said.
func (a *attempt) epitaph(ctx context.Context, broken error) *loss {
	pods, err := a.kube.Pods(ctx, a.options.Namespace, selector(a.options.Name))
	if err != nil {
		return &loss{why: broken.Error()}
	}
	i := slices.IndexFunc(pods, func(p *corev1.Pod) bool { return p.UID == a.pod.UID })
	if i < 0 || pods[i].DeletionTimestamp != nil {
		return &loss{dead: true, why: "its pod was deleted"}
	}
	for _, s := range pods[i].Status.ContainerStatuses {
		end := s.State.Terminated
		if life(pods[i]) != life(a.pod) {
			end = cmp.Or(end, s.LastTerminationState.Terminated)
		}
		switch {
		case end == nil:
		case end.Reason == "OOMKilled":
			return &loss{dead: true, why: "it ran out of memory, give it more (limits.memory=...)"}
		default:
			return &loss{dead: true, why: fmt.Sprintf("its buildkitd ended with exit code %d", end.ExitCode)}
		}
	}
	return &loss{why: broken.Error()}
}
