package kube

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestLogs reads logs with lines that are long, or that break off with the connection.
func TestLogs(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	logs := map[string]string{"long": "first\n\n" + long + "\r\nlast", "cut": "first\nbroken o", "silent": ""}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		container := r.URL.Query().Get("container")
		if container == "cut" {
			w.Header().Set("Content-Length", "1000")
		}
		fmt.Fprint(w, logs[container])
	}))
	defer server.Close()
	c := connect(t, Options{Kubeconfig: []string{kubeconfigFor(t, server.URL)}})
	read := func(containers ...string) (lines []string, err error) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop"}}
		for _, name := range containers {
			pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: name})
		}
		err = c.Logs(t.Context(), pod, func(container, text string) { lines = append(lines, container+" "+text) })
		return lines, err
	}
	if lines, err := read("silent", "long"); err != nil || !slices.Equal(lines, []string{"long first", "long ", "long " + long, "long last"}) {
		t.Errorf("got %d lines: %v", len(lines), err)
	}
	lines, err := read("cut", "long")
	if !slices.Equal(lines, []string{"cut first"}) || err == nil || !strings.Contains(err.Error(), "reading the log of pod web, container cut: unexpected EOF") {
		t.Errorf("got %q: %v", lines, err)
	}
}
