package host

import (
	"net"
	"testing"
)

func TestFreePortPassesOverTakenOnes(t *testing.T) {
	taker, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taker.Close()
	taken := taker.Addr().(*net.TCPAddr).Port
	for _, address := range []string{"127.0.0.1", "0.0.0.0"} {
		got, err := FreePort(taken, address)
		if err != nil || got <= taken {
			t.Errorf("with %d taken on 127.0.0.1, the port for %s is %d, %v; want a later one", taken, address, got, err)
		}
	}
}
