package component

import (
	"context"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"github.com/davit-dev/davit/kubebox/internal/program"
)

// kubernetes returns the upstream component of that name, or nil.
func kubernetes(name string) func([]string) int {
	var command func() *cobra.Command
	switch name {
	case program.APIServer:
		command = apiserver.NewAPIServerCommand
	case program.ControllerManager:
		command = controllermanager.NewControllerManagerCommand
	case program.Scheduler:
		command = func() *cobra.Command { return scheduler.NewSchedulerCommand() }
	case program.Kubelet:
		command = func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }
	case program.Proxy:
		command = proxy.NewProxyCommand
	default:
		return nil
	}
	return func(args []string) int {
		c := command()
		c.SetArgs(args)
		return cli.Run(c)
	}
}
