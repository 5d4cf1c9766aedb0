//go:build linux

package buildkit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/carried"
)

// The rootless test runs these in processes of their own.
const (
	asUserCommand    = "as-user"    // in a mount namespace: gives a user a range of ids, then builds as that user
	userBuildCommand = "user-build" // builds
)

const testUser = 54321

func TestRootless(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "davit-rootless") // one that another user may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stopDaemon(filepath.Join(dir, "cache"))
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	project := withShell(t, "FROM shell\nRUN id -u > /who && mkdir /other && chown 1000:1000 /other && cat /proc/self/uid_map\n", nil)
	if err := os.CopyFS(dir, os.DirFS(project)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(dir, testUser, testUser)); err != nil {
		t.Fatal(err)
	}
	for _, ranges := range []bool{false, true} {
		cmd := exec.Command("/proc/self/exe", asUserCommand, dir, shared.registry+"/rootless:v1", fmt.Sprint(ranges))
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		switch {
		case !ranges && (err == nil || !strings.Contains(string(out), "usermod --add-subuids")):
			t.Errorf("a user without a range of ids is told how to get one; %v\n%s", err, out)
		case ranges && err != nil:
			log, _ := os.ReadFile(carried.LogPath(filepath.Join(dir, "cache")))
			t.Fatalf("%v\n%s\n%s", err, out, log)
		case ranges:
			digest := strings.TrimSpace(string(out))
			_, files := pushed(t, build.Request{Ref: shared.registry + "/rootless:v1"}, build.Result{Digest: digest})
			if files["who"] != "0\n" {
				t.Errorf("the step ran as %q", files["who"])
			}
		}
	}
	if out, err := exec.Command("ps", "-o", "user=", "-p", pidList(filepath.Join(dir, "cache"))).Output(); err != nil || strings.Contains(string(out), "root") {
		t.Errorf("the daemon runs as %s (%v)", out, err)
	}
}

func pidList(dir string) string {
	var out []string
	for _, pid := range daemonPIDs(dir) {
		out = append(out, fmt.Sprint(pid))
	}
	return strings.Join(out, ",")
}

// asUser puts files of users and ids in place of the machine's, for itself only, and becomes the user.
func asUser(args []string) error {
	dir, ranges := args[0], ""
	if args[2] == "true" {
		ranges = "tester:200000:65536\n"
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for name, content := range map[string]string{
		"passwd": fmt.Sprintf("root:x:0:0::/root:/bin/sh\ntester:x:%d:%d::%s:/bin/sh\n", testUser, testUser, dir),
		"subuid": ranges, "subgid": ranges,
	} {
		file := filepath.Join(dir, "etc-"+name)
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(file, "/etc/"+name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting over /etc/%s: %w", name, err)
		}
	}
	cmd := exec.Command("/proc/self/exe", userBuildCommand, dir, args[1])
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: testUser, Gid: testUser}}
	return cmd.Run()
}

// userBuild builds what is in a folder and prints the digest.
func userBuild(args []string) error {
	o := carriedOptions(filepath.Join(args[0], "cache"))
	o.Command[0] = "/proc/self/exe" // the test's own folder is closed to this user
	shared.noLogin = args[0]
	log := &lines{}
	result, err := newCarried(o).Build(context.Background(), build.Request{Ref: args[1], Push: true, Spec: build.Docker{
		Context: args[0], Dockerfile: filepath.Join(args[0], "Dockerfile"),
	}}, log)
	if err != nil {
		return fmt.Errorf("%s\n%w", log, err)
	}
	_, err = fmt.Println(result.Digest)
	return err
}
