package buildkitd

import (
	"net/http"
	"strconv"
	"time"
)

// patient makes a client wait before it asks again when a registry says that it is asked too often (429): BuildKit asks
// again at once, a few times.
func patient(c *http.Client) *http.Client {
	if c == nil {
		c = http.DefaultClient
	}
	clone := *c
	clone.Transport = &patientTransport{next: c.Transport}
	return &clone
}

type patientTransport struct{ next http.RoundTripper }

const (
	patientTries = 3
	longestWait  = 10 * time.Second
)

func (t *patientTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	wait := time.Second
	for try := 1; ; try++ {
		resp, err := next.RoundTrip(req)
		if err != nil || resp.StatusCode != http.StatusTooManyRequests || try == patientTries {
			return resp, err
		}
		again := req.Clone(req.Context())
		if req.Body != nil && req.Body != http.NoBody {
			if req.GetBody == nil {
				return resp, nil
			}
			if again.Body, err = req.GetBody(); err != nil {
				return resp, nil
			}
		}
		_ = resp.Body.Close()
		select {
		case <-req.Context().Done():
			return nil, req.Context().Err()
		case <-time.After(retryAfter(resp, wait)):
		}
		wait *= 2
		req = again
	}
}

// retryAfter is what the answer asks for in seconds (RFC 9110, 10.2.3), within bounds.
func retryAfter(resp *http.Response, otherwise time.Duration) time.Duration {
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		return min(time.Duration(seconds)*time.Second, longestWait)
	}
	return otherwise
}
