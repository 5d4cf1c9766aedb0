package carried

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"
)

// Rootless is the flag of a daemon that waits at MappedFD, until it closes, for its user namespace to be mapped. It then
// runs itself again with RootlessMapped in place of it, as the namespace's root.
const (
	Rootless       = "--rootless=wait"
	RootlessMapped = "--rootless=mapped"
	MappedFD       = 4
)

func rootless() bool { return os.Geteuid() != 0 }

// rootlessPossible says why this user cannot have a namespace in which it is root. Images hold files of many owners, so a
// range of ids is needed, and the setuid programs of shadow that map it.
func rootlessPossible(env []string) error {
	asUser := fmt.Sprintf("user %d is not root", os.Geteuid())
	for _, name := range []string{"newuidmap", "newgidmap"} {
		if !onPath(name, env) {
			return &UnavailableError{
				Reason: asUser + " and " + name + ", which gives a user more ids, is not on PATH",
				Hint:   "install it (on Debian and Ubuntu: apt-get install uidmap), or run davit as root",
			}
		}
	}
	if _, _, err := subordinateIDs(); err != nil {
		return &UnavailableError{
			Reason: fmt.Sprintf("%s: %v", asUser, err),
			Hint:   "give the user a range (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER), or run davit as root",
		}
	}
	return nil
}

// subordinateIDs are the ranges that /etc/subuid and /etc/subgid give to the user.
func subordinateIDs() (uids, gids []user.SubID, err error) {
	if uids, err = user.CurrentUserSubUIDs(); err == nil {
		gids, err = user.CurrentUserSubGIDs()
	}
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("reading its ranges of ids: %w", err)
	case len(uids) == 0 || len(gids) == 0:
		return nil, nil, errors.New("it has no range of ids in /etc/subuid and /etc/subgid")
	}
	return uids, gids, nil
}

// startRootless starts the daemon in a user namespace too, and maps this user to its root and the user's ranges to the
// other ids.
func startRootless(ctx context.Context, dir string, cmd *exec.Cmd) error {
	uids, gids, err := subordinateIDs()
	if err != nil {
		return err
	}
	// runc keeps what it knows of running steps there, since it may not in /run; but not for a user named root.
	cmd.Env = append(cmd.Env, "XDG_RUNTIME_DIR="+RuncPath(dir), "USER=rootless")
	wait, mapped, err := os.Pipe()
	if err != nil {
		return err
	}
	defer mapped.Close()
	cmd.Args = append(cmd.Args, Rootless)
	cmd.ExtraFiles = append(cmd.ExtraFiles, wait)
	cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
	err = cmd.Start()
	wait.Close()
	if err != nil {
		return err
	}
	if err = mapIDs(ctx, cmd, "newuidmap", os.Geteuid(), uids); err == nil {
		err = mapIDs(ctx, cmd, "newgidmap", os.Getegid(), gids)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	return err
}

func mapIDs(ctx context.Context, daemon *exec.Cmd, program string, own int, ranges []user.SubID) error {
	args := []string{strconv.Itoa(daemon.Process.Pid), "0", strconv.Itoa(own), "1"}
	next := int64(1)
	for _, r := range ranges {
		args = append(args, strconv.FormatInt(next, 10), strconv.FormatInt(r.SubID, 10), strconv.FormatInt(r.Count, 10))
		next += r.Count
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = daemon.Env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mapping ids by %s: %w: %s", program, err, out)
	}
	return nil
}
