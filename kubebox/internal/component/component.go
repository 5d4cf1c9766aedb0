// Package component holds the programs that a box is made of, each as a
// function that runs it in the foreground with the process's own arguments.
//
// The supervisor starts them by executing the kubebox binary again under the
// component's name, so every one of them is a process of its own, as in any
// cluster: it can be killed, looked at and started again alone.
package component

import "github.com/davit-dev/davit/kubebox/internal/program"

// Named returns the component of that name: a function that takes the arguments
// after the program's name, runs until it is told to stop by a signal and
// returns an exit code. It returns nil where there is no such component.
//
// The upstream components read os.Args themselves, so args must be os.Args[1:].
func Named(name string) func(args []string) int {
	switch name {
	case program.Etcd:
		return runEtcd
	case program.DNS:
		return runDNS
	case program.Registry:
		return runRegistry
	case program.Kubectl:
		return RunKubectl
	}
	return kubernetes(name)
}
