package engine

// Push and Pull with another patience.
var (
	PushPatiently = push
	PullPatiently = pull
)
