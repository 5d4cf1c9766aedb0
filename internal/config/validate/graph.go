package validate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/davit-dev/davit/internal/config/diag"
)

// findCycle gives the nodes of one cycle, the first one repeated at the end; nil where there is none.
func findCycle(edges [][]int) []int {
	const open, done = 1, 2
	state := make([]int, len(edges))
	var path []int
	var visit func(n int) []int
	visit = func(n int) []int {
		switch state[n] {
		case open:
			return append(slices.Clone(path[slices.Index(path, n):]), n)
		case done:
			return nil
		}
		state[n] = open
		path = append(path, n)
		for _, m := range edges[n] {
			if cycle := visit(m); cycle != nil {
				return cycle
			}
		}
		path = path[:len(path)-1]
		state[n] = done
		return nil
	}
	for n := range edges {
		if cycle := visit(n); cycle != nil {
			return cycle
		}
	}
	return nil
}

func arrows(names []string) string { return strings.Join(names, " -> ") }

func keys[V any](m map[string]V) []string {
	var names []string
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// suggest names the candidate that was meant, or all of them.
func suggest(word string, candidates []string) string {
	if near := diag.Nearest(word, candidates); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(candidates) == 0 {
		return ""
	}
	return "there are: " + strings.Join(candidates, ", ")
}
