//go:build e2e

package workloads

import (
	"fmt"
	"strings"
	"testing"

	"github.com/davit-dev/davit/kubebox/e2e/boxtest"
)

func TestDeploymentRollsOut(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	n.Apply(t, deployment("web", 2, pod(idle, "        env: [{name: EDITION, value: first}]")))
	n.Kubectl(t, "rollout", "status", "deployment/web", "--timeout=2m")
	n.Kubectl(t, "set", "env", "deployment/web", "EDITION=second")
	n.Kubectl(t, "rollout", "status", "deployment/web", "--timeout=2m")
	if got := n.Kubectl(t, "exec", "deployment/web", "--", "sh", "-c", "echo $EDITION"); got != "second" {
		t.Errorf("after the rollout the pods have EDITION=%s, want second", got)
	}
	n.Kubectl(t, "scale", "deployment/web", "--replicas=1")
	n.Await(t, "jsonpath={.status.readyReplicas}=1", "deployment/web")
}

func TestDeploymentRunsWhatWasPushed(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	n.Apply(t, deployment("web", 1, pod(idle, "")))
	n.Kubectl(t, "rollout", "status", "deployment/web", "--timeout=2m")
	id := n.Kubectl(t, "get", "pods", "--output=jsonpath={.items[0].status.containerStatuses[0].imageID}")
	if want := registry + "/kubebox-e2e/busybox@" + digest; id != want {
		t.Errorf("the pod runs %s, want %s", id, want)
	}
}

func TestStatefulSetKeepsNamesAndData(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	n.Apply(t, fmt.Sprintf(`
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:%s
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      accessModes: [ReadWriteOnce]
      resources: {requests: {storage: 1Mi}}
---%s`, pod(idle, ""), service("db", "  clusterIP: None")))
	n.Kubectl(t, "rollout", "status", "statefulset/db", "--timeout=2m")
	n.Kubectl(t, "exec", "db-1", "--", "sh", "-c", "echo kept > /data/file")
	n.Kubectl(t, "delete", "pod", "db-1")
	n.Kubectl(t, "rollout", "status", "statefulset/db", "--timeout=2m")
	if got := n.Kubectl(t, "exec", "db-1", "--", "cat", "/data/file"); got != "kept" {
		t.Errorf("the new db-1 finds %q on its volume, want what the old one wrote", got)
	}
	address := n.Kubectl(t, "get", "pod", "db-1", "--output=jsonpath={.status.podIP}")
	boxtest.Eventually(t, func() error {
		answer, err := n.TryKubectl("exec", "db-0", "--", "nslookup", "db-1.db."+n.Name+".svc.cluster.local")
		if err == nil && !strings.Contains(answer, address) {
			err = fmt.Errorf("db-1 has the address %s, but its name leads to:\n%s", address, answer)
		}
		return err
	})
}

func TestDaemonSetRunsOnTheNode(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	n.Apply(t, fmt.Sprintf(`
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:%s`, pod(idle, "")))
	n.Kubectl(t, "rollout", "status", "daemonset/agent", "--timeout=2m")
	if node := n.Kubectl(t, "get", "pods", "--output=jsonpath={.items[*].spec.nodeName}"); node != "kubebox" {
		t.Errorf("the agent runs on %q, want once on kubebox", node)
	}
}

func TestJobSucceedsAndFails(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	const job = `
apiVersion: batch/v1
kind: Job
metadata: {name: %s}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never%s
---`
	n.Apply(t, fmt.Sprintf(job, "good", pod("echo done", ""))+fmt.Sprintf(job, "bad", pod("exit 3", "")))
	n.Await(t, "condition=Complete", "job/good")
	n.Await(t, "condition=Failed", "job/bad")
	if got := n.Kubectl(t, "logs", "job/good"); got != "done" {
		t.Errorf("the job's log is %q, want done", got)
	}
}

func TestCronJobRunsByTheClock(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	n.Apply(t, fmt.Sprintf(`
apiVersion: batch/v1
kind: CronJob
metadata: {name: clock}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never%s`, strings.ReplaceAll(pod("echo tick", ""), "\n", "\n    ")))
	n.Await(t, "jsonpath={.status.lastSuccessfulTime}", "cronjob/clock")
}
