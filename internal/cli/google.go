package cli

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/oauth2/google"

	"github.com/davit-dev/davit/internal/event"
)

// googleToken gives access tokens for Google's APIs by the Application Default Credentials. Without any it gives an empty one: what is public can be
// read all the same. They are looked for when the first is asked for.
func googleToken(w World, sink event.Sink) func(ctx context.Context) (string, error) {
	find := sync.OnceValues(func() (*google.Credentials, error) {
		// The credentials outlive the request that asks for them first.
		return google.FindDefaultCredentials(context.Background(), "https://www.googleapis.com/auth/cloud-platform")
	})
	return func(context.Context) (string, error) {
		credentials, err := find()
		if err != nil {
			if file := w.Getenv("GOOGLE_APPLICATION_CREDENTIALS"); file != "" {
				return "", fmt.Errorf("reading the credentials of GOOGLE_APPLICATION_CREDENTIALS (%s): %w", file, err)
			}
			sink.Emit(event.Debug{Message: "asking Google without credentials: " + err.Error()})
			return "", nil
		}
		token, err := credentials.TokenSource.Token()
		if err != nil {
			return "", err
		}
		return token.AccessToken, nil
	}
}

// storageEmulator is the address of an emulator of Cloud Storage, empty for the real one.
func storageEmulator(w World) string {
	host := w.Getenv("STORAGE_EMULATOR_HOST")
	if host == "" || strings.Contains(host, "://") {
		return host
	}
	return "http://" + host
}
