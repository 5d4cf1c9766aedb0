package render

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// maxDownload bounds what one address may answer, in bytes.
const maxDownload = 64 << 20

// bucket copies what a gs:// address names and lists the manifests among it.
func (o Options) bucket(ctx context.Context, address string) ([]source, error) {
	if o.Bucket == nil {
		return nil, fmt.Errorf("manifest %q: Cloud Storage cannot be read here", address)
	}
	dir, err := o.Bucket(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("manifest %q: %w", address, err)
	}
	var sources []source
	err = walk(dir, func(path string) {
		sources = append(sources, source{address + ": " + display(dir, path), func(context.Context) ([]byte, error) { return os.ReadFile(path) }})
	})
	if err == nil && len(sources) == 0 {
		err = fmt.Errorf("manifest %q names no .yaml, .yml or .json file", address)
	}
	return sources, err
}

func (o Options) download(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := cmp.Or(o.HTTP, http.DefaultClient).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s: mend the address in skaffold.yaml", address, response.Status)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxDownload+1))
	if err == nil && len(data) > maxDownload {
		err = fmt.Errorf("%s is larger than %d MiB", address, maxDownload>>20)
	}
	return data, err
}
