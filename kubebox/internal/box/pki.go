package box

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity of all certificates: longer than any box is kept.
const validity = 10 * 365 * 24 * time.Hour

// identity is a certificate to make: who it stands for, and where it may serve.
type identity struct {
	name   string // of its files
	common string
	groups []string
	dns    []string
	ips    []net.IP
}

// writePKI makes the cluster's keys and certificates, unless they are there.
func (b Box) writePKI(c Config) error {
	dir := b.state("pki")
	if _, err := os.Stat(filepath.Join(dir, "complete")); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the folder for keys: %w", err)
	}
	cluster, err := newAuthority(dir, "ca", "kubebox")
	if err != nil {
		return err
	}
	loopback, node := net.IPv4(127, 0, 0, 1), net.IP(c.Node().AsSlice())
	for _, id := range []identity{
		{
			name: "apiserver", common: "kube-apiserver",
			dns: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
			ips: []net.IP{loopback, node, c.APIService().AsSlice()},
		},
		{name: "apiserver-kubelet", common: "kube-apiserver-kubelet-client", groups: []string{"system:masters"}},
		{name: "admin", common: "kubebox-admin", groups: []string{"system:masters"}},
		{name: "controller-manager", common: "system:kube-controller-manager"},
		{name: "scheduler", common: "system:kube-scheduler"},
		{name: "proxy", common: "system:kube-proxy"},
		{name: "dns", common: "system:coredns"},
		{
			name: "kubelet", common: "system:node:" + NodeName, groups: []string{"system:nodes"},
			dns: []string{NodeName}, ips: []net.IP{node},
		},
	} {
		if err := cluster.issue(dir, id); err != nil {
			return err
		}
	}
	// Aggregated API servers must tell the API server's calls from those of
	// anybody else with a certificate of the cluster, so these have a root of their own.
	front, err := newAuthority(dir, "front-ca", "kubebox-front-proxy")
	if err != nil {
		return err
	}
	if err := front.issue(dir, identity{name: "front", common: "front-proxy-client"}); err != nil {
		return err
	}
	if err := writeServiceAccountKey(dir); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, "complete"), 0o600, nil)
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(dir, name, common string) (*authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := template(pkix.Name{CommonName: common})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("cannot make the certificate of %s: %w", common, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate of %s back: %w", common, err)
	}
	return &authority{cert, key}, writePair(dir, name, der, key)
}

func (a *authority) issue(dir string, id identity) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	template := template(pkix.Name{CommonName: id.common, Organization: id.groups})
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	template.DNSNames, template.IPAddresses = id.dns, id.ips
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("cannot make the certificate of %s: %w", id.common, err)
	}
	return writePair(dir, id.name, der, key)
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	return key, nil
}

func template(subject pkix.Name) *x509.Certificate {
	serial := make([]byte, 16)
	_, _ = rand.Read(serial) // never fails
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      subject,
		NotBefore:    time.Now().Add(-time.Hour), // clocks jump
		NotAfter:     time.Now().Add(validity),
	}
}

func writePair(dir, name string, der []byte, key *ecdsa.PrivateKey) error {
	if err := writePEM(filepath.Join(dir, name+".crt"), 0o644, "CERTIFICATE", der); err != nil {
		return err
	}
	return writeKey(filepath.Join(dir, name+".key"), key)
}

// writeKey uses the older of the two encodings, the only one that the API server takes for service accounts.
func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("cannot write the key %s: %w", path, err)
	}
	return writePEM(path, 0o600, "EC PRIVATE KEY", der)
}

func writeServiceAccountKey(dir string) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	return writeKey(filepath.Join(dir, "service-accounts.key"), key)
}

func writePEM(path string, mode fs.FileMode, kind string, der []byte) error {
	block := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if block == nil {
		return errors.New("cannot encode " + path)
	}
	return writeFile(path, mode, block)
}
