package cloudrun

import (
	"context"

	"google.golang.org/api/run/v1"
)

// kind is one kind of object that Cloud Run has, and how its API is asked about it.
type kind struct {
	apiVersion, name string
	resource         string // as people read it
	plural           string // in paths
	parent           func(project, region string) string
	empty            func() any
	meta             func(body any) *run.ObjectMeta
	get              func(ctx context.Context, s *run.APIService, path string) (any, error)
	create           func(ctx context.Context, s *run.APIService, parent string, body any) error
	replace          func(ctx context.Context, s *run.APIService, path string, body any) error
	remove           func(ctx context.Context, s *run.APIService, path string) error
}

func kindOf(apiVersion, name string) *kind {
	for _, k := range []*kind{service(), job(), workerPool()} {
		if k.apiVersion == apiVersion && k.name == name {
			return k
		}
	}
	return nil
}

func namespace(project, _ string) string { return "namespaces/" + project }

// made gives the metadata of an object, which it may lack.
func made(meta **run.ObjectMeta) *run.ObjectMeta {
	if *meta == nil {
		*meta = &run.ObjectMeta{}
	}
	return *meta
}

func service() *kind {
	return &kind{
		apiVersion: "serving.knative.dev/v1", name: "Service", resource: "service.serving.knative.dev", plural: "services",
		parent: func(project, region string) string { return "projects/" + project + "/locations/" + region },
		empty:  func() any { return &run.Service{} },
		meta:   func(body any) *run.ObjectMeta { return made(&body.(*run.Service).Metadata) },
		get: func(ctx context.Context, s *run.APIService, path string) (any, error) {
			return s.Projects.Locations.Services.Get(path).Context(ctx).Do()
		},
		create: func(ctx context.Context, s *run.APIService, parent string, body any) error {
			_, err := s.Projects.Locations.Services.Create(parent, body.(*run.Service)).Context(ctx).Do()
			return err
		},
		replace: func(ctx context.Context, s *run.APIService, path string, body any) error {
			_, err := s.Projects.Locations.Services.ReplaceService(path, body.(*run.Service)).Context(ctx).Do()
			return err
		},
		remove: func(ctx context.Context, s *run.APIService, path string) error {
			_, err := s.Projects.Locations.Services.Delete(path).Context(ctx).Do()
			return err
		},
	}
}

func job() *kind {
	return &kind{
		apiVersion: "run.googleapis.com/v1", name: "Job", resource: "job.run.googleapis.com", plural: "jobs", parent: namespace,
		empty: func() any { return &run.Job{} },
		meta:  func(body any) *run.ObjectMeta { return made(&body.(*run.Job).Metadata) },
		get: func(ctx context.Context, s *run.APIService, path string) (any, error) {
			return s.Namespaces.Jobs.Get(path).Context(ctx).Do()
		},
		create: func(ctx context.Context, s *run.APIService, parent string, body any) error {
			_, err := s.Namespaces.Jobs.Create(parent, body.(*run.Job)).Context(ctx).Do()
			return err
		},
		replace: func(ctx context.Context, s *run.APIService, path string, body any) error {
			_, err := s.Namespaces.Jobs.ReplaceJob(path, body.(*run.Job)).Context(ctx).Do()
			return err
		},
		remove: func(ctx context.Context, s *run.APIService, path string) error {
			_, err := s.Namespaces.Jobs.Delete(path).Context(ctx).Do()
			return err
		},
	}
}

func workerPool() *kind {
	return &kind{
		apiVersion: "run.googleapis.com/v1", name: "WorkerPool", resource: "workerpool.run.googleapis.com", plural: "workerpools", parent: namespace,
		empty: func() any { return &run.WorkerPool{} },
		meta:  func(body any) *run.ObjectMeta { return made(&body.(*run.WorkerPool).Metadata) },
		get: func(ctx context.Context, s *run.APIService, path string) (any, error) {
			return s.Namespaces.Workerpools.Get(path).Context(ctx).Do()
		},
		create: func(ctx context.Context, s *run.APIService, parent string, body any) error {
			_, err := s.Namespaces.Workerpools.Create(parent, body.(*run.WorkerPool)).Context(ctx).Do()
			return err
		},
		replace: func(ctx context.Context, s *run.APIService, path string, body any) error {
			_, err := s.Namespaces.Workerpools.ReplaceWorkerPool(path, body.(*run.WorkerPool)).Context(ctx).Do()
			return err
		},
		remove: func(ctx context.Context, s *run.APIService, path string) error {
			_, err := s.Namespaces.Workerpools.Delete(path).Context(ctx).Do()
			return err
		},
	}
}
