//go:build e2e

// Package lifecycle shows what becomes of a box, and of the machine, when it is brought
// up, broken and taken down. A box that is up when the tests begin
// would be lost, so they refuse to run then unless KUBEBOX_E2E_TAKE_DOWN=1 says it may be.
package lifecycle

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/davit-dev/davit/kubebox/e2e/boxtest"
)

// the program under test.
var kubebox boxtest.Kubebox

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	alone, err := boxtest.Alone()
	if err != nil {
		return 0, err
	}
	defer alone.Close()
	binary, err := boxtest.Build()
	if err != nil {
		return 0, err
	}
	kubebox = boxtest.Kubebox{Binary: binary}
	if _, err := kubebox.Try("status"); err == nil && os.Getenv("KUBEBOX_E2E_TAKE_DOWN") != "1" {
		return 0, errors.New("a box is up, and these tests would remove it: set KUBEBOX_E2E_TAKE_DOWN=1 if they may")
	}
	if _, err := kubebox.Try("down"); err != nil {
		return 0, err
	}
	defer func() {
		if _, downErr := kubebox.Try("down"); downErr != nil {
			err = downErr
		}
	}()
	return m.Run(), nil
}
