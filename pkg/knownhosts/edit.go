package knownhosts

import (
	"bytes"
	"slices"
	"strings"

	"pi-key-tools/pkg/pattern"
	"pi-key-tools/pkg/sshkey"
)

// Add returns data with a line added for the name (see Name) and the key, the
// name hashed if hash is set, for which salt returns 20 random bytes. It returns
// data if no line can hold the name: one with a blank, a control byte, or a
// character that is syntax there. Like append, it may write past the end of
// data.
func Add(data []byte, name string, key sshkey.Public, hash bool, salt func() []byte) []byte {
	if name = pattern.Lower(name); !writable(name) {
		return data
	}
	if hash {
		name = hashName(name, salt())
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		data = append(data, '\n')
	}
	// No comment: ssh writes none, and it is not the host's word.
	return append(data, name+" "+key.Type+" "+key.Base64()+"\n"...)
}

// Replace removes what the file says about the name (plain keys only: markers
// and other names on the same line stay) and adds the new key, if it is not
// there. Every other line stays byte for byte, as does a line that already has
// the new key. A wildcard that matches the name still matches others: "*.local"
// becomes "*.local,!pi.local".
func Replace(data []byte, name string, key sshkey.Public, hash bool, salt func() []byte) []byte {
	name = pattern.Lower(name)
	var out bytes.Buffer
	for text := range strings.Lines(string(data)) {
		out.WriteString(without(text, name, key))
	}
	has := func(l Line) bool { return l.Marker == "" && l.Key.Equal(key) }
	if slices.ContainsFunc(LookupOnce(File{Data: out.Bytes()}, name), has) {
		return out.Bytes()
	}
	return Add(out.Bytes(), name, key, hash, salt)
}

// without returns the line as it is when it gives the name no other key than
// key, else without it, or "" when it speaks of nobody else.
func without(text, name string, key sshkey.Public) string {
	l, ok := split(text)
	if !ok || l.marker != "" || !writable(name) || !matchHosts(name, l.hosts) {
		return text
	}
	if k, err := sshkey.ParseLenient(l.key); err != nil || k.Equal(key) {
		return text
	}
	hosts := dropHost(l.hosts, name)
	if hosts == "" {
		return ""
	}
	return text[:l.start] + hosts + text[l.start+len(l.hosts):]
}

// dropHost takes a name out of a host list that matches it. It returns "" when
// the list then matches nothing.
func dropHost(hosts, name string) string {
	if strings.HasPrefix(hosts, "|") {
		return ""
	}
	rest := slices.DeleteFunc(strings.Split(hosts, ","), func(h string) bool { return pattern.Lower(h) == name })
	if !slices.ContainsFunc(rest, func(h string) bool { return h != "" && h[0] != '!' }) {
		return ""
	}
	hosts = strings.Join(rest, ",")
	if matchHosts(name, hosts) {
		hosts += ",!" + name
	}
	return hosts
}

// writable reports whether a name may stand on a line. Source: sshconnect.c
// check_host_key(), and what is syntax there: the comma and '!'.
func writable(name string) bool {
	host := name
	if h, port, ok := strings.Cut(strings.TrimPrefix(name, "["), "]:"); ok && name[0] == '[' && isDigits(port) {
		host = h
	}
	return host != "" && len(name) < 1000 && !strings.ContainsFunc(host, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune("@?*#[]|'\"\\,!", r)
	})
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
