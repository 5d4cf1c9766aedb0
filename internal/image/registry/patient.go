// Package registry speaks to registries with the patience that they need.
package registry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// tries is how often a request is sent that fails for a reason that may pass.
const tries = 4

// longest is the longest time that a registry is waited for because it asks to.
const longest = 10 * time.Second

// Patient tries again, after 0.2, 0.6 and 1.8 seconds or as long as the registry asks for, what a registry refused because it is asked too often (429)
// or fails (5xx), and what a dropped connection cut off. The request's context ends it. Credentials have to be added around it, not below.
func Patient(inner http.RoundTripper) http.RoundTripper { return &patient{inner} }

type patient struct{ inner http.RoundTripper }

func (p *patient) RoundTrip(r *http.Request) (*http.Response, error) {
	wait := 200 * time.Millisecond
	for n := 1; ; n++ {
		again, err := repeat(r, n)
		if err != nil {
			return nil, err
		}
		answer, err := p.inner.RoundTrip(again)
		if n == tries || !passing(answer, err) || r.Body != nil && r.GetBody == nil {
			return answer, err
		}
		pause := wait
		if answer != nil {
			pause = max(pause, asked(answer))
			_, _ = io.Copy(io.Discard, answer.Body) // so that the connection can be used again
			_ = answer.Body.Close()
		}
		if !sleep(r.Context(), pause) {
			return nil, context.Cause(r.Context())
		}
		wait *= 3
	}
}

// repeat is the request with its body from the beginning.
func repeat(r *http.Request, n int) (*http.Request, error) {
	if n == 1 || r.GetBody == nil {
		return r, nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	again := r.Clone(r.Context())
	again.Body = body
	return again, nil
}

// passing says whether another try may succeed.
func passing(answer *http.Response, err error) bool {
	if err != nil {
		return slices.ContainsFunc([]error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed}, func(e error) bool { return errors.Is(err, e) })
	}
	switch answer.StatusCode {
	case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// asked is how long a registry wants to be left alone, in seconds.
func asked(answer *http.Response) time.Duration {
	seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, longest)
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
