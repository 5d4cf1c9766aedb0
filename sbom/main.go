// Command davit-sbom writes an SPDX document of what is in an image.
//
//	davit-sbom LAYOUT
//
// LAYOUT is a folder with one image, as the OCI image layout has it. The document goes to standard output. davit runs this for
// --sbom; it is a program and a Go module of its own, since syft and all that it needs to read weighs more than davit.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/anchore/syft/syft"
	"github.com/anchore/syft/syft/format/spdxjson"
	_ "modernc.org/sqlite" // syft reads RPM databases by it, under its name
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "davit-sbom:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	if len(args) != 1 {
		return errors.New("usage: davit-sbom LAYOUT")
	}
	image, err := syft.GetSource(ctx, args[0], syft.DefaultGetSourceConfig().WithSources("oci-dir"))
	if err != nil {
		return fmt.Errorf("reading the image in %s: %w", args[0], err)
	}
	defer func() { err = errors.Join(err, image.Close()) }()
	found, err := syft.CreateSBOM(ctx, image, syft.DefaultCreateSBOMConfig().WithTool("davit-sbom", ""))
	if err != nil {
		return fmt.Errorf("listing what is in the image: %w", err)
	}
	format, err := spdxjson.NewFormatEncoderWithConfig(spdxjson.DefaultEncoderConfig())
	if err != nil {
		return err
	}
	return format.Encode(out, *found)
}
