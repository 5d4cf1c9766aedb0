package kube

import (
	"context"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// LocalRegistry is the registry that the cluster advertises for images built on this machine, as KEP-1755 specifies
// ("localhost:5001"); "" if it advertises none.
func (c *Client) LocalRegistry(ctx context.Context) (string, error) {
	ctx = quiet(ctx)
	u, err := c.get(ctx, configMaps, "kube-public", "local-registry-hosting")
	if apierrors.IsForbidden(err) || err == nil && u == nil {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("asking the cluster for its local registry: %w", err)
	}
	text, _, _ := unstructured.NestedString(u.Object, "data", "localRegistryHosting.v1")
	var hosting struct{ Host string }
	if err := yaml.Unmarshal([]byte(text), &hosting); err != nil {
		return "", fmt.Errorf("reading configmap/local-registry-hosting in namespace kube-public: %w", err)
	}
	return hosting.Host, nil
}

// NodePlatforms are the platforms of the cluster's nodes ("linux/amd64"), sorted, each once; none if we may not see the nodes.
func (c *Client) NodePlatforms(ctx context.Context) ([]string, error) {
	ctx = quiet(ctx)
	nodes, err := c.list(ctx, Resource{Version: "v1", Kind: "Node", Name: "nodes"}, "", metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking the cluster for its nodes: %w", err)
	}
	var all []string
	for _, n := range nodes {
		os, _, _ := unstructured.NestedString(n.Object, "status", "nodeInfo", "operatingSystem")
		arch, _, _ := unstructured.NestedString(n.Object, "status", "nodeInfo", "architecture")
		if os != "" && arch != "" {
			all = append(all, os+"/"+arch)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
