package cli

import (
	"github.com/davit-dev/davit/internal/deploy/docker"
	"github.com/davit-dev/davit/internal/engine"
)

// containers gives what runs containers in the user's Docker Engine.
func (s *session) containers() (*docker.Deployer, error) {
	endpoint, err := s.engine()
	if err != nil {
		return nil, err
	}
	client, err := engine.Open(endpoint)
	if err != nil {
		return nil, err
	}
	return &docker.Deployer{Client: client, Config: s.dockerConfig(), Now: s.world.Now, Sink: s.sink}, nil
}
