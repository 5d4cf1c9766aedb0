// Package cloudruntest stands in for Cloud Run, which no test can reach.
package cloudruntest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// Server is the stand-in. It keeps objects under the paths of the real API, numbers their generations, and lets them get ready at the second look. It knows
// nothing else of Cloud Run: whether a manifest is right, for one, only Google can say. Its fields may be read and set between calls.
type Server struct {
	Address string // of its API, with a slash at the end
	Objects map[string]map[string]any
	Writes  []string          // "PUT /apis/...: body"
	Refuse  int               // status of all answers; 0: none is refused
	Broken  map[string]string // by name, why it does not get ready

	t         testing.TB
	mu        sync.Mutex
	looks     map[string]int
	revisions map[string][]map[string]any // of services, by their paths
}

// Start runs a stand-in until the test ends.
func Start(t testing.TB) *Server {
	s := &Server{t: t, Objects: map[string]map[string]any{}, looks: map[string]int{}, Broken: map[string]string{}, revisions: map[string][]map[string]any{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.Address = server.URL + "/"
	return s
}

// ServeHTTP answers as the API does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Refuse != 0 {
		w.WriteHeader(s.Refuse)
		fmt.Fprintf(w, `{"error": {"code": %d, "message": "not for you"}}`, s.Refuse)
		return
	}
	path := r.URL.Path
	var body map[string]any
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			s.t.Error(err)
		}
		text, _ := json.Marshal(body)
		s.Writes = append(s.Writes, r.Method+" "+path+": "+string(text))
	}
	generation := 1.0
	switch r.Method {
	case http.MethodPost:
		path += "/" + body["metadata"].(map[string]any)["name"].(string)
	case http.MethodPut:
		generation = s.Objects[path]["metadata"].(map[string]any)["generation"].(float64) + 1
	case http.MethodDelete:
		if s.Objects[path] != nil {
			delete(s.Objects, path)
			delete(s.revisions, path)
			fmt.Fprint(w, "{}")
			return
		}
	}
	if body != nil {
		body["metadata"].(map[string]any)["generation"] = generation
		body["metadata"].(map[string]any)["namespace"] = "123456" // the project's number
		s.Objects[path], s.looks[path] = body, 0
		s.revise(path, body)
	}
	if parent, ok := strings.CutSuffix(path, "/revisions"); ok {
		service := parent + "/services/" + strings.TrimPrefix(r.URL.Query().Get("labelSelector"), "serving.knative.dev/service=")
		if err := json.NewEncoder(w).Encode(map[string]any{"items": s.revisions[service]}); err != nil {
			s.t.Error(err)
		}
		return
	}
	object, ok := s.Objects[path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error": {"code": 404, "message": "no such thing"}}`)
		return
	}
	s.looks[path]++
	ready := map[string]any{"type": "Ready", "status": "Unknown", "message": "Deploying revision"}
	name := path[strings.LastIndex(path, "/")+1:]
	switch why := s.Broken[name]; {
	case why != "":
		ready["status"], ready["message"] = "False", why
	case s.looks[path] > 2:
		ready["status"], ready["message"] = "True", ""
	}
	answer := maps.Clone(object)
	answer["status"] = map[string]any{"observedGeneration": generationOf(object), "conditions": []any{ready}, "url": "https://" + name + ".example.com"}
	if traffic, ok := object["spec"].(map[string]any)["traffic"]; ok {
		answer["status"].(map[string]any)["traffic"] = traffic
	} else if all := s.revisions[path]; len(all) > 0 {
		answer["status"].(map[string]any)["traffic"] = []any{map[string]any{"revisionName": all[len(all)-1]["metadata"].(map[string]any)["name"], "percent": 100, "latestRevision": true}}
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.t.Error(err)
	}
}

// revise makes a revision of a service whose template is another one.
func (s *Server) revise(path string, service map[string]any) {
	all, template := s.revisions[path], service["spec"].(map[string]any)["template"]
	if !strings.Contains(path, "/services/") || len(all) > 0 && reflect.DeepEqual(all[len(all)-1]["spec"], template.(map[string]any)["spec"]) {
		return
	}
	name, generation, ready := path[strings.LastIndex(path, "/")+1:], fmt.Sprint(generationOf(service)), "True"
	if s.Broken[name] != "" {
		ready = "False"
	}
	s.revisions[path] = append(all, map[string]any{
		"metadata": map[string]any{
			"name": fmt.Sprintf("%s-%05d-abc", name, len(all)+1), "creationTimestamp": "2026-11-23T08:00:00.5Z",
			"labels": map[string]any{"serving.knative.dev/service": name, "serving.knative.dev/configurationGeneration": generation},
		},
		"spec": template.(map[string]any)["spec"], "status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": ready}}},
	})
}

func generationOf(object map[string]any) any {
	return object["metadata"].(map[string]any)["generation"]
}
