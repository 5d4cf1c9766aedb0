// Package carried finds or starts the BuildKit daemon that davit carries inside its own binary, so that a machine without
// a Docker Engine or a buildkitd can build.
//
// One folder holds everything: the socket, the log, the daemon's state and the two locks that keep davits apart.
//
//   - start.lock is held by the one davit that is starting the daemon.
//   - use.lock is held shared by everyone who builds with it; the daemon takes it exclusively before it stops because nobody
//     does, and a davit of another version takes it exclusively before it replaces the daemon. So no daemon ever goes away
//     under a build, and the kernel drops the lock of a davit that was killed.
//
// The daemon itself holds a lock on its state for as long as it lives. A socket file says nothing: only an answer does.
//
// The daemon's side of this is package buildkitd.
package carried

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Options says which daemon to find or to start.
type Options struct {
	// Dir holds the socket, the log, the locks and the state, such as $XDG_CACHE_HOME/davit/buildkit. It is made with mode 0700.
	Dir string
	// Command starts the daemon: an executable's path and its first arguments. The flags that buildkitd.Main reads follow.
	Command []string
	// Env is the daemon's environment, as in os.Environ. PATH finds runc, HTTPS_PROXY reaches registries.
	Env []string
	// Version is the version of this davit. A daemon of another version is replaced as soon as nobody builds with it.
	Version string
	// Idle is for how long the daemon stays when nobody is connected; zero means ten minutes.
	Idle time.Duration
}

// DefaultIdle is for how long an unused daemon stays.
const DefaultIdle = 10 * time.Minute

// The files in a carried daemon's folder.
func SocketPath(dir string) string    { return filepath.Join(dir, "buildkitd.sock") }
func LogPath(dir string) string       { return filepath.Join(dir, "buildkitd.log") }
func StatePath(dir string) string     { return filepath.Join(dir, "state") }
func VersionPath(dir string) string   { return filepath.Join(dir, "version") }
func RuncPath(dir string) string      { return filepath.Join(dir, "run") } // runc's state when not root
func UseLockPath(dir string) string   { return filepath.Join(dir, "use.lock") }
func StateLockPath(dir string) string { return filepath.Join(dir, "state.lock") }
func startLockPath(dir string) string { return filepath.Join(dir, "start.lock") }

// Ready is what the daemon writes into its descriptor ReadyFD once it serves; anything else there is why it cannot.
const (
	Ready   = "ready\n"
	ReadyFD = 3
)

// InsecureHeader names the registries that a session wants to be reached without verified TLS, as gRPC metadata on the
// session's call. It holds for as long as the session is open.
const InsecureHeader = "x-davit-insecure-registry"

// UnavailableError says that this machine cannot run the carried daemon, and what else can build.
type UnavailableError struct {
	Reason string // "runc is not on PATH"
	Hint   string // what would make it possible here; may be empty
	Log    string // the last lines of the daemon's log, when it started and died
}

func (e *UnavailableError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cannot start the BuildKit that davit carries: %s", e.Reason)
	if e.Log != "" {
		fmt.Fprintf(&b, "\n%s", e.Log)
	}
	b.WriteString("\n")
	if e.Hint != "" {
		fmt.Fprintf(&b, "%s, or ", e.Hint)
	}
	b.WriteString("start a Docker Engine, or set BUILDKIT_HOST to the address of a buildkitd")
	return b.String()
}
