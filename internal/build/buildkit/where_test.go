//go:build linux

package buildkit_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/build/buildkit"
	"github.com/davit-dev/davit/internal/build/carried"
)

func TestChoose(t *testing.T) {
	none := errors.New("no Docker Engine answers")
	cannot := &carried.UnavailableError{Reason: "runc is not on PATH", Hint: "install it"}
	socket := buildkit.Endpoint{Host: "unix:///var/run/docker.sock"}
	named := buildkit.Endpoint{Host: "tcp://there:2376", NamedBy: "DOCKER_HOST", Explicit: true}
	byContext := buildkit.Endpoint{Host: "unix:///old.sock", NamedBy: "the Docker context old"}
	for name, c := range map[string]struct {
		facts buildkit.Facts
		want  string // the place's name, or a part of the error
	}{
		"named buildkitd":              {buildkit.Facts{BuildkitHost: "tcp://there:1234", Docker: socket}, "buildkitd at tcp://there:1234"},
		"named buildkitd, odd address": {buildkit.Facts{BuildkitHost: "there:1234"}, `"there:1234" is none of unix://, tcp://`},
		"Engine":                       {buildkit.Facts{Docker: socket}, "Docker Engine at unix:///var/run/docker.sock"},
		"davit by its name":            {buildkit.Facts{Wanted: buildkit.Carried, Docker: named}, "BuildKit carried by davit"},
		"davit by its name, in vain":   {buildkit.Facts{Wanted: buildkit.Carried, Docker: named, CarriedError: cannot}, "runc is not on PATH"},
		"Docker by its name, in vain":  {buildkit.Facts{Wanted: buildkit.Engine, Docker: socket, DockerError: none}, "no Docker Engine answers; start it"},
		"Engine without BuildKit":      {buildkit.Facts{Docker: socket, NoBuildKit: true}, "Docker Engine at unix:///var/run/docker.sock"},
		"nothing but davit":            {buildkit.Facts{Docker: socket, DockerError: none}, "BuildKit carried by davit"},
		"named Engine is away":         {buildkit.Facts{Docker: named, DockerError: none}, "DOCKER_HOST names a Docker Engine that cannot build"},
		"context's Engine is away":     {buildkit.Facts{Docker: byContext, DockerError: none}, "BuildKit carried by davit"},
		"nothing at all":               {buildkit.Facts{Docker: socket, DockerError: none, CarriedError: cannot}, "install it, or start a Docker Engine, or set BUILDKIT_HOST"},
	} {
		where, err := buildkit.Choose(c.facts)
		if err != nil && !strings.Contains(err.Error(), c.want) || err == nil && where.String() != c.want {
			t.Errorf("%s: %v, %v; want %s", name, where, err, c.want)
		}
		if name == "Engine without BuildKit" && (where.Kind != buildkit.OldEngine || !strings.Contains(where.Note, "has no BuildKit")) {
			t.Errorf("%s: %+v", name, where)
		}
		if name == "context's Engine is away" && !strings.Contains(where.Note, "the Docker context old") {
			t.Errorf("%s: the note %q does not say so", name, where.Note)
		}
	}
}

func TestLook(t *testing.T) {
	config := project(t, map[string]string{
		"config.json":          `{"currentContext": "current"}`,
		contextFile("current"): `{"Name": "current", "Endpoints": {"docker": {"Host": "unix:///current.sock"}}}`,
		contextFile("other"):   `{"Name": "other", "Endpoints": {"docker": {"Host": "tcp://other:2376"}}}`,
	})
	for name, c := range map[string]struct {
		env  map[string]string
		want buildkit.Endpoint
	}{
		"nothing":         {map[string]string{"DOCKER_CONFIG": t.TempDir()}, buildkit.Endpoint{Host: "unix:///var/run/docker.sock"}},
		"current context": {map[string]string{"DOCKER_CONFIG": config}, buildkit.Endpoint{Host: "unix:///current.sock", NamedBy: "the Docker context current"}},
		"DOCKER_CONTEXT": {map[string]string{"DOCKER_CONFIG": config, "DOCKER_CONTEXT": "other"},
			buildkit.Endpoint{Host: "tcp://other:2376", NamedBy: "DOCKER_CONTEXT", Explicit: true}},
		"DOCKER_HOST": {map[string]string{"DOCKER_CONFIG": config, "DOCKER_HOST": "tcp://host:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"},
			buildkit.Endpoint{Host: "tcp://host:2376", NamedBy: "DOCKER_HOST", Explicit: true, TLSDir: "/certs", TLSVerify: true}},
	} {
		// With a BuildKit named, no Engine is asked.
		c.env["BUILDKIT_HOST"] = "unix:///buildkitd.sock"
		facts, err := buildkit.Look(t.Context(), buildkit.Machine{Getenv: func(k string) string { return c.env[k] }, GOOS: "linux"})
		if err != nil || facts.Docker != c.want || facts.BuildkitHost != "unix:///buildkitd.sock" {
			t.Errorf("%s: %+v, %v; want %+v", name, facts, err, c.want)
		}
	}
	dead := map[string]string{"DOCKER_HOST": "unix:///none.sock", "DOCKER_CONFIG": config}
	facts, err := buildkit.Look(t.Context(), buildkit.Machine{Getenv: func(k string) string { return dead[k] }, GOOS: "linux", Carried: shared.carried})
	if err != nil || facts.DockerError == nil || facts.CarriedError != nil {
		t.Errorf("%+v, %v; want no Engine and a BuildKit to carry", facts, err)
	}
	withoutRunc := shared.carried
	withoutRunc.Env = []string{"PATH=/nowhere"}
	if err := carried.Possible(withoutRunc); err != nil {
		t.Errorf("a PATH without the system's folders hides runc: %v", err)
	}
}

