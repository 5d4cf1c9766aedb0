// davit gets what a skaffold.yaml describes built and running on Kubernetes.
package main

import (
	"os"
	_ "time/tzdata" // the tag policy dateTime names time zones, and a bare machine has none

	"github.com/davit-dev/davit/internal/cli"
)

// version is set by the linker.
var version = "unknown"

func main() {
	os.Exit(cli.Main(cli.System(version), os.Args[1:]))
}
