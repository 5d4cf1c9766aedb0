package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/shlex"
	"github.com/spf13/pflag"
)

// commandLine gives the arguments to run with: those of SKAFFOLD_CMDLINE where there are none.
func commandLine(w World, args []string) ([]string, error) {
	text := w.Getenv("SKAFFOLD_CMDLINE")
	if len(args) > 0 || text == "" {
		return args, nil
	}
	args, err := shlex.Split(text)
	if err != nil {
		return nil, usageError{fmt.Errorf("environment variable SKAFFOLD_CMDLINE: %w: %s", err, text)}
	}
	return args, nil
}

// fromEnvironment sets flags that were not given from DAVIT_* or SKAFFOLD_* variables. The lists of both are joined, the variable's first.
func fromEnvironment(w World, flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		list, isList := f.Value.(pflag.SliceValue)
		name, value, set := variable(w, f.Name)
		if !set || f.Changed && !isList || f.Name == "help" {
			return
		}
		var given []string
		if isList && f.Changed {
			given = list.GetSlice()
			errs = append(errs, list.Replace(nil))
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, usageError{fmt.Errorf("environment variable %s: %w", name, flagError(err))})
		}
		for _, g := range given {
			errs = append(errs, list.Append(g))
		}
	})
	return errors.Join(errs...)
}

// variable finds the environment variable of a flag.
func variable(w World, flag string) (name, value string, set bool) {
	suffix := strings.ReplaceAll(strings.ToUpper(flag), "-", "_")
	names := []string{"DAVIT_" + suffix, "SKAFFOLD_" + suffix}
	if flag == "namespace" {
		names = append(names, "SKAFFOLD_DEPLOY_NAMESPACE") // its older name
	}
	for _, name := range names {
		if value, set := w.LookupEnv(name); set {
			return name, value, true
		}
	}
	return "", "", false
}
