package plan

import (
	"errors"
	"time"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/imagetest"
)

// Tests are the tests of images in the configs, without the built images that they are about. Errors point into the config, all at once.
func Tests(configs []*config.Config, o Options) ([]imagetest.Case, error) {
	var cases []imagetest.Case
	var errs []error
	for _, c := range configs {
		for i, t := range c.Model.Test {
			if !wanted(t.Image, o.Images) {
				continue
			}
			made := imagetest.Case{
				Image: t.Image, Dir: absolute(c.Dir, t.Context),
				Structure: imagetest.Structure{Files: structureTests(c, t), Args: t.StructureTestsArgs},
			}
			for n, m := range t.Custom {
				command, err := o.Templates.Field(c, m.Command, nil, "test", i, "custom", n, "command")
				errs = append(errs, err)
				test := imagetest.Custom{Command: command, Timeout: time.Duration(m.TimeoutSeconds) * time.Second}
				if d := m.Dependencies; d != nil {
					test.Dependencies = &imagetest.Dependencies{Command: d.Command, Paths: d.Paths, Ignore: d.Ignore}
				}
				made.Custom = append(made.Custom, test)
			}
			cases = append(cases, made)
		}
	}
	return cases, errors.Join(errs...)
}

// structureTests are relative to the test's folder; in a config that another one requires, to that config, as in Skaffold.
func structureTests(c *config.Config, t *model.TestCase) []string {
	if !c.Required {
		return t.StructureTests
	}
	var files []string
	for _, file := range t.StructureTests {
		files = append(files, absolute(c.Dir, file))
	}
	return files
}
