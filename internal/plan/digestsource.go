package plan

import "fmt"

// DigestSource says where the references come from that manifests get.
type DigestSource string

// The sources of digests, by Skaffold's names.
const (
	DigestLocal  DigestSource = "local"  // images are built, and their digests are taken
	DigestRemote DigestSource = "remote" // nothing is built: the registry is asked which image has the tag
	DigestTag    DigestSource = "tag"    // nothing is built: the tag alone
	DigestNone   DigestSource = "none"   // nothing is built: manifests keep the images that they name
)

// ParseDigestSource reads --digest-source. Without it, a local cluster gets tags, and others what the registry has.
func ParseDigestSource(s string, localCluster bool) (DigestSource, error) {
	switch d := DigestSource(s); d {
	case DigestLocal, DigestRemote, DigestTag, DigestNone:
		return d, nil
	case "":
		if localCluster {
			return DigestTag, nil
		}
		return DigestRemote, nil
	}
	return "", fmt.Errorf("--digest-source %q is not known: use remote, local, tag or none", s)
}
