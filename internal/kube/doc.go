// Package kube is davit's way to a Kubernetes cluster: it applies objects, keeps the inventory of what it applied, waits
// until the workloads are rolled out, proves that they run what was built, and deletes.
//
// The story of one run, in the order of the calls:
//
//   - [Connect] reads the kubeconfig and makes one HTTP client. Nothing is sent yet.
//   - [Client.Apply] finds out which resource each object is (discovery.go, cached on disk), reads what is there
//     (live.go), decides without the cluster what would change (diff.go) and in which order (order.go), and sends
//     server-side apply for those only (apply.go). The set's members are kept in an ApplySet parent (inventory.go).
//   - [Client.Wait] follows the workloads by watches until each is rolled out or has failed (wait.go). What "rolled out"
//     means is said in one file per kind (ready_*.go), what is wrong with a pod in pod.go.
//   - [Prove] compares the image IDs of the pods that Wait saw with the digests that were built (prove.go).
//   - [Client.Delete] takes a set away again (delete.go).
//
// Objects are unstructured throughout: the generated clients and their schemes would cost more at start-up than the
// whole of a run in which nothing changed.
package kube
