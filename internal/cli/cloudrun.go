package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/oauth2"

	"github.com/davit-dev/davit/internal/deploy/cloudrun"
	"github.com/davit-dev/davit/internal/plan"
)

// addCloudRun adds the flags that say where in Cloud Run to deploy to.
func addCloudRun(f *pflag.FlagSet, o *plan.CloudRunOptions) {
	f.StringVar(&o.Project, "cloud-run-project", "", "the Google Cloud project to deploy to, in place of the config's")
	f.StringVar(&o.Region, "cloud-run-location", "", "the region of Cloud Run to deploy to, in place of the config's")
}

// cloudRunPoll is the time between two looks at what gets ready there.
const cloudRunPoll = time.Second

// cloudRun gives what deploys to Cloud Run with the user's rights, or to what stands in for it: the address that gcloud takes for it as well.
func (s *session) cloudRun(ctx context.Context) (*cloudrun.Deployer, error) {
	d := &cloudrun.Deployer{HTTP: http.DefaultClient, Endpoint: s.world.Getenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN"), Poll: cloudRunPoll, Now: s.world.Now, Sink: s.sink}
	if d.Endpoint != "" {
		return d, nil // it is not to see a token
	}
	tokens := googleToken(s.world, s.sink)
	token, err := tokens(ctx)
	if err == nil && token == "" {
		err = errors.New("there are none")
	}
	if err != nil {
		return nil, fmt.Errorf("deploying to Cloud Run needs credentials of Google: %w; run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS", err)
	}
	d.HTTP = &http.Client{Transport: &oauth2.Transport{Source: tokenSource(func() (string, error) { return tokens(ctx) })}}
	return d, nil
}

// tokenSource gives the token of the moment.
type tokenSource func() (string, error)

func (t tokenSource) Token() (*oauth2.Token, error) {
	token, err := t()
	return &oauth2.Token{AccessToken: token}, err
}
