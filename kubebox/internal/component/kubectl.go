package component

import (
	"os"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // exec plugins and OIDC, as in any kubectl
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"

	"github.com/davit-dev/davit/kubebox/internal/program"
)

// RunKubectl is kubectl. It replaces os.Args, because kubectl looks there for
// plugins and verbosity, and on an error exits by itself with kubectl's own codes.
func RunKubectl(args []string) int {
	os.Args = append([]string{program.Kubectl}, args...)
	// Verbosity counts already while the command tree is built.
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
		return 1
	}
	return 0
}
