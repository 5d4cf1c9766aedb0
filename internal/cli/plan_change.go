package cli

import (
	"encoding/json"
	"strings"

	udiff "github.com/aymanbagabas/go-udiff"

	"github.com/davit-dev/davit/internal/plan"
)

// longestValue is how much of a value is shown, in characters.
const longestValue = 160

// change writes one change of a value; of texts of several lines the lines that change.
func (t *planWriter) change(c plan.FieldChange) {
	before, wasText := c.Before.(string)
	after, isText := c.After.(string)
	switch {
	case c.Before == nil:
		t.line("      %s %s: %s", paint(t.colour, "32", "+"), c.Path, shortValue(c.After))
	case c.After == nil:
		t.line("      %s %s: %s", paint(t.colour, "31", "-"), c.Path, shortValue(c.Before))
	case wasText && isText && strings.Contains(before+after, "\n"):
		t.line("      %s %s:", paint(t.colour, "33", "~"), c.Path)
		for line := range strings.Lines(changedLines(before, after)) {
			t.line("          %s", strings.TrimSuffix(line, "\n"))
		}
	case wasText && before == after:
		t.line("      %s %s: another value %s", paint(t.colour, "33", "~"), c.Path, after)
	default:
		t.line("      %s %s: %s → %s", paint(t.colour, "33", "~"), c.Path, shortValue(c.Before), shortValue(c.After))
	}
}

// changedLines is a unified difference without its two head lines.
func changedLines(before, after string) string {
	text := udiff.Unified("", "", before, after)
	for range 2 {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}

// shortValue is a value in one line.
func shortValue(v any) string {
	text, ok := v.(string)
	if !ok || text == "" || strings.Contains(text, "\n") {
		raw, err := json.Marshal(v)
		if err != nil {
			return "?"
		}
		text = string(raw)
	}
	if runes := []rune(text); len(runes) > longestValue {
		return string(runes[:longestValue]) + "..."
	}
	return text
}
