package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"

	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/pipeline"
	"github.com/davit-dev/davit/internal/render/helm"
)

// rendering says what making manifests may use of this machine.
func (s *session) rendering() pipeline.Rendering {
	return pipeline.Rendering{
		LookPath: exec.LookPath, Templates: s.options.Templates, Home: s.world.Home, Namespace: s.flags.namespace,
		Bucket: func(ctx context.Context, address string) (string, error) {
			fetcher, err := s.flags.fetcher(s.world, s.sink)
			if err != nil {
				return "", err
			}
			return fetcher.CloudStorage(ctx, model.CloudStorageSource{Source: address})
		},
		Cluster: func(kubeContext string) (*kube.Client, error) {
			o := s.flags.kubeOptions(s.world, s.sink)
			o.Context, o.Namespace = kubeContext, "" // which is another cluster's
			return kube.Connect(o)
		},
		ContextNamespace: func() string {
			if k, err := kube.Connect(s.flags.kubeOptions(s.world, s.sink)); err == nil {
				return k.Namespace()
			}
			return "default" // without a kubeconfig
		},
		Engine: s.engine, DockerConfig: s.dockerConfig(),
		Helm: helm.Options{
			CacheDir: s.world.cacheDir("charts"), Keychain: s.chartKeychain(), Repositories: helm.RepositoriesFile(s.world.Getenv, s.world.Home),
			Secrets: new(sync.Mutex),
		},
	}
}

// readRules reads the file of --resource-selector-rules-file.
func (s *session) readRules(file string) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(s.world.path(file))
	if err != nil {
		return fmt.Errorf("reading --resource-selector-rules-file: %w", err)
	}
	rules, err := manifest.ParseRules(file, text)
	s.options.Rules = append(s.options.Rules, rules)
	return err
}
