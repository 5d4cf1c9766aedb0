package kube

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// The history of a set is a Secret for each revision beside the set's parent, which owns them: the objects of a deployment may be Secrets, and so are
// as well protected here as there. The parent says which deployment was the last good one, so that a run in which nothing changed knows without
// asking that it has a record already.
const (
	labelHistory       = "davit.dev/history"  // the set's ID
	annotationRevision = "davit.dev/revision" // the Revision, as JSON
	annotationDeployed = "davit.dev/deployed" // of the parent: the digest of what the last good revision holds
	historyManager     = "davit-history"
	contentKey         = "content"
	// maxContent is what fits into a Secret, less some room: the API server takes one mebibyte.
	maxContent = 1000 << 10
)

var secretResource = Resource{Version: "v1", Kind: "Secret", Name: "secrets", Namespaced: true}

// What became of a revision.
const (
	RevisionDeployed = "deployed"
	RevisionFailed   = "failed"
)

// Revision is one deployment of a set, as its history tells it.
type Revision struct {
	Number   int             `json:"revision"`
	Run      time.Time       `json:"time"` // when the run began: the same for all sets of a run
	Status   string          `json:"status"`
	Commit   string          `json:"commit,omitempty"` // of git, "-dirty" when files differed from it
	Changed  string          `json:"changed,omitempty"`
	Note     string          `json:"note,omitempty"` // "rollback to 3"
	Images   []RevisionImage `json:"images,omitempty"`
	Releases []Release       `json:"releases,omitempty"`
	Objects  int             `json:"objects"`
	Digest   string          `json:"digest"`         // of what was deployed: the same when that is
	Bare     bool            `json:"bare,omitempty"` // its objects were too large to be kept
}

// RevisionImage is an image that was deployed.
type RevisionImage struct {
	Image     string `json:"image"` // as in the config
	Reference string `json:"reference"`
}

// Release is a Helm release that a deployment made or left as it was, in the revision that it then had.
type Release struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
	Revision  int    `json:"revision"`
}

// Content is what a revision puts back.
type Content struct {
	Objects  []Object // as they were given to Apply
	Orphans  []Orphan // what was left in the cluster then
	Images   []Built  // for the proof
	Releases []Release
}

// kept is Content as it is stored.
type kept struct {
	Objects  []keptObject `json:"objects"`
	Orphans  []Orphan     `json:"orphans,omitempty"`
	Images   []Built      `json:"images,omitempty"`
	Releases []Release    `json:"releases,omitempty"`
}

type keptObject struct {
	Origin string          `json:"origin,omitempty"`
	Object json.RawMessage `json:"object"`
}

// Digest names what a content puts into the cluster: the same for the same objects and releases, in whichever order.
func (c Content) Digest() (string, error) {
	parts := make([]string, 0, len(c.Objects))
	for _, o := range c.Objects {
		text, err := json.Marshal(o.Object)
		if err != nil {
			return "", fmt.Errorf("keeping %s: %w", refOf(o.Unstructured), err)
		}
		parts = append(parts, string(text))
	}
	for _, r := range c.Releases {
		parts = append(parts, fmt.Sprintf("release %s/%s %d", r.Namespace, r.Name, r.Revision))
	}
	slices.Sort(parts)
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16]), nil
}

func (c Content) pack() ([]byte, error) {
	k := kept{Orphans: c.Orphans, Images: c.Images, Releases: c.Releases}
	for _, o := range c.Objects {
		text, err := json.Marshal(o.Object)
		if err != nil {
			return nil, fmt.Errorf("keeping %s: %w", refOf(o.Unstructured), err)
		}
		k.Objects = append(k.Objects, keptObject{o.Origin, text})
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	err := errors.Join(json.NewEncoder(w).Encode(k), w.Close())
	return packed.Bytes(), err
}

func unpack(packed []byte) (Content, error) {
	var c Content
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return c, err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return c, err
	}
	var k kept
	if err := json.Unmarshal(text, &k); err != nil {
		return c, err
	}
	c = Content{Orphans: k.Orphans, Images: k.Images, Releases: k.Releases}
	for _, o := range k.Objects {
		object, err := ParseObject(o.Object, o.Origin)
		if err != nil {
			return c, err
		}
		c.Objects = append(c.Objects, object)
	}
	return c, nil
}

// Recorded is the digest of what the last good revision of the set holds; empty when there is none. known says whether the set has an inventory, without
// which it has no history either.
func (r *ApplyResult) Recorded() (digest string, known bool) {
	if r.parent == nil {
		return "", false
	}
	return r.parent.GetAnnotations()[annotationDeployed], true
}

// History lists the revisions of a set, the newest first.
func (c *Client) History(ctx context.Context, set Set) ([]Revision, error) {
	var list struct {
		Items []metav1.PartialObjectMetadata
	}
	err := c.ask(quiet(ctx), func() error {
		// Without what they hold.
		body, err := c.raw.Get().AbsPath("/api/v1/namespaces", set.Namespace, "secrets").Param("labelSelector", labelHistory+"="+set.ID()).
			SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").Do(quiet(ctx)).Raw()
		if err != nil {
			return err
		}
		return json.Unmarshal(body, &list)
	})
	if err != nil {
		return nil, fmt.Errorf("reading the history of %s in namespace %s: %w", set.Name, set.Namespace, err)
	}
	var all []Revision
	for _, item := range list.Items {
		var r Revision
		if json.Unmarshal([]byte(item.Annotations[annotationRevision]), &r) == nil && r.Number > 0 {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b Revision) int { return cmp.Compare(b.Number, a.Number) })
	return all, nil
}

