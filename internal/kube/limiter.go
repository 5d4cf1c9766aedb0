package kube

import (
	"context"
	"net/http"
	"sync"
)

// maxInFlight bounds the requests at once: more does not make one API server faster.
const maxInFlight = 64

// limiter lets as many requests go side by side as the server takes: every 429 halves the number, every hundred answers
// without one let one more go. Waiting as long as Retry-After says and asking again is client-go's part.
type limiter struct {
	next     http.RoundTripper
	answered func(*http.Response)

	mu      sync.Mutex
	free    *sync.Cond
	limit   float64
	running int
}

func newLimiter(next http.RoundTripper, answered func(*http.Response)) *limiter {
	l := &limiter{next: next, answered: answered, limit: maxInFlight}
	l.free = sync.NewCond(&l.mu)
	return l
}

// RoundTrip holds a place until the headers are there: a watch does not occupy one while it runs. The headers of a log that is followed come with
// its first line, so that one takes no place.
func (l *limiter) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Query().Get("follow") == "true" {
		return l.next.RoundTrip(req)
	}
	if err := l.enter(req.Context()); err != nil {
		return nil, err
	}
	resp, err := l.next.RoundTrip(req)
	l.leave(err == nil && resp.StatusCode == http.StatusTooManyRequests)
	if err == nil {
		l.answered(resp)
	}
	return resp, err
}

func (l *limiter) enter(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock() // not between somebody's look at the context and its wait
		defer l.mu.Unlock()
		l.free.Broadcast()
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for float64(l.running) >= l.limit {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.free.Wait()
	}
	l.running++
	return nil
}

func (l *limiter) leave(tooMany bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	if tooMany {
		l.limit = max(1, l.limit/2)
	} else {
		l.limit = min(maxInFlight, l.limit+0.01)
	}
	l.free.Broadcast()
}

// WrappedRoundTripper lets client-go find the connection below.
func (l *limiter) WrappedRoundTripper() http.RoundTripper { return l.next }

// warnings hands on each text once.
type warnings struct {
	seen sync.Map
	say  func(string)
}

func newWarnings(say func(string)) *warnings { return &warnings{say: say} }

// HandleWarningHeader is called by client-go for each Warning header; 299 is the code for those meant for people.
func (w *warnings) HandleWarningHeader(code int, _ string, text string) {
	if w.say == nil || code != 299 || text == "" {
		return
	}
	if _, again := w.seen.LoadOrStore(text, true); !again {
		w.say(text)
	}
}
