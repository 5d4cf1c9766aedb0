package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/config/schema"
)

func newSchema(w World) *cobra.Command {
	cmd := &cobra.Command{
		Use: "schema", Short: "List the apiVersions, and print their JSON schemas",
		Example: "  davit schema list\n  davit schema get skaffold/v4beta14",
	}
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List the apiVersions, oldest first", Example: "  davit schema list", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			for _, version := range schema.New().List() {
				fmt.Fprintln(w.Stdout, version)
			}
			return nil
		},
	}, &cobra.Command{
		Use: "get VERSION", Short: "Print the JSON schema of an apiVersion",
		Example: "  davit schema get skaffold/v4beta14 > schema.json",
		Args:    exactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := schema.New().JSON(args[0])
			if err != nil {
				return err
			}
			_, err = w.Stdout.Write(text)
			return err
		},
	})
	return cmd
}
