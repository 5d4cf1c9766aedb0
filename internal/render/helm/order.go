package helm

import (
	"fmt"
	"slices"
	"strings"
)

// Order gives the releases in levels, as indexes: those of one level depend only on those of earlier ones and can go side by side. Within
// a level the order is that of the config. A name that is there twice, a dependency that is not there, and a cycle are errors that name it.
func Order(releases []Release) (levels [][]int, err error) {
	at := make(map[string]int, len(releases))
	for i, r := range releases {
		if _, twice := at[r.Name]; twice {
			return nil, fmt.Errorf("release %s is there twice", r.Name)
		}
		at[r.Name] = i
	}
	level := make([]int, len(releases)) // from 1; 0: not known yet
	var path []string
	var visit func(i int) error
	visit = func(i int) error {
		name := releases[i].Name
		if start := slices.Index(path, name); start >= 0 {
			return fmt.Errorf("releases depend on each other in a circle: %s", strings.Join(append(path[start:], name), " -> "))
		}
		if level[i] > 0 {
			return nil
		}
		path = append(path, name)
		depth := 1
		for _, need := range releases[i].DependsOn {
			n, known := at[need]
			if !known {
				return fmt.Errorf("release %s depends on %s, which is not a release of this config", name, need)
			}
			if err := visit(n); err != nil {
				return err
			}
			depth = max(depth, level[n]+1)
		}
		path = path[:len(path)-1]
		level[i] = depth
		return nil
	}
	for i := range releases {
		if err := visit(i); err != nil {
			return nil, err
		}
		for len(levels) < level[i] {
			levels = append(levels, nil)
		}
	}
	for i, l := range level {
		levels[l-1] = append(levels[l-1], i)
	}
	return levels, nil
}
