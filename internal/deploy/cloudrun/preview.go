package cloudrun

import (
	"context"
	"encoding/json"

	"github.com/davit-dev/davit/internal/deploy/preview"
	"github.com/davit-dev/davit/internal/kube"
)

// Preview finds out what Apply would do with the same arguments, and does nothing of it.
func (d *Deployer) Preview(ctx context.Context, t Target, objects []Object) ([]preview.Object, error) {
	items, err := d.items(ctx, t, objects)
	if err != nil {
		return nil, err
	}
	all := make([]preview.Object, len(items))
	places := make([]int, len(items))
	for i := range places {
		places[i] = i
	}
	return all, forAll(places, func(i int) (err error) {
		all[i], err = items[i].preview(ctx)
		all[i].Region = t.Region
		return err
	})
}

func (it *item) preview(ctx context.Context) (preview.Object, error) {
	o := preview.Object{Resource: it.resource(), Namespace: it.project, Origin: it.Origin}
	live, action, err := it.compare(ctx)
	if err != nil {
		return o, err
	}
	o.Action = action
	want, err := plain(it.body)
	if err != nil {
		return o, it.fail("comparing", err)
	}
	annotation(want)
	o.Fields = want
	if live == nil {
		return o, nil
	}
	have, err := plain(live)
	if err != nil {
		return o, it.fail("comparing", err)
	}
	o.ID = it.kind.meta(live).Uid
	if action == kube.ActionUnchanged {
		return o, nil
	}
	last := annotation(have)
	have["metadata"].(map[string]any)["namespace"] = it.project // Cloud Run answers with its number
	o.Changes = kube.Between(have, merged(have, last, want).(map[string]any))
	if len(last) == 0 {
		o.Notes = []string{"davit did not deploy it: what the manifest does not have is taken out of it, too"}
	}
	return o, nil
}

// annotation takes what davit wrote last out of an object, and reads it.
func annotation(fields map[string]any) map[string]any {
	meta, _ := fields["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	text, _ := annotations[annotationManifest].(string)
	if delete(annotations, annotationManifest); annotations != nil && len(annotations) == 0 {
		delete(meta, "annotations")
	}
	last := map[string]any{}
	if err := json.Unmarshal([]byte(text), &last); err != nil {
		return map[string]any{} // it was not davit that wrote it
	}
	return last
}

// merged is what becomes of have when want takes the place of last: what the server filled in stays.
func merged(have, last, want any) any {
	switch want := want.(type) {
	case map[string]any:
		h, isMap := have.(map[string]any)
		l, _ := last.(map[string]any)
		if !isMap && len(want) == 0 {
			return have
		}
		out := map[string]any{}
		for name, value := range h {
			was, written := l[name]
			_, below := was.(map[string]any)
			switch _, wanted := want[name]; {
			case wanted:
			case !written:
				out[name] = value
			case below:
				if left, _ := merged(value, was, map[string]any{}).(map[string]any); len(left) > 0 {
					out[name] = left
				}
			}
		}
		for name, value := range want {
			if next := merged(h[name], l[name], value); next != nil {
				out[name] = next
			}
		}
		return out
	case []any:
		h, _ := have.([]any)
		l, _ := last.([]any)
		if len(h) != len(want) {
			return want
		}
		out := make([]any, len(want))
		for i := range want {
			var was any
			if i < len(l) {
				was = l[i]
			}
			out[i] = merged(h[i], was, want[i])
		}
		return out
	}
	if holds(have, want) {
		return have
	}
	return want
}
