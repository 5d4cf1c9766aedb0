package kpt

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Function is a function of kpt's catalogue with its settings.
type Function struct {
	Name   string // as in the config, "set-labels"
	Image  string
	Config []string // "key=value"
}

// transformers and validators are the functions that Skaffold knows, in the versions that it runs.
var (
	transformers = catalogue("ghcr.io/kptdev/krm-functions-catalog/",
		"set-namespace:v0.4.1", "set-labels:v0.1.5", "set-annotations:v0.1", "create-setters:v0.1.3", "apply-setters:v0.2.4",
		"ensure-name-substring:v0.2.0", "search-replace:v0.2.0", "set-enforcement-action:v0.1.0")
	validators = catalogue("gcr.io/kpt-fn/", "kubeval:v0.1", "gatekeeper:v0.2.1")
)

func catalogue(registry string, functions ...string) map[string]string {
	images := make(map[string]string, len(functions))
	for _, f := range functions {
		name, _, _ := strings.Cut(f, ":")
		images[name] = registry + f
	}
	return images
}

// Transformer finds a function of manifests.transform. settings are "key:value", as in the config.
func Transformer(name string, settings []string) (Function, error) {
	return find("transformer", transformers, name, settings)
}

// Validator finds a function of manifests.validate.
func Validator(name string, settings []string) (Function, error) {
	return find("validator", validators, name, settings)
}

func find(what string, known map[string]string, name string, settings []string) (Function, error) {
	image, ok := known[name]
	if !ok {
		return Function{}, fmt.Errorf("%s %q is not known: there are %s", what, name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	f := Function{Name: name, Image: image}
	for _, s := range settings {
		key, value, found := strings.Cut(s, ":")
		if !found {
			return Function{}, fmt.Errorf("setting %q of the %s %s is not of the form key:value", s, what, name)
		}
		f.Config = append(f.Config, key+"="+value)
	}
	return f, nil
}
