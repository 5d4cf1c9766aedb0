// Package supervise keeps processes running: it starts them in order, starts
// those again that end, and tells in a file how they are.
package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Component is a program to keep running.
type Component struct {
	Name  string
	Path  string   // of the executable
	Args  []string // the program's name included
	After []string // components that must be ready first, at the first start
	// Ready returns nil once the component does its work. It is asked again and
	// again after the first start; nil means ready when started.
	Ready func(context.Context) error
}

const (
	firstPause = time.Second      // before a component is started again
	longPause  = 30 * time.Second // the longest pause, and how long a component must have run to be trusted again
	stopGrace  = time.Second      // between being asked to stop and being killed
	logLimit   = 32 << 20         // bytes of a log before it is cut
)

// Supervisor keeps the components of one box.
type Supervisor struct {
	components []Component
	env        []string
	logs       string
	status     string
	log        *slog.Logger

	starts chan start
	ready  map[string]chan struct{}
	mu     sync.Mutex
	state  Status
}

type start struct {
	cmd    *exec.Cmd
	result chan error
}

// New returns a supervisor whose components get the environment env, log into files NAME.log in the folder
// logs and are described in the file status.
func New(components []Component, env []string, logs, status string, log *slog.Logger) *Supervisor {
	s := &Supervisor{
		components: components, env: env, logs: logs, status: status, log: log,
		starts: make(chan start), ready: map[string]chan struct{}{},
	}
	for _, c := range components {
		s.ready[c.Name] = make(chan struct{})
		s.state.Components = append(s.state.Components, State{Name: c.Name, Phase: Waiting})
	}
	return s
}

// Run keeps the components running until ctx ends, then stops them all and returns.
func (s *Supervisor) Run(ctx context.Context) error {
	if err := os.MkdirAll(s.logs, 0o755); err != nil {
		return fmt.Errorf("cannot make the log folder: %w", err)
	}
	s.state.Since = time.Now()
	go s.spawn()
	var all sync.WaitGroup
	for i := range s.components {
		all.Go(func() { s.keep(ctx, i) })
	}
	all.Go(func() { s.cutLogs(ctx) })
	all.Wait()
	return nil
}

// spawn starts every process from one thread that lives as long as the
// supervisor, because the kernel ties "die with your parent" to the thread.
func (s *Supervisor) spawn() {
	runtime.LockOSThread()
	for start := range s.starts {
		start.result <- start.cmd.Start()
	}
}

// keep runs one component again and again.
func (s *Supervisor) keep(ctx context.Context, i int) {
	c := s.components[i]
	for _, name := range c.After {
		select {
		case <-s.ready[name]:
		case <-ctx.Done():
			return
		}
	}
	probing := sync.Once{}
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		started := time.Now()
		err := s.once(ctx, i, func() { probing.Do(func() { go s.probe(ctx, i) }) })
		if ctx.Err() != nil {
			s.change(i, func(state *State) { state.Phase, state.PID = Stopped, 0 })
			return
		}
		if time.Since(started) > longPause {
			pause = firstPause
		}
		s.log.Warn("component ended", "component", c.Name, "cause", err, "again in", pause)
		s.change(i, func(state *State) {
			state.Phase, state.PID = BackOff, 0
			state.Restarts++
			state.LastExit, state.LastExitAt = err.Error(), time.Now()
		})
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// once runs a component until it ends and says how it did.
func (s *Supervisor) once(ctx context.Context, i int, started func()) error {
	c := s.components[i]
	file, err := os.OpenFile(s.logFile(c.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("cannot open its log: %w", err)
	}
	defer file.Close()
	cmd := exec.CommandContext(ctx, c.Path)
	cmd.Args, cmd.Env, cmd.Stdout, cmd.Stderr = c.Args, s.env, file, file
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}

	request := start{cmd, make(chan error)}
	s.starts <- request
	if err := <-request.result; err != nil {
		return fmt.Errorf("cannot start %s: %w", c.Path, err)
	}
	s.log.Info("component started", "component", c.Name, "pid", cmd.Process.Pid)
	s.change(i, func(state *State) {
		state.Phase, state.PID, state.StartedAt = Running, cmd.Process.Pid, time.Now()
	})
	started()
	if err := cmd.Wait(); err != nil {
		return err
	}
	return errors.New("exit status 0")
}

// probe asks a component until it is ready and lets those that wait for it go on.
func (s *Supervisor) probe(ctx context.Context, i int) {
	c := s.components[i]
	for c.Ready != nil {
		asking, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := c.Ready(asking)
		cancel()
		if err == nil {
			break
		}
		s.log.Debug("component not ready", "component", c.Name, "cause", err)
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
	s.log.Info("component ready", "component", c.Name)
	close(s.ready[c.Name])
}

func (s *Supervisor) change(i int, edit func(*State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit(&s.state.Components[i])
	content, err := json.MarshalIndent(s.state, "", "  ")
	if err == nil {
		err = replaceFile(s.status, content)
	}
	if err != nil {
		s.log.Error("cannot write the status", "cause", err)
	}
}

func replaceFile(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (s *Supervisor) logFile(name string) string { return filepath.Join(s.logs, name+".log") }

// cutLogs keeps a log that has grown too long under the name NAME.log.old and starts it anew. The
// components append, so they go on writing at the new beginning.
func (s *Supervisor) cutLogs(ctx context.Context) {
	for {
		select {
		case <-time.After(time.Minute):
		case <-ctx.Done():
			return
		}
		for _, c := range s.components {
			path := s.logFile(c.Name)
			info, err := os.Stat(path)
			if err != nil || info.Size() < logLimit {
				continue
			}
			if err := cut(path); err != nil {
				s.log.Error("cannot cut a log", "component", c.Name, "cause", err)
			}
		}
	}
}

func cut(path string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(path + ".old")
	if err != nil {
		return err
	}
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return os.Truncate(path, 0)
}
