package sshconfig

import (
	"net/netip"
	"strconv"
	"strings"

	"pi-key-tools/pkg/pattern"
)

// canonicalAddress is what ssh.c makes of a name that can only be an address
// (is_addr(), resolve_addr()): the way getnameinfo(3) would write it, or the
// name unchanged where it is no address of the family after all. It reports
// false for a name.
//
// An address with a zone stays as it is; ssh asks the kernel to name the
// interface.
func canonicalAddress(host, family string) (string, bool) {
	if a, ok := parseIPv4(host); ok && family != "inet6" {
		return a.String(), true
	}
	if !strings.ContainsAny(host, "%:") && strings.Trim(host, "0123456789.") != "" {
		return "", false
	}
	a, err := netip.ParseAddr(host)
	if err != nil || a.Is4() || a.Zone() != "" || family == "inet" || strings.EqualFold(a.String(), host) {
		return host, true
	}
	return a.String(), true
}

// parseIPv4 is inet_aton(3): one to four numbers, decimal, octal or
// hexadecimal, of which the last fills what is left of the 32 bits.
func parseIPv4(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var bits uint64
	for i, part := range parts {
		base, digits := 10, part
		if hex, ok := strings.CutPrefix(pattern.Lower(part), "0x"); ok {
			base, digits = 16, hex
		} else if len(part) > 1 && part[0] == '0' {
			base, digits = 8, part[1:]
		}
		width := 8
		if i == len(parts)-1 {
			width = 8 * (5 - len(parts))
		}
		n, err := strconv.ParseUint(digits, base, width)
		if err != nil || digits[0] == '+' {
			return netip.Addr{}, false
		}
		bits = bits<<width | n
	}
	return netip.AddrFrom4([4]byte{byte(bits >> 24), byte(bits >> 16), byte(bits >> 8), byte(bits)}), true
}
