package cli

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/report"
)

// reportFlags say to whom commands that run stages tell what happens, beside the flags of all commands.
type reportFlags struct {
	mute     []string
	output   string
	events   string
	noServer []string
	toot     bool
	quiet    bool // only warnings and the result, unless -v asks for more
}

// addTo adds the flags. A command whose --output is something else, as build's Go template, adds that itself.
func (r *reportFlags) addTo(f *pflag.FlagSet, ownOutput bool) {
	f.StringSliceVar(&r.mute, "mute-logs", nil, "stages whose logs go to files: "+strings.Join(mutable, ", "))
	f.StringVar(&r.events, "event-log-file", "", "write every event to this file, a line of JSON each")
	if !ownOutput {
		f.StringVar(&r.output, "output", "text", "text, or json for a line of JSON for every event")
	}
	f.BoolVar(&r.toot, "toot", false, "ring the terminal's bell when everything is deployed")
	r.withoutServer(f)
}

// withoutServer accepts the flags of the API that Skaffold serves.
func (r *reportFlags) withoutServer(f *pflag.FlagSet) {
	for _, name := range []string{"rpc-port", "rpc-http-port", "wait-for-connection", "last-log-file"} {
		f.Var(&noted{name, &r.noServer}, name, "no effect: davit serves no API, see --event-log-file")
		f.Lookup(name).Hidden = true
	}
	f.Lookup("wait-for-connection").NoOptDefVal = "true"
}

// noted is a flag that is only remembered to have been given.
type noted struct {
	name  string
	given *[]string
}

func (n *noted) String() string { return "" }
func (n *noted) Type() string   { return "string" }

func (n *noted) Set(value string) error {
	if value != "" && value != "false" {
		*n.given = append(*n.given, "--"+n.name)
	}
	return nil
}

// mutable are the values of --mute-logs.
var mutable = []string{"build", "test", "render", "deploy", "status-check", "port-forward", "all", "none"}

// muted gives the stages that --mute-logs names.
func (r *reportFlags) muted() ([]event.Stage, error) {
	stages := map[string]event.Stage{
		"build": event.StageBuild, "test": event.StageTest, "render": event.StageRender, "deploy": event.StageDeploy, "status-check": event.StageWait,
	}
	var all []event.Stage
	for _, name := range r.mute {
		if !slices.Contains(mutable, name) {
			return nil, usageError{fmt.Errorf("--mute-logs does not know %q: use %s", name, strings.Join(mutable, ", "))}
		}
		for stage, s := range stages {
			if name == stage || name == "all" {
				all = append(all, s)
			}
		}
	}
	return all, nil
}

// json says whether events go to standard output. For a command whose --output is something else, output says what that is.
func (r *reportFlags) json() (bool, error) {
	switch {
	case r.output == "", r.output == "text":
		return false, nil
	case isEvents(r.output):
		return true, nil
	}
	return false, usageError{fmt.Errorf("--output %q is not known: use text or json", r.output)}
}

// isEvents says whether --output asks for events.
func isEvents(output string) bool { return output == "json" || output == "jsonl" }

// open starts the report of a command, to be closed with what the command returns. stdoutIsTaken says that standard output belongs to the
// result, so that the report goes to standard error.
func (r *reportFlags) open(w World, c *common, stdoutIsTaken bool) (report.Report, error) {
	o, err := c.shown(w, stdoutIsTaken)
	if err != nil {
		return nil, err
	}
	if o.Mute, err = r.muted(); err != nil {
		return nil, err
	}
	if o.JSON, err = r.json(); err != nil {
		return nil, err
	}
	if r.toot {
		o.Bell = w.Stderr
	}
	if r.quiet && o.Level < report.LevelInfo {
		o.Out, o.Screen = io.Discard, nil
	}
	if r.events != "" {
		file, err := os.OpenFile(w.path(r.events), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, fmt.Errorf("the file for events: %w", err)
		}
		o.Events = file
	}
	shown := report.New(o)
	if len(r.noServer) > 0 {
		shown.Emit(event.Warning{Message: strings.Join(r.noServer, ", ") + ": davit serves no API; --event-log-file and --output json tell the same"})
	}
	return shown, nil
}

// lines is the report of a command that has no stages: a line for each event.
func (c *common) lines(w World, stdoutIsTaken bool) (event.Sink, error) {
	o, err := c.shown(w, stdoutIsTaken)
	o.Screen = nil
	return report.New(o), err
}

// shown says how things look, by the flags, by what the streams are and by the customs of terminals: NO_COLOR (no-color.org) and TERM=dumb.
func (c *common) shown(w World, stdoutIsTaken bool) (report.Options, error) {
	o := report.Options{Out: w.Stdout, Err: w.Stderr, Timestamps: c.timestamps, Now: w.Now,
		LogDir: cmp.Or(w.cacheDir("logs"), filepath.Join(os.TempDir(), "davit"))}
	if stdoutIsTaken {
		o.Out = w.Stderr
	}
	var err error
	if o.Level, err = report.ParseLevel(c.verbosity); err != nil {
		return o, usageError{err}
	}
	o.Colour = c.forceColors || w.colours(o.Out)
	if c.color >= 31 && c.color <= 37 || c.color >= 91 && c.color <= 95 {
		o.Heading = strconv.Itoa(c.color)
	}
	if fd, smart := w.terminal(o.Out); smart {
		o.Screen = func() (columns, rows int) {
			columns, rows, err := term.GetSize(fd)
			if err != nil {
				return 0, 0
			}
			return columns, rows
		}
		_, same := w.terminal(o.Err)
		o.ErrElsewhere = !same
	}
	return o, nil
}

// colours says whether what is written to a stream may be coloured.
func (w World) colours(stream io.Writer) bool {
	_, smart := w.terminal(stream)
	return smart && w.Getenv("NO_COLOR") == ""
}

// terminal says whether a stream is a terminal that understands escape sequences.
func (w World) terminal(stream io.Writer) (fd int, smart bool) {
	file, ok := stream.(*os.File)
	if !ok || w.Getenv("TERM") == "dumb" || !term.IsTerminal(int(file.Fd())) {
		return 0, false
	}
	return int(file.Fd()), escapes(file)
}
