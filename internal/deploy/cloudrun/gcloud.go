package cloudrun

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/davit-dev/davit/internal/command"
)

// Service is a service of Cloud Run.
type Service struct{ Name, Project, Region string }

func (s Service) String() string { return service().resource + "/" + s.Name }

// Services are the services among the objects.
func (a *Applied) Services() []Service {
	var all []Service
	for _, it := range a.items {
		if it.kind.name == "Service" {
			all = append(all, Service{it.name, it.project, a.target.Region})
		}
	}
	return all
}

// Gcloud is the gcloud command, which knows how to read logs and to reach services that not everybody may call.
type Gcloud struct {
	Path    string
	Environ []string
	Line    func(Service, string) // gets what it prints
}

// Tail shows the log of a service until ctx is done. An error says that the command ended before that.
func (g Gcloud) Tail(ctx context.Context, s Service) error {
	return g.run(ctx, s, "reading the log of", "alpha", "run", "services", "logs", "tail", s.Name, "--project", s.Project, "--region", s.Region)
}

// Proxy leads a port of this machine to a service, with the user's rights, until ctx is done. An error says that the command ended before that.
func (g Gcloud) Proxy(ctx context.Context, s Service, port int) error {
	return g.run(ctx, s, "forwarding a port to", "beta", "run", "services", "proxy", s.Name, "--project", s.Project, "--region", s.Region, "--port", strconv.Itoa(port))
}

func (g Gcloud) run(ctx context.Context, s Service, doing string, args ...string) error {
	c := command.Command{
		Args: append([]string{g.Path}, args...), Environ: append(slices.Clone(g.Environ), "PYTHONUNBUFFERED=1"), // else it keeps lines back
		Line: func(text string) { g.Line(s, text) },
	}
	err := c.Run(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err == nil {
		err = errors.New("exit status 0")
	}
	return fmt.Errorf("%s %s: gcloud ended (%w); what it said is above", doing, s, err)
}
