package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/config/schema"
)

func newSchema(w World) *cobra.Command {
	cmd := &cobra.Command{
		Use: "schema", Short: "List the apiVersions, and print their JSON schemas",
		Example: "  davit schema list\n  davit schema get skaffold/v4beta14",
	}
	var output string
	list := &cobra.Command{
		Use: "list", Short: "List the apiVersions, oldest first", Example: "  davit schema list\n  davit schema list -o json", Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return listSchemas(w, output) },
	}
	list.Flags().StringVarP(&output, "output", "o", "plain", "form of the answer: plain or json")
	cmd.AddCommand(list, &cobra.Command{
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

func listSchemas(w World, output string) error {
	versions := schema.New().List()
	switch output {
	case "plain":
		_, err := fmt.Fprintln(w.Stdout, strings.Join(versions, "\n"))
		return err
	case "json":
		return json.NewEncoder(w.Stdout).Encode(map[string][]string{"versions": versions})
	}
	return usageError{fmt.Errorf("output %q is not known: use plain or json", output)}
}
