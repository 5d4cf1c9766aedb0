package cli

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/event"
)

// serviceAccount writes the key file of a service account whose tokens come from a server.
func serviceAccount(t *testing.T, tokenURL string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "davit@example.com", "token_uri": tokenURL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTokensComeFromTheDefaultCredentials(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token": "from-the-server", "token_type": "Bearer", "expires_in": 3600}`)
	}))
	defer server.Close()
	ignore := event.SinkFunc(func(event.Event) {})
	file := serviceAccount(t, server.URL)
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	got, err := googleToken(World{Environ: os.Environ()}, ignore)(t.Context())
	if err != nil || got != "from-the-server" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = googleToken(World{Environ: os.Environ()}, ignore)(t.Context())
	if err == nil || !strings.Contains(err.Error(), "GOOGLE_APPLICATION_CREDENTIALS ("+file+")") {
		t.Errorf("broken credentials: %v", err)
	}
}

func TestConfigsComeFromAnEmulator(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "":
			t.Error("the emulator saw a token")
		case strings.HasSuffix(r.URL.Path, "/o"):
			fmt.Fprint(w, `{"items": [{"name": "team/skaffold.yaml"}]}`)
		default:
			fmt.Fprint(w, "apiVersion: skaffold/v4beta14\nkind: Config\nmetadata: {name: shared}\n")
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	text := "apiVersion: skaffold/v4beta14\nkind: Config\nrequires: [{googleCloudStorage: {source: gs://bucket/team/*}}]\n"
	if err := os.WriteFile(filepath.Join(dir, "skaffold.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	w := World{Stdout: &out, Stderr: &errs, Dir: dir, Home: t.TempDir(), Now: time.Now,
		Environ: []string{"STORAGE_EMULATOR_HOST=" + strings.TrimPrefix(server.URL, "http://")}}
	if code := Main(w, []string{"inspect", "modules", "list"}); code != 0 || !strings.Contains(out.String(), `"name":"shared"`) || !strings.Contains(out.String(), `"isRemote":true`) {
		t.Errorf("exit code %d, %s%s", code, out.String(), errs.String())
	}
}
