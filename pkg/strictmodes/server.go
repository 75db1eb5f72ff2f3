package strictmodes

import (
	"fmt"
	"strings"
)

// A Server is the kind of server whose rules apply.
type Server int

// The servers whose rules differ.
const (
	All          Server = iota // unknown: what satisfies every server
	OpenSSH                    // upstream, and every distribution that does not patch it
	Lax                        // either OpenSSH with "StrictModes no": what the account can read will do
	Debian                     // Debian, Ubuntu, Raspberry Pi OS: a private group may write
	Dropbear                   // up to 2024.86, and any that does not tell its version
	Dropbear2025               // dropbear from 2025.87 on judges the directories, and no longer the file
)

// IsDropbear reports whether s is dropbear, of any version.
func (s Server) IsDropbear() bool { return s == Dropbear || s == Dropbear2025 }

// String returns the word that names the server on a command line; all versions
// of dropbear share one.
func (s Server) String() string {
	switch s {
	case OpenSSH, Lax:
		return "openssh"
	case Debian:
		return "debian"
	case Dropbear, Dropbear2025:
		return "dropbear"
	}
	return "all"
}

// ParseServer is the reverse of String; "dropbear" is the stricter version. For
// "", which names no server, known is false.
func ParseServer(word string) (s Server, known bool, err error) {
	for _, s := range []Server{All, OpenSSH, Debian, Dropbear} {
		if word == s.String() {
			return s, true, nil
		}
	}
	if word == "" {
		return All, false, nil
	}
	return All, false, fmt.Errorf("%q is not openssh, debian, dropbear or all", word)
}

// ServerOf returns the server that sends a version line such as
// "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10". The output of "ssh -V" is such a
// line too.
func ServerOf(version string) Server {
	v := strings.ToLower(version)
	switch {
	case strings.Contains(v, "dropbear"):
		// "SSH-2.0-dropbear_2025.89"; "Dropbear v2025.89" is what dropbear -V prints.
		_, v, _ = strings.Cut(v, "dropbear")
		v = strings.TrimLeft(v, "_ v")
		if len(v) >= len("2025.87") && "2025.87" <= v && v[4] == '.' {
			return Dropbear2025
		}
		return Dropbear
	case !strings.Contains(v, "openssh"):
		return All
	case strings.Contains(v, "debian"), strings.Contains(v, "ubuntu"), strings.Contains(v, "raspbian"):
		return Debian
	}
	return OpenSSH
}
