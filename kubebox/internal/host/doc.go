// Package host is what a box takes from the machine it runs on, and gives back:
// the bridge, the firewall rules, the cgroups, the mounts, the ports.
//
// Everything a box makes carries its name or lies below its folders, so it can be
// found and removed without any record of what was made: after a crash of the
// supervisor as well as after an orderly stop.
package host

// Bridge is the network device that pods hang on; its address is the node's.
const Bridge = "kubebox0"

// Cgroup is the name of the box's cgroup in every hierarchy. Whatever runs for
// the box, from the supervisor to the last container, is in there or below.
const Cgroup = "kubebox"