// Content reads what a revision holds.
func (c *Client) Content(ctx context.Context, set Set, number int) (Content, error) {
	u, err := c.get(quiet(ctx), secretResource, set.Namespace, revisionName(set, number))
	if err == nil && u == nil {
		err = errors.New("it is not there any more")
	}
	if err != nil {
		return Content{}, fmt.Errorf("reading revision %d of %s in namespace %s: %w", number, set.Name, set.Namespace, err)
	}
	text, _, _ := unstructured.NestedString(u.Object, "data", contentKey)
	packed, err := base64.StdEncoding.DecodeString(text)
	if err == nil && len(packed) == 0 {
		return Content{}, fmt.Errorf("revision %d of %s in namespace %s was too large for its objects to be kept: deploy its commit again", number, set.Name, set.Namespace)
	}
	var content Content
	if err == nil {
		content, err = unpack(packed)
	}
	if err != nil {
		return content, fmt.Errorf("reading revision %d of %s in namespace %s: %w", number, set.Name, set.Namespace, err)
	}
	return content, nil
}

func revisionName(set Set, number int) string { return fmt.Sprintf("%s.v%d", set.Name, number) }

// Record adds a deployment to the history of its set, of which result is, and drops what is over the limit; the newest good revision always stays. r has
// its number, digest and count of objects from here. When the newest revision says the same and nothing was changed since, it is that one.
func (c *Client) Record(ctx context.Context, set Set, result *ApplyResult, r Revision, content Content, limit int) (Revision, error) {
	if result.parent == nil {
		return r, nil // without an inventory there is nothing to keep a history of
	}
	ctx = quiet(ctx)
	past, err := c.History(ctx, set)
	if err != nil {
		return r, err
	}
	if r.Digest, err = content.Digest(); err != nil {
		return r, err
	}
	r.Objects = len(content.Objects)
	if again := len(past) > 0 && r.Changed == "" && past[0].Digest == r.Digest && past[0].Status == r.Status; again {
		return past[0], c.noteDeployed(ctx, set, past[0])
	}
	r.Number = 1
	if len(past) > 0 {
		r.Number = past[0].Number + 1
	}
	if err := c.writeRevision(ctx, set, result, &r, content); err != nil {
		return r, err
	}
	return r, errors.Join(c.noteDeployed(ctx, set, r), c.forget(ctx, set, append([]Revision{r}, past...), limit))
}

func (c *Client) writeRevision(ctx context.Context, set Set, result *ApplyResult, r *Revision, content Content) error {
	packed, err := content.pack()
	if err != nil {
		return err
	}
	if r.Bare = len(packed) > maxContent; r.Bare {
		packed = nil
	}
	for range 10 {
		meta, err := json.Marshal(r)
		if err != nil {
			return err
		}
		u := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Secret", "type": annotationRevision, "immutable": true,
			"metadata": map[string]any{
				"name": revisionName(set, r.Number), "namespace": set.Namespace,
				"labels":      map[string]any{labelHistory: set.ID()},
				"annotations": map[string]any{annotationRevision: string(meta)},
				"ownerReferences": []any{map[string]any{
					"apiVersion": "v1", "kind": "ConfigMap", "name": set.Name, "uid": string(result.parent.GetUID()),
				}},
			},
			"data": map[string]any{contentKey: base64.StdEncoding.EncodeToString(packed)},
		}}
		err = c.create(ctx, secretResource, u, historyManager)
		if !apierrors.IsAlreadyExists(err) {
			if err != nil {
				return fmt.Errorf("keeping revision %d of %s in namespace %s: %w", r.Number, set.Name, set.Namespace, err)
			}
			return nil
		}
		r.Number++ // somebody else deployed at the same time
	}
	return fmt.Errorf("keeping a revision of %s in namespace %s: others keep taking its number", set.Name, set.Namespace)
}

// noteDeployed makes the parent say what the last good revision holds.
func (c *Client) noteDeployed(ctx context.Context, set Set, r Revision) error {
	if r.Status != RevisionDeployed {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{annotationDeployed: r.Digest}}})
	if err != nil {
		return err
	}
	err = c.ask(ctx, func() error {
		_, err := c.in(configMaps, set.Namespace).Patch(ctx, set.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: historyManager})
		return err
	})
	if err != nil {
		return &inventoryError{"writing", set, err}
	}
	return nil
}

// forget deletes the revisions over the limit. all are the newest first.
func (c *Client) forget(ctx context.Context, set Set, all []Revision, limit int) error {
	good := slices.IndexFunc(all, func(r Revision) bool { return r.Status == RevisionDeployed })
	var old []Revision
	for i, r := range all {
		if i >= limit && i != good {
			old = append(old, r)
		}
	}
	return forAll(old, func(r Revision) error {
		name := revisionName(set, r.Number)
		err := c.ask(ctx, func() error { return c.in(secretResource, set.Namespace).Delete(ctx, name, metav1.DeleteOptions{}) })
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("forgetting secret/%s in namespace %s: %w", name, set.Namespace, err)
		}
		return nil
	})
}

// WithoutHistory notes that a deployment is known though no revision of it could be kept, so that the next run that changes nothing does not try again.
func (c *Client) WithoutHistory(ctx context.Context, set Set, digest string) error {
	return c.noteDeployed(quiet(ctx), set, Revision{Status: RevisionDeployed, Digest: digest})
}
