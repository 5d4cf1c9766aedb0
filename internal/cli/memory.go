package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

const (
	spareGarbage = 16 << 20 // bytes that may be garbage however little is alive
	laziest      = 400      // percent of what is alive that may be garbage, as GOGC has it
	keenest      = 100
)

// spareMemory makes the garbage collector fit a command that ends in moments: garbage may grow to spareGarbage bytes, or to as much as is alive. To
// collect it less often saves a fifth of the time where there are many artifacts; to let it grow with much that is alive costs memory and saves none.
// It holds until the returned function is called.
func spareMemory() (restore func()) {
	before := debug.SetGCPercent(laziest)
	var ended atomic.Bool
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	percent := laziest
	var afterCollection func()
	afterCollection = func() {
		runtime.AddCleanup(new(*byte), func(struct{}) {
			if ended.Load() {
				return
			}
			metrics.Read(live)
			if wanted := min(max(spareGarbage*100/int(max(live[0].Value.Uint64(), 1)), keenest), laziest); wanted != percent {
				percent = wanted
				debug.SetGCPercent(percent)
			}
			afterCollection()
		}, struct{}{})
	}
	afterCollection()
	return func() {
		ended.Store(true)
		debug.SetGCPercent(before)
	}
}
