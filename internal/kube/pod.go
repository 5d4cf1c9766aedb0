package kube

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// trouble is what is wrong with a pod.
type trouble struct {
	pod       string
	container string // empty: the pod itself
	cause     string // "cannot pull image X"
	detail    string // the words of the registry, the kubelet or the scheduler
	next      string
	crash     bool          // the program ended
	logs      bool          // the log of the container says more
	previous  bool          // and it is that of the container before the present one
	patience  time.Duration // how long it may stay so before it counts
	schedule  bool          // a cluster that grows may mend it
	pull      bool          // the events of the pod may say more
	node      string        // which may be what is wrong
}

// How long to hope for what others may mend: a Secret that an operator is about to write, a node that is about to come.
const (
	configPatience   = 10 * time.Second
	schedulePatience = 30 * time.Second
)

// podTrouble finds the gravest trouble of a pod; nil if there is none, or if it is one that passes. For the pods of a Job at
// work a crash is not one: the Job counts them itself.
func podTrouble(pod *corev1.Pod, warnings []warningEvent, ofJob bool) *trouble {
	if pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded {
		return nil
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		t := containerTrouble(pod, s)
		if t == nil || t.crash && ofJob {
			continue
		}
		t.pod, t.container, t.detail = pod.Name, s.Name, t.words(warnings)
		return t
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return &trouble{pod: pod.Name, cause: "no node takes the pod", detail: c.Message, patience: schedulePatience, schedule: true,
				next: "change its resources, selectors or tolerations, or add a node"}
		}
	}
	return mountTrouble(pod, warnings)
}

// mountTrouble is a volume whose ConfigMap or Secret is not there; only the events say so.
func mountTrouble(pod *corev1.Pod, warnings []warningEvent) *trouble {
	if pod.Status.Phase != corev1.PodPending || len(warnings) == 0 {
		return nil
	}
	last := warnings[len(warnings)-1]
	if last.Reason != "FailedMount" || !strings.HasSuffix(last.Message, "not found") {
		return nil
	}
	return &trouble{pod: pod.Name, cause: "a volume cannot be mounted", detail: last.Message, patience: schedulePatience,
		next: "create what it refers to, or correct the reference"}
}

func containerTrouble(pod *corev1.Pod, s corev1.ContainerStatus) *trouble {
	if w := s.State.Waiting; w != nil {
		return waitingTrouble(s, w)
	}
	// The first crash may be a service that is not there yet: the kubelet starts the container again at once. At the next one it
	// has begun to back off.
	t := s.State.Terminated
	if t == nil || t.ExitCode == 0 || s.RestartCount == 0 && pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
		return nil
	}
	return &trouble{cause: exitText(t), detail: t.Message, crash: true, logs: true, next: "see why the program ends"}
}

func waitingTrouble(s corev1.ContainerStatus, w *corev1.ContainerStateWaiting) *trouble {
	switch w.Reason {
	case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable":
		return &trouble{cause: "cannot pull image " + s.Image, detail: w.Message, pull: true,
			next: "check that the image exists and that the nodes may pull it (imagePullSecrets)"}
	case "ErrImageNeverPull":
		return &trouble{cause: "image " + s.Image + " is not on the node, and imagePullPolicy is Never", next: "load the image, or let it be pulled"}
	case "InvalidImageName":
		return &trouble{cause: "the image name " + s.Image + " is not valid", detail: w.Message, next: "correct the image in the manifest"}
	case "CreateContainerConfigError", "CreateContainerError":
		return &trouble{cause: "the container cannot be created", detail: w.Message, patience: configPatience,
			next: "create what it refers to, or correct the reference"}
	case "RunContainerError":
		return &trouble{cause: "the container cannot be started", detail: w.Message, next: "correct the command, or build the image for the nodes' platform"}
	case "CrashLoopBackOff":
		t := &trouble{cause: "the container crashes", crash: true, logs: true, previous: true, next: "see why the program ends"}
		if last := s.LastTerminationState.Terminated; last != nil {
			t.cause, t.detail = exitText(last), last.Message
			if last.Reason == "StartError" {
				t.logs, t.next = false, "correct the command, or build the image for the nodes' platform"
			}
		}
		return t
	}
	return nil
}

// exitText says how a container ended.
func exitText(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason == "OOMKilled":
		return "the container was killed for using more memory than its limit"
	case t.Reason == "StartError":
		return "the container cannot be started"
	case t.Signal != 0:
		return fmt.Sprintf("the container was ended by signal %d", t.Signal)
	case t.ExitCode == 0:
		return "the container ends by itself (exit code 0), but should keep running"
	}
	return fmt.Sprintf("the container crashed with exit code %d", t.ExitCode)
}

// podMessage is the passing state of a pod, for people who wait; "" if there is nothing to say.
func podMessage(pod *corev1.Pod, warnings []warningEvent) string {
	if isReady(pod) {
		return ""
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return trimmed(c.Reason, c.Message)
		}
	}
	message := containersMessage(pod)
	if len(warnings) > 0 {
		last := warnings[len(warnings)-1]
		return trimmed(message, last.Reason, last.Message)
	}
	return message
}

func containersMessage(pod *corev1.Pod) string {
	for _, s := range pod.Status.InitContainerStatuses {
		if s.State.Running != nil && !restartable(pod, s.Name) {
			return "waiting for init container " + s.Name + " to complete"
		}
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		switch w, t := s.State.Waiting, s.State.Terminated; {
		case w != nil && w.Reason == "ContainerCreating":
			return "creating container " + s.Name
		case w != nil && w.Reason != "PodInitializing":
			return "container " + s.Name + " is waiting: " + trimmed(w.Reason, w.Message)
		case t != nil && t.ExitCode != 0:
			return fmt.Sprintf("container %s terminated with exit code %d", s.Name, t.ExitCode)
		}
	}
	return ""
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// restartable says whether an init container is a sidecar, which runs as long as the pod.
func restartable(pod *corev1.Pod, name string) bool {
	i := slices.IndexFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == name })
	return i >= 0 && pod.Spec.InitContainers[i].RestartPolicy != nil
}

// words are those of a trouble that say most: the image pull's own, if the kubelet only says that it backs off.
func (t *trouble) words(warnings []warningEvent) string {
	if !t.pull || strings.Contains(t.detail, "ErrImagePull") || t.detail != "" && !strings.HasPrefix(t.detail, "Back-off") {
		return t.detail
	}
	for _, w := range slices.Backward(warnings) {
		if w.Reason == "Failed" && strings.Contains(w.Message, "pull") {
			return w.Message
		}
	}
	return t.detail
}
