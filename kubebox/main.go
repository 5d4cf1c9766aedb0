// Command kubebox runs a real one-node Kubernetes on a bare Linux machine.
//
// It is one binary for everything: called as kubebox it is the command line,
// called under the name of a component (as its own supervisor does) it is that
// component, and called as kubectl it is kubectl.
package main

import (
	"os"

	"github.com/davit-dev/davit/kubebox/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.LookupEnv))
}
