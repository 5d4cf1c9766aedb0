package build

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/distribution/reference"

	"github.com/davit-dev/davit/internal/event"
)

// answer is what can be in the way of a registry: how it reads in errors of BuildKit and the Docker Engine, what it means,
// and what to do about it, where HOST and REPOSITORY stand for their names.
type answer struct {
	pattern     string // a regular expression
	cause, hint string
	passing     bool // another try may succeed
	retried     bool // BuildKit tried again itself
}

var answers = []answer{
	// Two pushes of one layer into one repository at a time, as of an image and of its cache, are more than some registries bear.
	{`digest did not match uploaded content|blob unknown to registry|blob upload (unknown|invalid)`,
		"uploads of one layer got into each other's way", "try again", true, false},
	{`429 Too Many|HTTP 429|(?i)toomanyrequests`, "asked too often (429)", "try again later", true, false},
	{`server gave HTTP response to HTTPS client`, "it speaks plain HTTP only",
		"if that is meant to be, name it: --insecure-registry=HOST (a Docker Engine has to know it too: \"insecure-registries\" in its daemon.json)", false, false},
	{`x509: |certificate`, "its certificate is not trusted",
		"add its authority to the machine that builds, or name it: --insecure-registry=HOST", false, false},
	{`(?i)\bunauthorized\b|HTTP 401|no basic auth credentials|authorization failed|authentication required|failed to authorize`,
		"it wants credentials, or those given are wrong (401)", "docker login HOST", false, false},
	{`403 Forbidden|HTTP 403|(?i)\bdenied\b|insufficient_scope`, "access denied (403)",
		"log in with an account that may use REPOSITORY: docker login HOST", false, false},
	{`(?i)name[_ ]unknown|repository name not known|repository .* (not found|does not exist)`, "it has no repository REPOSITORY",
		"create it there, or choose another with --default-repo", false, false},
	{`timeout awaiting response headers|nothing was heard for`,
		"it does not answer", "is it up, and what is in between (a proxy, a firewall)? It is reached from where the image is built", false, false},
	{`connection refused|no such host|i/o timeout|network is unreachable|no route to host|TLS handshake timeout`,
		"it cannot be reached", "is the name right and the registry up? It is reached from where the image is built", false, false},
	{`\b5\d\d\b (?i:internal|bad|service|gateway)|HTTP 5\d\d|\bunavailable(: |$)|connection reset|unexpected EOF|\bEOF$|broken pipe`,
		"it failed", "try again later, or look at the registry's log", true, true},
	{`404 Not Found|(?i)\bnot found\b|manifest unknown`, "there is no such image", "is IMAGE right, name and tag?", false, false},
}

// Refusal is the [*RegistryError] for what a registry, or the way to it, answered to a daemon that was doing something ("pushing", "pulling")
// with an image. What is not known stays as it is.
func Refusal(doing, image string, err error) error {
	named, parseErr := reference.ParseNormalizedNamed(image)
	if parseErr != nil {
		return err
	}
	e := &RegistryError{
		Registry: reference.Domain(named), Repository: reference.Path(named), Doing: doing, Cause: err.Error(), Err: err,
	}
	a := findAnswer(err)
	if a == nil {
		return e
	}
	fill := strings.NewReplacer("HOST", e.Registry, "REPOSITORY", e.Repository, "IMAGE", image)
	e.Cause, e.Hint = fill.Replace(a.cause), fill.Replace(a.hint)
	if detail := lastPart(err); a.matches(detail) {
		e.Cause += ": " + detail
	}
	return e
}

// Patience is how long a registry may be silent before it is given up.
const Patience = 5 * time.Minute

// Silent is the [*RegistryError] about a registry that takes connections and does not answer.
func Silent(doing, image string, silence time.Duration) error {
	err := Refusal(doing, image, fmt.Errorf("nothing was heard for %s", silence.Round(time.Second/10)))
	if e, ok := errors.AsType[*RegistryError](err); ok {
		e.Cause += ": " + e.Err.Error()
	}
	return err
}

// matches compiles the pattern on each use: that is after a failure, and no start of davit shall pay for it.
func (a answer) matches(text string) bool { return regexp.MustCompile(a.pattern).MatchString(text) }

func findAnswer(err error) *answer {
	for i := range answers {
		if answers[i].matches(err.Error()) {
			return &answers[i]
		}
	}
	return nil
}

// lastPart is the end of an error, which names the innermost cause.
func lastPart(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, `": `); i >= 0 {
		return text[i+3:]
	}
	return ""
}

// IsBusy says whether a registry said that it is asked too often, which is no reason for BuildKit to try again itself.
func IsBusy(err error) bool {
	var e *RegistryError
	if !errors.As(err, &e) {
		return false
	}
	a := findAnswer(e.Err)
	return a != nil && a.passing && !a.retried
}

// IsPassing says whether a registry's answer may be another one soon.
func IsPassing(err error) bool {
	var e *RegistryError
	if !errors.As(err, &e) {
		return false
	}
	a := findAnswer(e.Err)
	return a != nil && a.passing
}

// pushTries is how often a push is tried that fails for a reason that may pass.
const pushTries = 3

// Patiently tries again, ever later, what a registry refused for a reason that may pass.
func Patiently(ctx context.Context, sink event.Sink, try func() error) error {
	wait := time.Second
	for n := 1; ; n++ {
		err := try()
		if err == nil || n == pushTries || !IsPassing(err) {
			return err
		}
		sink.Emit(event.Warning{Message: err.Error() + "; trying again in " + wait.String()})
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		wait *= 2
	}
}
