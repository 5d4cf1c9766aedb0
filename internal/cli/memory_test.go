package cli

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// percent is what the garbage collector is set to.
func percent() int {
	p := debug.SetGCPercent(100)
	debug.SetGCPercent(p)
	return p
}

func TestSpareMemory(t *testing.T) {
	before := percent()
	restore := spareMemory()
	if p := percent(); p != laziest {
		t.Errorf("with next to nothing alive, the collector is set to %d, want %d", p, laziest)
	}
	alive := make([]byte, 2*spareGarbage)
	for percent() != keenest { // until go test's own deadline
		runtime.GC()
		time.Sleep(time.Millisecond) // the cleanup that looks runs in a goroutine of its own
	}
	runtime.KeepAlive(alive)
	restore()
	if p := percent(); p != before {
		t.Errorf("afterwards it is set to %d, want %d as before", p, before)
	}
}
