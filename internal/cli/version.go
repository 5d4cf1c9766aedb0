package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newVersion(w World) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of davit",
		Example: "  davit version",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(w.Stdout, w.Version)
			return err
		},
	}
}
