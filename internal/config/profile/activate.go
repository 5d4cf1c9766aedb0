// Package profile decides which profiles of a config are active, and applies them to its yaml tree.
package profile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/davit-dev/davit/internal/config/model"
)

// Facts are what activations ask about.
type Facts struct {
	// Command is the running command's name, such as run.
	Command string
	// Env looks a variable up; what is not set is empty.
	Env func(string) string
	// KubeContext names the current kube context, --kube-context first.
	KubeContext func() (string, error)
	// Auto is off with --profile-auto-activation=false.
	Auto bool
	// Explain is told, per profile, why it is active or not; may be nil.
	Explain func(string)
}

// Active gives the names of the active profiles in the order in which they apply: those that activate
// themselves in the file's order, then those named by the user. A name that starts with "-" turns a
// profile off. byContext are those that were activated by the kube context.
func Active(profiles []model.Profile, named []string, facts Facts) (active, byContext []string, err error) {
	if facts.Auto {
		for i, p := range profiles {
			on, contextual, err := facts.activated(p)
			if err != nil {
				return nil, nil, &ActivationError{Index: i, Name: p.Name, Err: err}
			}
			if on {
				active = append(active, p.Name)
				if contextual {
					byContext = append(byContext, p.Name)
				}
			}
		}
	}
	for _, name := range named {
		if off, found := strings.CutPrefix(name, "-"); found {
			active = slices.DeleteFunc(active, func(s string) bool { return s == off })
			continue
		}
		known := slices.ContainsFunc(profiles, func(p model.Profile) bool { return p.Name == name })
		if known && !slices.Contains(active, name) {
			active = append(active, name)
		}
	}
	return active, byContext, nil
}

// ActivationError says which profile's activation could not be decided.
type ActivationError struct {
	// Index is the profile's place in the config.
	Index int
	Name  string
	Err   error
}

func (e *ActivationError) Error() string { return fmt.Sprintf("profile %q: %v", e.Name, e.Err) }

// Unwrap gives the reason.
func (e *ActivationError) Unwrap() error { return e.Err }

// activated reports whether a profile activates itself: by any of its conditions, or by all of them
// where the profile asks for that.
func (f Facts) activated(p model.Profile) (on, contextual bool, err error) {
	if len(p.Activation) == 0 {
		return false, false, nil
	}
	for i, a := range p.Activation {
		hit, why, err := f.matches(a)
		if err != nil {
			return false, false, err
		}
		if !hit && f.Explain != nil {
			f.Explain(fmt.Sprintf("profile %q: activation %d does not match: %s", p.Name, i+1, why))
		}
		switch {
		case hit && !p.RequiresAllActivations:
			return true, a.KubeContext != "", nil
		case !hit && p.RequiresAllActivations:
			return false, false, nil
		}
		contextual = contextual || hit && a.KubeContext != ""
	}
	return p.RequiresAllActivations, p.RequiresAllActivations && contextual, nil
}

func (f Facts) matches(a model.Activation) (ok bool, why string, err error) {
	if a.Command != "" && !matchPattern(a.Command, f.Command) {
		ok, why = false, fmt.Sprintf("command %q is not %q", f.Command, a.Command)
	} else {
		ok = true
	}
	if a.Env != "" {
		name, want, found := strings.Cut(a.Env, "=")
		if !found {
			return false, "", fmt.Errorf("activation env %q must be written KEY=VALUE", a.Env)
		}
		// An empty pattern would match everything; it asks for a variable that is empty or not set.
		if got := f.Env(name); want == "" && got != "" || want != "" && !matchPattern(want, got) {
			ok, why = false, fmt.Sprintf("variable %s is %q, not %q", name, got, want)
		}
	}
	if a.KubeContext != "" {
		got, err := f.KubeContext()
		if err != nil {
			return false, "", fmt.Errorf("finding the current kube context: %w", err)
		}
		if !matchPattern(a.KubeContext, got) {
			ok, why = false, fmt.Sprintf("kube context %q is not %q", got, a.KubeContext)
		}
	}
	return ok, why, nil
}

// matchPattern compares a value with an activation's pattern: the same text, or a regular expression found
// anywhere in it; a leading "!" turns the answer round. What is no expression matches nothing else.
func matchPattern(pattern, value string) bool {
	if rest, negated := strings.CutPrefix(pattern, "!"); negated {
		return !matchPattern(rest, value)
	}
	if pattern == value {
		return true
	}
	re, err := regexp.Compile(pattern)
	return err == nil && re.MatchString(value)
}
