package registry

// TransportWith gives up after another silence.
var TransportWith = transport
