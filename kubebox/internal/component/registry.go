package component

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/sirupsen/logrus"

	"github.com/davit-dev/davit/kubebox/internal/program"
)

// runRegistry serves an image registry over plain HTTP, with deletes allowed.
func runRegistry(args []string) int {
	flags := flag.NewFlagSet(program.Registry, flag.ExitOnError)
	dir := flags.String("dir", "", "folder of the images")
	listen := flags.String("listen", "", "addresses to listen on, separated by commas")
	_ = flags.Parse(args)

	logrus.SetLevel(logrus.WarnLevel)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := serveRegistry(ctx, *dir, strings.Split(*listen, ",")); err != nil {
		fmt.Fprintf(os.Stderr, "registry: %v\n", err)
		return 1
	}
	return 0
}

func serveRegistry(ctx context.Context, dir string, addresses []string) error {
	config := &configuration.Configuration{Storage: configuration.Storage{
		"filesystem": {"rootdirectory": dir},
		"delete":     {"enabled": true},
	}}
	config.Catalog.MaxEntries = 1000
	server := &http.Server{Handler: handlers.NewApp(ctx, config), ReadHeaderTimeout: time.Minute}

	failed := make(chan error, len(addresses))
	for _, address := range addresses {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("cannot listen on %s: %w", address, err)
		}
		go func() { failed <- server.Serve(listener) }()
	}
	select {
	case <-ctx.Done():
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		return server.Shutdown(closing)
	case err := <-failed:
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	}
}
