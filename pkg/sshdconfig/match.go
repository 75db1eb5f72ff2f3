package sshdconfig

import (
	"net/netip"
	"strconv"
	"strings"

	"pi-key-tools/pkg/pattern"
)

// match decides a Match line as match_cfg_line() does, with what is known.
func (e *evaluation) match(args []string) truth {
	result := yes
	for len(args) > 0 {
		criterion, arg, joined := strings.Cut(args[0], "=")
		args = args[1:]
		criterion = strings.ToLower(criterion)
		switch criterion {
		case "all":
			return result
		case "invalid-user": // there is one, or we would not be in
			result = no
			continue
		}
		if !joined || arg == "" {
			if len(args) == 0 {
				return no // sshd does not start with that
			}
			arg, args = args[0], args[1:]
		}
		result = min(result, e.criterion(criterion, arg))
	}
	return result
}

func (e *evaluation) criterion(name, arg string) truth {
	var found answer
	switch name {
	case "user":
		found = matchList(e.conn.User, arg)
	case "group":
		found = e.matchGroup(arg)
	case "host":
		found = matchName(e.host, arg)
	case "address":
		found = matchAddress(e.conn.Address, arg)
	case "localaddress":
		found = matchAddress(e.conn.LocalAddress, arg)
	case "localport":
		if e.conn.LocalPort == 0 {
			return maybe
		}
		return truthOf(arg == strconv.Itoa(e.conn.LocalPort))
	default: // rdomain, version
		return maybe
	}
	switch found {
	case matched:
		return yes
	case undecided:
		return maybe
	}
	return no
}

// matchGroup is ga_match_pattern_list(): a negated match of one group wins.
func (e *evaluation) matchGroup(patterns string) answer {
	if e.conn.Groups == nil {
		return undecided
	}
	best := unmatched
	for _, g := range e.conn.Groups {
		switch matchList(g, patterns) {
		case refused:
			return unmatched
		case matched:
			best = matched
		}
	}
	return best
}

// An answer is what a list of patterns says.
type answer int

const (
	unmatched answer = iota
	matched
	refused   // by a pattern with "!" before it
	undecided // what is to be matched is not known
)

func matchList(s, patterns string) answer {
	switch pattern.MatchList(s, patterns) {
	case pattern.Matched:
		return matched
	case pattern.Refused:
		return refused
	}
	return unmatched
}

// matchName is match_hostname(); "" is a name that is not known.
func matchName(host, patterns string) answer {
	if host == "" {
		return unknown(patterns)
	}
	return matchList(strings.ToLower(host), strings.ToLower(patterns))
}

// unknown is what patterns say of what is not known.
func unknown(patterns string) answer {
	if patterns != "" && strings.Trim(patterns, "*") == "" {
		return matched
	}
	return undecided
}

// matchAddress is addr_match_list(): networks, addresses and patterns. A list
// with a network that has bits behind its mask matches nobody.
func matchAddress(address, list string) answer {
	if address == "" {
		return unknown(list)
	}
	// An IPv4 client of an IPv6 socket is told as IPv4.
	a, err := netip.ParseAddr(address)
	if err != nil {
		return unmatched
	}
	a = a.Unmap().WithZone("")
	found := unmatched
	for element := range strings.SplitSeq(list, ",") {
		element, negated := strings.CutPrefix(element, "!")
		hit := false
		if network, ok := parseNetwork(element); ok {
			if network != network.Masked() {
				return refused
			}
			hit = network.Contains(a)
		} else {
			hit = pattern.Match(address, element)
		}
		switch {
		case element == "", hit && negated:
			return refused
		case hit:
			found = matched
		}
	}
	return found
}

// parseNetwork reads an address, or a network with its mask.
func parseNetwork(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p, err == nil
}
