package knownhosts

import (
	"bytes"
	"slices"
	"strings"

	"pi-key-tools/pkg/sshkey"
)

// Append returns data with a line added for the names (see Name) and the key,
// the names hashed if hash is set (one line a name, as ssh does). salt is
// called for the 20 random bytes of each hashed name. Names are left out if
// data has the key for them already, or if no line can hold them: names with a
// blank, a control byte, or a character that is syntax there.
func Append(data []byte, names []string, key sshkey.Public, hash bool, salt func() []byte) []byte {
	var missing []string
	for _, name := range names {
		if name = lower(name); !writable(name) || slices.Contains(missing, name) {
			continue
		}
		said := slices.ContainsFunc(LookupOnce(File{Data: data}, name), func(l Line) bool {
			return l.Marker == "" && l.Key.Equal(key)
		})
		if !said {
			missing = append(missing, name)
		}
	}
	return Add(slices.Clone(data), missing, key, hash, salt)
}

// Add is Append for names that the caller knows must be added. Like append, it
// may write past the end of data.
func Add(data []byte, names []string, key sshkey.Public, hash bool, salt func() []byte) []byte {
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !writable(name) })
	if len(names) == 0 {
		return data
	}
	hosts := []string{strings.Join(names, ",")}
	if hash {
		hosts = hosts[:0]
		for _, name := range names {
			hosts = append(hosts, hashName(name, salt()))
		}
	}
	out := data
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	for _, h := range hosts {
		// No comment: ssh writes none, and it is not the host's word.
		out = append(out, h+" "+key.Type+" "+key.Base64()+"\n"...)
	}
	return out
}

// Replace removes what the file says about the names (plain keys only: markers
// and other names on the same line stay) and appends the new key. Every other
// line stays byte for byte, as does a line that already has the new key. A
// wildcard that matches a name still matches the others: "*.local" becomes
// "*.local,!pi.local".
func Replace(data []byte, names []string, key sshkey.Public, hash bool, salt func() []byte) []byte {
	var out bytes.Buffer
	for text := range strings.Lines(string(data)) {
		out.WriteString(without(text, names, key))
	}
	return Append(out.Bytes(), names, key, hash, salt)
}

// without returns the line as it is when it gives the names no other key than
// key, else without them, or "" when it speaks of nobody else.
func without(text string, names []string, key sshkey.Public) string {
	l, ok := split(text)
	if !ok || l.marker != "" {
		return text
	}
	hosts := l.hosts
	for _, name := range names {
		name = lower(name)
		if !writable(name) || !matchHosts(name, hosts) {
			continue
		}
		if k, err := sshkey.ParseLenient(l.key); err != nil || k.Equal(key) {
			return text
		}
		if hosts = dropHost(hosts, name); hosts == "" {
			return ""
		}
	}
	return text[:l.start] + hosts + text[l.start+len(l.hosts):]
}

// dropHost takes a name out of a host list that matches it. It returns "" when
// the list then matches nothing.
func dropHost(hosts, name string) string {
	if strings.HasPrefix(hosts, "|") {
		return ""
	}
	rest := slices.DeleteFunc(strings.Split(hosts, ","), func(h string) bool { return lower(h) == name })
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
