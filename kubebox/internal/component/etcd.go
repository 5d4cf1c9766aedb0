package component

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/davit-dev/davit/kubebox/internal/program"
)

// runEtcd serves a single-member etcd on a unix socket, so that only root can
// read the cluster's secrets from it and no port is needed. Nothing is flushed
// to disk: a box is for work that can be done again, and waiting for the disk
// is most of what a small cluster does otherwise.
func runEtcd(args []string) int {
	flags := flag.NewFlagSet(program.Etcd, flag.ExitOnError)
	dir := flags.String("data-dir", "", "folder of the database")
	socket := flags.String("socket", "", "unix socket to serve clients on")
	_ = flags.Parse(args)

	cfg := embed.NewConfig()
	cfg.Dir = *dir
	cfg.ListenPeerUrls = nil
	cfg.ListenClientUrls = []url.URL{{Scheme: "unix", Path: *socket}}
	cfg.UnsafeNoFsync = true
	cfg.EnableGRPCGateway = false
	cfg.AutoCompactionMode = embed.CompactorModePeriodic
	cfg.AutoCompactionRetention = "10m"
	cfg.LogLevel = "warn"

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		fmt.Fprintf(os.Stderr, "cannot start etcd in %s: %v\n", *dir, err)
		return 1
	}
	defer server.Close()
	select {
	case <-ctx.Done():
		return 0
	case err := <-server.Err():
		fmt.Fprintf(os.Stderr, "etcd stopped serving: %v\n", err)
		return 1
	}
}
