package helm

import (
	"context"
	"fmt"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
)

// lookAfter warns of workloads that are not ready of a release that is left alone. They are not waited for: nothing was done to them.
func (w *Work) lookAfter(ctx context.Context, it *item) {
	if it.deployed == nil {
		w.sink.Emit(event.Warning{Message: fmt.Sprintf("release %s is left alone, and its revision %d is %s", it.Name, it.last.Version, it.last.Info.Status)})
		return
	}
	var unready []string
	objects, err := it.deployed.objects()
	if err == nil {
		var made []kube.Object
		if made, err = clusterObjects(it.Name, it.Namespace, objects, false); err == nil {
			unready, err = w.kube.Unready(ctx, made, w.sink)
		}
	}
	if err != nil { // whoever may not read them can still deploy the rest
		w.sink.Emit(event.Info{Message: fmt.Sprintf("release %s is left alone, and whether it is ready cannot be found out: %v", it.Name, err)})
	}
	for _, why := range unready {
		w.sink.Emit(event.Warning{Message: fmt.Sprintf("release %s is left alone, and not ready: %s", it.Name, why)})
	}
}
