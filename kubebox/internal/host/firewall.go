package host

import (
	"bytes"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
)

const (
	chainForward = "KUBEBOX-FORWARD"
	chainInput   = "KUBEBOX-INPUT"
	chainNAT     = "KUBEBOX-POSTROUTING"
)

// OpenFirewall lets packets of the box through whatever policy the machine has
// (a Docker Engine drops what it does not know), hides pods behind the machine's
// address when they talk to the world, and keeps the world away from the API server's port,
// which listens on all addresses only so that pods and 127.0.0.1 both reach it.
func OpenFirewall(pods netip.Prefix, apiPort int) error {
	rules := fmt.Sprintf(`*filter
:%[1]s - [0:0]
:%[2]s - [0:0]
-A %[1]s -i %[4]s -j ACCEPT
-A %[1]s -o %[4]s -j ACCEPT
-A %[2]s -i %[4]s -j ACCEPT
-A %[2]s ! -i lo -p tcp -m tcp --dport %[6]d -j DROP
COMMIT
*nat
:%[3]s - [0:0]
-A %[3]s -s %[5]s ! -d %[5]s -j MASQUERADE
COMMIT
`, chainForward, chainInput, chainNAT, Bridge, pods, apiPort)
	if err := restore("iptables", rules); err != nil {
		return err
	}
	for _, hook := range []struct{ table, from, to string }{
		{"filter", "FORWARD", chainForward}, {"filter", "INPUT", chainInput}, {"nat", "POSTROUTING", chainNAT},
	} {
		if command("iptables", "-w", "-t", hook.table, "-C", hook.from, "-j", hook.to).Run() == nil {
			continue
		}
		out, err := command("iptables", "-w", "-t", hook.table, "-I", hook.from, "-j", hook.to).CombinedOutput()
		if err != nil {
			return fmt.Errorf("cannot hook %s into %s: %w: %s", hook.to, hook.from, err, bytes.TrimSpace(out))
		}
	}
	return nil
}

// CloseFirewall removes the chains of the box, of its kube-proxy and of its pods' host ports, and
// every rule that leads there. Without a chain of the box it removes
// nothing, because the chains are another cluster's then.
func CloseFirewall() error {
	rules, err := saved("iptables")
	if err != nil {
		return err
	}
	if !strings.Contains(rules, ":"+chainForward+" ") {
		return nil
	}
	if err := removeChains("iptables", rules); err != nil {
		return err
	}
	rules, err = saved("ip6tables")
	if err != nil {
		return nil // a machine without IPv6 has nothing there
	}
	return removeChains("ip6tables", rules)
}

// OtherCluster says whether a kube-proxy works on this machine that is not the box's.
func OtherCluster() (bool, error) {
	rules, err := saved("iptables")
	if err != nil {
		return false, err
	}
	return strings.Contains(rules, ":KUBE-SERVICES ") && !strings.Contains(rules, ":"+chainForward+" "), nil
}

func removeChains(tool, rules string) error {
	script := removal(rules)
	if script == "" {
		return nil
	}
	return restore(tool, script)
}

// removal turns the output of iptables-save into the input of
// iptables-restore --noflush that removes the box's chains.
func removal(rules string) string {
	hostPorts := hostPortChains(rules)
	ours := func(chain string) bool {
		return strings.HasPrefix(chain, "KUBEBOX-") || strings.HasPrefix(chain, "KUBE-") || hostPorts[chain]
	}
	var script, table strings.Builder
	var chains []string
	for line := range strings.Lines(rules) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table.Reset()
			chains = nil
			fmt.Fprintln(&table, line)
		case strings.HasPrefix(line, ":"):
			if chain, _, _ := strings.Cut(line[1:], " "); ours(chain) {
				chains = append(chains, chain)
				fmt.Fprintln(&table, "-F", chain)
			}
		case strings.HasPrefix(line, "-A "):
			words := strings.Fields(line)
			if target := jump(words); ours(target) && !ours(words[1]) {
				fmt.Fprintln(&table, "-D"+line[2:])
			}
		case line == "COMMIT" && len(chains) > 0:
			for _, chain := range chains {
				fmt.Fprintln(&table, "-X", chain)
			}
			fmt.Fprintln(&table, line)
			script.WriteString(table.String())
		}
	}
	return script.String()
}

// hostPortChains returns the chains in which the CNI plugin portmap keeps the host
// ports of the box's pods. The ones that it shares with other users of CNI
// count only when no one else is left in them.
func hostPortChains(rules string) map[string]bool {
	chains, shared := map[string]bool{}, false
	for line := range strings.Lines(rules) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "-A" || words[1] != "CNI-HOSTPORT-DNAT" {
			continue
		}
		if strings.Contains(line, `name: \"`+Bridge+`\"`) {
			chains[jump(words)] = true
		} else {
			shared = true
		}
	}
	if !shared {
		for _, chain := range []string{"CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-SETMARK", "CNI-HOSTPORT-MASQ"} {
			chains[chain] = true
		}
	}
	return chains
}

func jump(words []string) string {
	for i, word := range words[:len(words)-1] {
		if word == "-j" || word == "-g" {
			return words[i+1]
		}
	}
	return ""
}

func saved(tool string) (string, error) {
	out, err := command(tool + "-save").Output()
	if err != nil {
		return "", fmt.Errorf("cannot read the firewall's rules with %s-save: %w", tool, err)
	}
	return string(out), nil
}

func restore(tool, script string) error {
	c := command(tool+"-restore", "-w", "--noflush")
	c.Stdin = strings.NewReader(script)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot change the firewall's rules with %s-restore: %w: %s", tool, err, bytes.TrimSpace(out))
	}
	return nil
}

// command is exec.Command with the administrator's folders searched as well,
// which a plain user's PATH leaves out.
func command(name string, args ...string) *exec.Cmd {
	if path, err := Find(name); err == nil {
		name = path
	}
	return exec.Command(name, args...)
}
