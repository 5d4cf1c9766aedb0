package migrate_test

import (
	"testing"

	"github.com/davit-dev/davit/internal/config/migrate"
	"github.com/davit-dev/davit/internal/config/schema"
)

// TestEveryVersionHasItsRow: the table of migrations is the table of versions, but for the newest.
func TestEveryVersionHasItsRow(t *testing.T) {
	versions, rows := schema.New().Versions(), migrate.Steps()
	if len(rows) != len(versions)-1 {
		t.Fatalf("%d rows for %d versions", len(rows), len(versions))
	}
	for i, row := range rows {
		if row.From != versions[i] {
			t.Errorf("row %d is %s, want %s", i, row.From, versions[i])
		}
	}
}
