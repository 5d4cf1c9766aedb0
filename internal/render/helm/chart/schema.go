package chart

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// Validate holds the values against the schemas of the chart and its subcharts. The error names each chart whose schema they break. A schema
// that cannot be checked here, because it is of a draft before 6 or lies elsewhere, is left out, and warn hears of it.
func (c *Chart) Validate(values map[string]any, warn func(string)) error {
	var errs []error
	if c.Schema != nil {
		if schema, err := readSchema(c.Schema); err != nil {
			warn(fmt.Sprintf("values.schema.json of chart %s is not checked: %v", c.Name(), err))
		} else if err := schema.Validate(values); err != nil {
			errs = append(errs, fmt.Errorf("the values of chart %s break its values.schema.json: %s", c.FullPath(), where(err)))
		}
	}
	for _, sub := range c.subs {
		below, isMap := values[sub.Name()].(map[string]any)
		if isMap {
			errs = append(errs, sub.Validate(below, warn))
		}
	}
	return errors.Join(errs...)
}

func readSchema(data []byte) (*jsonschema.Resolved, error) {
	var s jsonschema.Schema
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	const draft7 = "http://json-schema.org/draft-07/schema#"
	if s.Schema != "" && !slices.Contains([]string{draft7, "https://json-schema.org/draft/2020-12/schema"}, s.Schema) {
		s.Schema = draft7 // drafts 6 and 2019-09 are close enough
	}
	return s.Resolve(nil)
}

// where keeps of an error what says which value breaks which rule.
func where(err error) string {
	return strings.ReplaceAll(strings.TrimPrefix(err.Error(), "validating root: "), "validating /", "/")
}
