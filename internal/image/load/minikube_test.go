//go:build linux

package load_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	docker "github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/engine/enginetest"
	"github.com/davit-dev/davit/internal/image/load"
)

// TestMinikubeDocker finds the Docker Engine in a virtual machine of minikube's. Real is the Engine with its mutual TLS; the machine's address is this
// one's, and the folder is made here as minikube makes it.
func TestMinikubeDocker(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	certificates(t, filepath.Join(home, "certs"))
	file := func(name string) string { return filepath.Join(home, "certs", name) }
	const address = "127.0.0.2" // its port is given
	own := enginetest.Start(t, "--host", "tcp://"+address+":2376", "--tlsverify", "--tlscacert", file("ca.pem"), "--tlscert", file("cert.pem"), "--tlskey", file("key.pem"))
	m := load.MinikubeDocker{Home: home, Docker: own}
	environ, err := m.Environ(t.Context(), load.Profile{Name: "dev", Driver: "kvm2", Runtime: "docker", Nodes: []load.Node{{IP: address, Port: 8443}}})
	if err != nil {
		t.Fatal(err)
	}
	found, err := engine.Find(func(name string) string {
		for _, kv := range environ {
			if value, ok := strings.CutPrefix(kv, name+"="); ok {
				return value
			}
		}
		return ""
	}, t.TempDir(), "linux")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := engine.Ping(t.Context(), enginetest.Open(t, found)); err != nil {
		t.Errorf("the Engine at %+v: %v", found, err)
	}

	// A node that is a container, and one that is not there.
	client := enginetest.Open(t, own)
	b := &bench{docker: own, client: client}
	b.build(t, "node:v1", "FROM scratch\nCOPY Dockerfile /\n", nil)
	if _, err := client.ContainerCreate(t.Context(), docker.ContainerCreateOptions{
		Name: "stopped", Config: &container.Config{Image: "node:v1", Cmd: []string{"none"}}, HostConfig: &container.HostConfig{NetworkMode: "none"},
	}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"stopped": "its node publishes no port 2376; start it: minikube start -p stopped", "gone": "No such container: gone; start it: minikube start -p gone"} {
		_, err := m.Environ(t.Context(), load.Profile{Name: name, Driver: "docker"})
		if err == nil || !strings.HasPrefix(err.Error(), "looking for the Docker Engine of minikube's profile "+name) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v", err)
		}
	}
}

// TestMinikubeItself asks minikube's program where davit does not know.
func TestMinikubeItself(t *testing.T) {
	var asked []string
	m := load.MinikubeDocker{Run: func(_ context.Context, args ...string) ([]byte, error) {
		asked = args
		// As minikube prints it with --shell none.
		return []byte("DOCKER_TLS_VERIFY=1\nDOCKER_HOST=tcp://10.0.2.15:40431\nDOCKER_CERT_PATH=/home/me/.minikube/certs\nMINIKUBE_ACTIVE_DOCKERD=dev\nSSH_AUTH_SOCK=\n# To point your shell ...\n"), nil
	}}
	got, err := m.Environ(t.Context(), load.Profile{Name: "dev", Driver: "qemu2"})
	want := []string{"DOCKER_TLS_VERIFY=1", "DOCKER_HOST=tcp://10.0.2.15:40431", "DOCKER_CERT_PATH=/home/me/.minikube/certs", "MINIKUBE_ACTIVE_DOCKERD=dev"}
	if err != nil || !slices.Equal(got, want) || strings.Join(asked, " ") != "docker-env --shell none -p dev" {
		t.Errorf("variables %q, error %v, asked %q", got, err, asked)
	}
	m.Run = func(context.Context, ...string) ([]byte, error) { return nil, errors.New("no such profile") }
	if _, err := m.Environ(t.Context(), load.Profile{Name: "dev"}); err == nil || !strings.Contains(err.Error(), "no such profile; is minikube installed and the cluster up? minikube status -p dev") {
		t.Errorf("error %v", err)
	}
	for _, p := range []load.Profile{{Driver: "none"}, {Driver: "docker", Runtime: "containerd"}} {
		if got, err := m.Environ(t.Context(), p); got != nil || err != nil {
			t.Errorf("%+v: variables %q, error %v", p, got, err)
		}
	}
}

// certificates writes an authority, and one certificate for both sides.
func certificates(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "minikubeCA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	both := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "node"}, NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 2)},
	}
	for name, c := range map[string]*x509.Certificate{"ca.pem": authority, "cert.pem": both} {
		der, err := x509.CreateCertificate(rand.Reader, c, authority, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		write(name, "CERTIFICATE", der)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write("key.pem", "EC PRIVATE KEY", private)
}
