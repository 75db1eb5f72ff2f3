package strictmodes

import (
	"fmt"
	"strings"
)

// A Server is whose rules hold.
type Server int

// The servers whose rules differ.
const (
	All      Server = iota // unknown: what satisfies every server
	OpenSSH                // upstream, and every distribution that does not patch it
	Debian                 // Debian, Ubuntu, Raspberry Pi OS: a private group may write
	Dropbear               // the rules up to 2024; later ones are more lenient
)

// String returns the word that names the server on a command line.
func (s Server) String() string {
	switch s {
	case OpenSSH:
		return "openssh"
	case Debian:
		return "debian"
	case Dropbear:
		return "dropbear"
	}
	return "all"
}

// ParseServer is the reverse of String. For "", which names none, known is false.
func ParseServer(word string) (s Server, known bool, err error) {
	for _, s := range []Server{All, OpenSSH, Debian, Dropbear} {
		if word == s.String() {
			return s, true, nil
		}
	}
	if word == "" {
		return All, false, nil
	}
	return All, false, fmt.Errorf("%q is none of openssh, debian, dropbear and all", word)
}

// ServerOf returns the server that a version line such as
// "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10" comes from. What "ssh -V" prints
// is such a line too.
func ServerOf(version string) Server {
	v := strings.ToLower(version)
	switch {
	case strings.Contains(v, "dropbear"):
		return Dropbear
	case !strings.Contains(v, "openssh"):
		return All
	case strings.Contains(v, "debian"), strings.Contains(v, "ubuntu"), strings.Contains(v, "raspbian"):
		return Debian
	}
	return OpenSSH
}
