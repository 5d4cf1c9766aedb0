package supervise

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// Phase is what a component is doing.
type Phase string

const (
	Waiting Phase = "waiting"  // for those it needs
	Running Phase = "running"  // started
	BackOff Phase = "back-off" // ended, to be started again after a pause
	Stopped Phase = "stopped"  // with the box
)

// Status is what the supervisor knows.
type Status struct {
	Since      time.Time `json:"since"`
	Components []State   `json:"components"`
}

// State is how one component is.
type State struct {
	Name       string    `json:"name"`
	Phase      Phase     `json:"phase"`
	PID        int       `json:"pid,omitempty"`
	StartedAt  time.Time `json:"startedAt,omitzero"`
	Restarts   int       `json:"restarts"`           // since the supervisor started
	LastExit   string    `json:"lastExit,omitempty"` // how it ended the last time
	LastExitAt time.Time `json:"lastExitAt,omitzero"`
}

// Read returns the status that a supervisor keeps in the file at path.
func Read(path string) (*Status, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the status: %w", err)
	}
	var status Status
	if err := json.Unmarshal(content, &status); err != nil {
		return nil, fmt.Errorf("cannot read the status in %s: %w", path, err)
	}
	return &status, nil
}
