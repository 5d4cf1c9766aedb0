// Package killtest kills processes in the middle of their work, to see what they leave behind.
package killtest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// Twice runs the test binary in two processes at once, with one more variable ("NAME=value") that leads them to [Forever]; kills both when each has
// done its work at least once; and checks what they left. All this as often as DAVIT_TEST_KILLS says, or a few times.
func Twice(t *testing.T, environ string, check func(run int)) {
	t.Helper()
	times := 30
	if text := os.Getenv("DAVIT_TEST_KILLS"); text != "" {
		var err error
		if times, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for run := range times {
		var two [2]*exec.Cmd
		var begun [2]io.Reader
		for i := range two {
			two[i], begun[i] = start(t, environ)
		}
		for _, out := range begun {
			if _, err := out.Read(make([]byte, 1)); err != nil {
				t.Fatalf("run %d: a process ended before it began: %v", run, err)
			}
		}
		time.Sleep(time.Duration(run*7%50) * time.Millisecond) // so that it is not always the same moment
		for _, cmd := range two {
			_ = cmd.Process.Kill()
			if err := cmd.Wait(); cmd.ProcessState.Exited() {
				t.Fatalf("run %d: ended by itself: %v", run, err)
			}
		}
		check(run)
	}
}

func start(t *testing.T, environ string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), environ), os.Stderr
	_, err := cmd.StdinPipe() // open as long as this process lives
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// Forever does some work again and again, with another number each time, until the process is killed, or the one that is to kill it is gone.
func Forever(work func(n int)) {
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(over)
	}()
	for n := 0; ; n++ {
		select {
		case <-over:
			return
		default:
			work(n)
		}
		if n == 0 {
			fmt.Println("begun")
		}
	}
}
