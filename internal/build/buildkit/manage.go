package buildkit

import (
	"context"

	"github.com/moby/buildkit/client"
)

// Open connects to the BuildKit that b builds with, for those who look after it. The carried one is started when need be. Close ends
// the connection.
func (b *Builder) Open(ctx context.Context) (c *client.Client, close func() error, err error) {
	conn, err := b.connect(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	return conn.Client, conn.Close, nil
}
