package boxtest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/davit-dev/davit/kubebox/internal/image"
)

// PushBusybox pushes an image with Debian's static busybox and its usual links to the registry under the
// tag latest, and returns the image's digest. (Its wget crashes with -T.)
func PushBusybox(registry, name string) (digest.Digest, error) {
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return "", fmt.Errorf("the tests need the package busybox-static: %w", err)
	}
	files := []image.File{{Path: "bin/busybox", Mode: 0o755, Content: busybox}}
	for _, applet := range []string{"sh", "cat", "ls", "sleep", "wget", "httpd", "nslookup", "nc", "hostname", "echo", "mkdir", "touch", "rm", "seq"} {
		files = append(files, image.File{Path: "bin/" + applet, Link: "busybox"})
	}
	img, err := image.New(v1.ImageConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}}, files...)
	if err != nil {
		return "", err
	}
	return img.Manifest.Digest, push(registry, name, img)
}

// push uploads the image by the calls of the OCI distribution specification.
func push(registry, name string, img *image.Image) error {
	repository := "http://" + registry + "/v2/" + name
	for _, part := range img.Parts {
		if err := upload(repository, part.Digest, img.Blobs[part.Digest]); err != nil {
			return err
		}
	}
	_, err := Call(http.MethodPut, repository+"/manifests/latest", img.Manifest.MediaType, img.Blobs[img.Manifest.Digest])
	return err
}

func upload(repository string, d digest.Digest, blob []byte) error {
	started, err := Call(http.MethodPost, repository+"/blobs/uploads/", "", nil)
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
	_, err = Call(http.MethodPut, at.String(), "application/octet-stream", blob)
	return err
}

// Call makes an HTTP request and returns the answer, its body read, or an error unless it is a success.
func Call(method, at, mediaType string, body []byte) (*http.Response, error) {
	request, err := http.NewRequest(method, at, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if mediaType != "" {
		request.Header.Set("Content-Type", mediaType)
	}
	request.Header.Set("Accept", v1.MediaTypeImageManifest)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(answer))
	if response.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, request.URL.Path, response.Status, strings.TrimSpace(string(answer)))
	}
	return response, nil
}
