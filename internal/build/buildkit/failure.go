package buildkit

import "github.com/distribution/reference"

func (j *job) failure(err error) error { return err }

func (j *job) pushFailure(err error) error { return err }

// credentialsKey is the name under which docker keeps a registry's credentials.
func credentialsKey(ref reference.Named) string {
	if domain := reference.Domain(ref); domain != "docker.io" {
		return domain
	}
	return "https://index.docker.io/v1/"
}
