package component

import (
	"flag"
	"fmt"
	"os"

	"github.com/coredns/caddy"
	_ "github.com/coredns/coredns/core/dnsserver" // the server type "dns"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/kubernetes"

	"github.com/davit-dev/davit/kubebox/internal/program"
)

// runDNS serves CoreDNS with the few plugins that cluster DNS needs. It goes
// below CoreDNS's own main, which would link in every plugin there is.
func runDNS(args []string) int {
	flags := flag.NewFlagSet(program.DNS, flag.ExitOnError)
	path := flags.String("conf", "", "Corefile to load")
	_ = flags.Parse(args)

	contents, err := os.ReadFile(*path)
	if err != nil {
		fmt.Fprintf(os.Stderr, "cannot read the Corefile: %v\n", err)
		return 1
	}
	caddy.AppName, caddy.Quiet = "CoreDNS", true
	caddy.TrapSignals()
	server, err := caddy.Start(caddy.CaddyfileInput{Contents: contents, Filepath: *path, ServerTypeName: "dns"})
	if err != nil {
		fmt.Fprintf(os.Stderr, "cannot start CoreDNS with %s: %v\n", *path, err)
		return 1
	}
	server.Wait()
	return 0
}
