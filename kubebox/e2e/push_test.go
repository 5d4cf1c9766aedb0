package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/davit-dev/davit/kubebox/internal/image"
)

// pushBusybox pushes an image with Debian's static busybox to the registry and returns its reference.
func pushBusybox(registry, name string) (string, error) {
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return "", fmt.Errorf("the tests need the package busybox-static: %w", err)
	}
	files := []image.File{{Path: "bin/busybox", Mode: 0o755, Content: busybox}}
	img, err := image.New(v1.ImageConfig{Env: []string{"PATH=/bin"}, Entrypoint: []string{"/bin/busybox"}}, files...)
	if err != nil {
		return "", err
	}
	return push(registry, name, img)
}

// push uploads the image by the calls of the OCI distribution specification.
func push(registry, name string, img *image.Image) (string, error) {
	repository := "http://" + registry + "/v2/" + name
	for _, part := range img.Parts {
		if err := upload(repository, part.Digest, img.Blobs[part.Digest]); err != nil {
			return "", err
		}
	}
	at := repository + "/manifests/latest"
	if _, err := call(http.MethodPut, at, img.Manifest.MediaType, img.Blobs[img.Manifest.Digest]); err != nil {
		return "", err
	}
	return registry + "/" + name + "@" + img.Manifest.Digest.String(), nil
}

func upload(repository string, d digest.Digest, blob []byte) error {
	started, err := call(http.MethodPost, repository+"/blobs/uploads/", "", nil)
	if err != nil {
		return err
	}
	at, err := started.Location()
	if err != nil {
		return err
	}
	query := at.Query()
	query.Set("digest", d.String())
	at.RawQuery = query.Encode()
	_, err = call(http.MethodPut, at.String(), "application/octet-stream", blob)
	return err
}

func call(method, at, mediaType string, body []byte) (*http.Response, error) {
	request, err := http.NewRequest(method, at, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if mediaType != "" {
		request.Header.Set("Content-Type", mediaType)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		where, _ := url.Parse(at)
		return nil, fmt.Errorf("%s %s: %s: %s", method, where.Path, response.Status, strings.TrimSpace(string(answer)))
	}
	return response, nil
}
