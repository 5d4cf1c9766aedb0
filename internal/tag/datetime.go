package tag

import (
	"context"
	"fmt"
	"time"
)

// DateTime is the policy dateTime.
type DateTime struct {
	Format string // a Go layout; see defaultLayout when empty
	Zone   string // as "Europe/Berlin"; the local one when empty
	Now    func() time.Time
}

const defaultLayout = "2006-01-02_15-04-05.999_MST"

// Tag makes the tag of this moment.
func (p DateTime) Tag(context.Context, Artifact) (string, error) {
	layout, zone := p.Format, p.Zone
	if layout == "" {
		layout = defaultLayout
	}
	if zone == "" {
		zone = "Local"
	}
	at, err := time.LoadLocation(zone)
	if err != nil {
		return "", fmt.Errorf("timezone %q: %w", zone, err)
	}
	return p.Now().In(at).Format(layout), nil
}