func contextFile(name string) string {
	return fmt.Sprintf("contexts/meta/%x/meta.json", sha256.Sum256([]byte(name)))
}

// The carried daemon serves as one that somebody started by hand.
func TestNamedDaemon(t *testing.T) {
	t.Parallel()
	daemon, err := carried.Use(t.Context(), shared.carried)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = daemon.Release() }()
	r := request(t, withShell(t, "FROM shell\nRUN true\n", nil))
	build := func(address, tlsDir string) error {
		_, err := buildkit.New(buildkit.Where{Kind: buildkit.Daemon, Address: address, TLSDir: tlsDir},
			buildkit.Options{Getenv: os.Getenv, DockerConfig: shared.noLogin}).Build(t.Context(), r, &lines{})
		return err
	}
	if err := build("unix://"+carried.SocketPath(shared.carried.Dir), ""); err != nil {
		t.Error(err)
	}
	certificates, address := forwardTLS(t, daemon)
	if err := build(address, certificates); err != nil {
		t.Error(err)
	}
	if err := build(address, t.TempDir()); err == nil {
		t.Error("built without the certificate's authority")
	}
	err = build("unix:///none.sock", "")
	if err == nil || !strings.Contains(err.Error(), "the buildkitd at unix:///none.sock does not answer") {
		t.Errorf("error %v", err)
	}
}

// dialStdioCommand joins standard input and output with a socket, as `buildctl dial-stdio` does on the other side of ssh.
const dialStdioCommand = "dial-stdio"

func dialStdio(args []string) error {
	conn, err := net.Dial("unix", args[0])
	if err != nil {
		return err
	}
	go func() { _, _ = io.Copy(conn, os.Stdin) }()
	_, err = io.Copy(os.Stdout, conn)
	return err
}

func TestDaemonBehindACommand(t *testing.T) {
	daemon, err := carried.Use(t.Context(), shared.carried)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = daemon.Release() }()
	script := fmt.Sprintf("#!/bin/sh\necho \"$0 $@\" >> \"$ASKED\"\nexec %s %s %s\n", shared.carried.Command[0], dialStdioCommand, carried.SocketPath(shared.carried.Dir))
	bin := project(t, map[string]string{"ssh": script, "kubectl": script})
	for _, command := range []string{"ssh", "kubectl"} {
		if err := os.Chmod(filepath.Join(bin, command), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	asked := filepath.Join(bin, "asked")
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("ASKED", asked)
	for address, want := range map[string]string{
		"ssh://ann@there":                 "ssh -l ann -- there buildctl dial-stdio",
		"kube-pod://builder?namespace=ci": "kubectl --context= --namespace=ci exec --container= -i builder -- buildctl dial-stdio",
	} {
		b := buildkit.New(buildkit.Where{Kind: buildkit.Daemon, Address: address}, buildkit.Options{Getenv: os.Getenv, DockerConfig: shared.noLogin})
		mustBuild(t, b, request(t, minimal(t)))
		log, err := os.ReadFile(asked)
		if err != nil || !strings.Contains(string(log), want) {
			t.Errorf("%s ran %s (%v), want %s", address, log, err, want)
		}
	}
}

// forwardTLS offers the daemon by TCP with mutual TLS, and returns a folder as buildctl's --tlsdir wants it.
func forwardTLS(t *testing.T, daemon *carried.Daemon) (dir, address string) {
	t.Helper()
	dir = t.TempDir()
	pair, pool := certificate(t, dir)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{"h2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go relay(client, daemon)
		}
	}()
	return dir, "tcp://" + listener.Addr().String()
}

func relay(client net.Conn, daemon *carried.Daemon) {
	defer client.Close()
	server, err := daemon.Dial(context.Background())
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer server.Close()
		_, _ = io.Copy(server, client)
	}()
	_, _ = io.Copy(client, server)
}

// certificate makes one that is server, client and authority at once.
func certificate(t *testing.T, dir string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	for name, content := range map[string][]byte{"ca.pem": certPEM, "cert.pem": certPEM, "key.pem": keyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pair, pool
}
