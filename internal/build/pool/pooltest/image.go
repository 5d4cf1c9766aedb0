//go:build linux

// Package pooltest makes the image that tests of pools run, of what the machine has: no image can be pulled everywhere that tests run.
package pooltest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"
)

// Push puts an image for pools into a registry, and returns its reference with its digest: program is an executable that serves as davit's hidden command when it is called with the
// arguments of hidden, and the image has it as buildkitd and buildctl, as moby/buildkit has those. It also has what a daemon calls: runc, and git.
func Push(ref, program, hidden string) (pinned string, err error) {
	runc, err := exec.LookPath("runc")
	if err != nil {
		return "", fmt.Errorf("looking for runc (apt-get install runc): %w", err)
	}
	files := map[string]string{
		"/bin/program": program, "/bin/runc": runc, "/bin/busybox": "/bin/busybox", "/bin/git": "/usr/bin/git",
		"/bin/unshare": "/usr/bin/unshare", "/bin/newuidmap": "/usr/bin/newuidmap", "/bin/newgidmap": "/usr/bin/newgidmap",
	}
	for _, name := range []string{"git", "git-remote-http", "git-submodule", "git-sh-setup", "git-sh-i18n"} {
		files["/usr/lib/git-core/"+name] = "/usr/lib/git-core/" + name
	}
	for _, file := range slices.Collect(maps.Values(files)) {
		libraries, err := librariesOf(file)
		if err != nil {
			return "", err
		}
		for _, l := range libraries {
			files[l] = l
		}
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, to := range slices.Sorted(maps.Keys(files)) {
		content, err := os.ReadFile(files[to])
		if err != nil {
			return "", err
		}
		if err := add(w, to, content, capabilities[to]); err != nil {
			return "", err
		}
	}
	if err := addWords(w, hidden); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return push(ref, archive.Bytes())
}

// addWords adds what is made here: scripts, users, a shell's commands.
func addWords(w *tar.Writer, hidden string) error {
	words := map[string]string{
		"/bin/buildkitd": "#!/bin/busybox sh\n[ $(id -u) = 0 ] && exec /bin/program " + hidden + " daemon \"$@\"\n" +
			"exec /bin/unshare --user --map-root-user --map-auto --mount /bin/program " + hidden + " daemon --root /home/user/.local/share/buildkit \"$@\"\n",
		"/bin/buildctl": "#!/bin/busybox sh\nexec /bin/program " + hidden + " ctl \"$@\"\n",
		"/etc/passwd":   "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n",
		"/etc/group":    "root:x:0:\nuser:x:1000:\n",
		"/etc/subuid":   "user:100000:65536\n",
		"/etc/subgid":   "user:100000:65536\n",
	}
	for _, to := range slices.Sorted(maps.Keys(words)) {
		if err := add(w, to, []byte(words[to]), 0); err != nil {
			return err
		}
	}
	for _, name := range []string{"sh", "sed", "basename", "uname", "cat", "grep", "tr", "cut", "id"} {
		if err := w.WriteHeader(&tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox"}); err != nil {
			return err
		}
	}
	for _, dir := range []string{"tmp/", "run/user/1000/", "home/user/"} {
		if err := w.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o1777}); err != nil {
			return err
		}
	}
	return nil
}

// librariesOf are the shared libraries of an executable, with its loader; none of a static one.
func librariesOf(program string) ([]string, error) {
	out, err := exec.Command("ldd", program).CombinedOutput()
	if err != nil && !bytes.Contains(out, []byte("not a dynamic executable")) {
		return nil, fmt.Errorf("asking for the libraries of %s: %w\n%s", program, err, out)
	}
	var all []string
	for _, m := range regexp.MustCompile(`(?m)(?:=> |^\s+)(/\S+) \(`).FindAllSubmatch(out, -1) {
		all = append(all, string(m[1]))
	}
	return all, nil
}

// capabilities are the bits of those that a file gives to its process. Without root in the pod, the two may map ids by theirs only: to be
// setuid root takes CAP_SYS_ADMIN in addition.
var capabilities = map[string]uint32{"/bin/newuidmap": 1 << unix.CAP_SETUID, "/bin/newgidmap": 1 << unix.CAP_SETGID}

func add(w *tar.Writer, to string, content []byte, capabilities uint32) error {
	header := &tar.Header{Name: to[1:], Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content))}
	if capabilities != 0 {
		// struct vfs_cap_data of linux/capability.h: the revision, with the bit that makes them effective, then permitted and inheritable ones.
		data := binary.LittleEndian.AppendUint32(nil, 0x02000001)
		data = append(binary.LittleEndian.AppendUint32(data, capabilities), make([]byte, 12)...)
		header.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": string(data)}
	}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}

func push(to string, archive []byte) (pinned string, err error) {
	ref, err := name.ParseReference(to)
	if err != nil {
		return "", err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }
	layer, err := tarball.LayerFromOpener(open, tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		return "", err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return "", err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return "", err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", "amd64"
	file.Config = v1.Config{Entrypoint: []string{"/bin/buildkitd"}, Env: []string{"PATH=/bin", "USER=user", "XDG_RUNTIME_DIR=/run/user/1000"}}
	if image, err = mutate.ConfigFile(image, file); err != nil {
		return "", err
	}
	digest, err := image.Digest()
	if err != nil {
		return "", err
	}
	return ref.Context().Digest(digest.String()).String(), remote.Write(ref, image)
}
