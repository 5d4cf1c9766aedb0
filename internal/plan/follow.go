package plan

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/davit-dev/davit/internal/config"
)

// Follow is what goes on after a deployment, until somebody ends it.
type Follow struct {
	Tail    bool
	Forward Forward
	Ports   []Port          // those of the configs, in their order, where they are forwarded
	Logs    map[string]Logs // by artifact
	Default Logs            // of what is no artifact
}

// Some says whether anything goes on at all.
func (f Follow) Some() bool { return f.Tail || f.Forward != Forward{} }

// Forward says which ports are forwarded.
type Forward struct {
	User     bool // those of the config
	Services bool // all of the services that were deployed
	Pods     bool // all of the containers of the images
	Debug    bool // those of containers that are being debugged
}

// ParseForward reads the value of --port-forward, as Skaffold takes it: modes with commas between them, or a boolean.
func ParseForward(text string) (Forward, error) {
	modes := strings.Split(text, ",")
	var f Forward
	for _, mode := range modes {
		on, notBoolean := strconv.ParseBool(mode)
		switch {
		case (notBoolean == nil || mode == "off" || mode == "") && len(modes) > 1:
			return Forward{}, fmt.Errorf("%q goes with no other mode", mode)
		case notBoolean == nil:
			f.User, f.Services = on, on
		case mode == "user":
			f.User = true
		case mode == "services":
			f.Services = true
		case mode == "pods":
			f.Pods = true
		case mode == "debug":
			f.Debug = true
		case mode != "off" && mode != "":
			return Forward{}, fmt.Errorf("%q is not known: use user, services, pods, debug or off", mode)
		}
	}
	return f, nil
}

// Port is one of portForward.
type Port struct {
	Kind, Name string
	Namespace  string // empty: that of the resource of this name that was deployed
	Port       string // number or name
	Address    string // on this machine
	Local      int    // wanted there; 0: any
}

// NewFollow says what goes on after the deployment of configs.
func NewFollow(configs []*config.Config, tail bool, forward Forward, o Options) (Follow, error) {
	f := Follow{Tail: tail, Forward: forward, Logs: map[string]Logs{}}
	var errs []error
	for _, c := range slices.Backward(configs) {
		f.Default = logs(c)
		for _, a := range c.Model.Build.Artifacts {
			f.Logs[a.Image] = f.Default
		}
	}
	if !forward.User {
		return f, nil
	}
	for _, c := range configs {
		for i, p := range c.Model.PortForward {
			port := Port{Kind: p.Type, Port: p.Port.String(), Address: p.Address, Local: p.LocalPort}
			var err error
			port.Name, err = o.Templates.Field(c, p.Name, nil, "portForward", i, "resourceName")
			errs = append(errs, err)
			port.Namespace, err = o.Templates.Field(c, p.Namespace, nil, "portForward", i, "namespace")
			errs = append(errs, err)
			if strings.EqualFold(p.Type, "container") {
				continue // of a Docker Engine, which opens it itself
			}
			if p.LocalPort < 0 || p.LocalPort > 65535 {
				errs = append(errs, c.Error(fmt.Sprintf("%d is no port", p.LocalPort), "write a number up to 65535", "portForward", i, "localPort"))
			}
			f.Ports = append(f.Ports, port)
		}
	}
	return f, errors.Join(errs...)
}
