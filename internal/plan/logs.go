package plan

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/davit-dev/davit/internal/config"
)

// Logs says how lines of containers are shown.
type Logs struct {
	prefix string   // none, container, podAndContainer or auto
	fields []string // of lines that are JSON objects, the fields that are shown; empty: the line as it is
}

func logs(c *config.Config) Logs {
	l := c.Model.Deploy.Logs
	return Logs{l.Prefix, l.JSONParse.Fields}
}

// Prefix is what is shown before the lines of a container; may be empty. What runs in no pod has no pod's name.
func (l Logs) Prefix(pod, container string) string {
	switch {
	case l.prefix == "none":
		return ""
	case pod != "" && (l.prefix == "podAndContainer" || l.prefix == "auto" && pod != container):
		return "[" + pod + " " + container + "]"
	}
	return "[" + container + "]"
}

// Line is a line as it is shown.
func (l Logs) Line(text string) string {
	if len(l.fields) == 0 {
		return text
	}
	var object map[string]any
	if json.Unmarshal([]byte(text), &object) != nil {
		return text
	}
	var parts []string
	for _, field := range l.fields {
		if value, ok := object[field]; ok {
			parts = append(parts, fmt.Sprintf("%s: %v", field, value))
		}
	}
	if len(parts) == 0 {
		return text
	}
	return strings.Join(parts, ", ")
}
