package buildkitd

import (
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"time"
)

// newClient talks to registries. It waits before it asks again when a registry says that it is asked too often (429), where
// BuildKit asks again at once, and it gives up on a registry that takes a connection and does not answer.
func newClient() *http.Client {
	return &http.Client{Transport: &patientTransport{next: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: time.Minute}).DialContext,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       2 * time.Minute,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: 5 * time.Second,
		ResponseHeaderTimeout: answerTimeout,
		// No HTTP/2: its flow control slows uploads down (golang/go#14077).
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}}}
}

const (
	answerTimeout = time.Minute // after a request is sent completely; registries digest large layers for a while
	patientTries  = 3
	longestWait   = 10 * time.Second
)

type patientTransport struct{ next http.RoundTripper }

func (t *patientTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	wait := time.Second
	for try := 1; ; try++ {
		resp, err := t.next.RoundTrip(req)
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
