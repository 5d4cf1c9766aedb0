package tag

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/Masterminds/sprig/v3"
)

// EnvTemplate is the policy envTemplate.
type EnvTemplate struct {
	template *template.Template
	env      map[string]string
}

// Environment is what templates may ask for.
type Environment struct {
	Environ []string // "NAME=value"
	Now     func() time.Time
	Run     Runner // for the function cmd
}

// NewEnvTemplate parses a template. It has the variables of env and IMAGE_NAME, the functions of sprig, and cmd, which runs a command and is what it
// prints.
func NewEnvTemplate(ctx context.Context, text string, env Environment) (*EnvTemplate, error) {
	vars := map[string]string{}
	for _, kv := range env.Environ {
		name, value, _ := strings.Cut(kv, "=")
		vars[name] = value
	}
	t, err := template.New("envTemplate").Funcs(sprig.TxtFuncMap()).Funcs(template.FuncMap{
		"cmd": func(name string, args ...string) (string, error) {
			out, err := env.Run(ctx, "", name, args...)
			return strings.TrimSpace(string(out)), err
		},
		"env":       func(name string) string { return vars[name] },
		"expandenv": func(s string) string { return os.Expand(s, func(name string) string { return vars[name] }) },
		"now":       env.Now,
	}).Option("missingkey=invalid").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parsing the tag template: %w", err)
	}
	return &EnvTemplate{template: t, env: vars}, nil
}

// noValue is what text/template prints for a variable that is not there. A missing one is no error by itself, since functions such as default may take
// care of it.
const noValue = "<no value>"

// Tag makes the tag.
func (p *EnvTemplate) Tag(_ context.Context, a Artifact) (string, error) {
	vars := maps.Clone(p.env)
	vars["IMAGE_NAME"] = a.Image
	var b strings.Builder
	if err := p.template.Execute(&b, vars); err != nil {
		return "", fmt.Errorf("executing the tag template: %w", err)
	}
	if strings.Contains(b.String(), noValue) {
		unset := slices.DeleteFunc(fields(p.template.Root), func(name string) bool { _, set := vars[name]; return set })
		slices.Sort(unset)
		return "", fmt.Errorf("the tag template uses environment variables that are not set: %s", strings.Join(slices.Compact(unset), ", "))
	}
	return b.String(), nil
}
